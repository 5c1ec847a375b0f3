// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
)

// agreement is what LACP has come to on a port of a switch.
type agreement struct {
	partner     *Partner // nil: the port speaks no LACP
	number      int      // of the partner's ports
	collects    bool
	distributes bool
	closed      time.Duration // since when it has not collected
	troubled    time.Duration // when the partner was last away
	paced       pacedPDUs
	reading     bool // the partner is about to hear of the carrier
}

// maxPDUDelay is how long a PDU is under way at most, until who hears it has adopted what follows: frames that were
// sent before may still go where nobody takes them in.
const maxPDUDelay = 2 * time.Millisecond

// pacedPDUs remembers when a port last sent PDUs: after three in a second the next one has to wait.
type pacedPDUs struct {
	at [3]time.Duration
	n  int
}

func (s *pacedPDUs) note(now time.Duration) {
	s.at[s.n%len(s.at)] = now
	s.n++
}

// way is how long news that came up at t are under way at most.
func (s *pacedPDUs) way(t time.Duration) time.Duration {
	if s.n >= len(s.at) && s.at[s.n%len(s.at)] > t-time.Second {
		return time.Second + maxPDUDelay
	}
	return maxPDUDelay
}

// relinked tells the partner that a port's carrier has changed.
func (p *Port) relinked() {
	if p.partner == nil || p.reading {
		return
	}
	p.reading = true
	w := p.sw.w
	w.After(w.between(0, time.Millisecond), func() {
		p.reading = false
		p.partner.configure()
	})
}

// allow sets what the port does.
func (p *Port) allow(collects, distributes bool) {
	if p.collects && !collects {
		p.closed = p.sw.w.now
	}
	p.collects, p.distributes = collects, distributes
}

// says notes a frame that the partner is about to send.
func (p *Port) says(f *Packet) {
	if isPDU(f) {
		p.paced.note(p.sw.w.now)
	}
}

// sends reports whether the port's group may send by it.
func (p *Port) sends() bool { return p.partner == nil || p.distributes }

// agreed takes what is the partner's out of what arrives, and what comes by a port on which it does not collect.
func (p *Port) agreed(f *Packet) bool {
	if slow(f) {
		p.partner.hear(p, f)
		return true
	}
	if p.collects {
		return false
	}
	p.partner.Lost++
	p.refused(f)
	return true
}

// slow reports whether a frame is of a slow protocol.
func slow(f *Packet) bool { return f.h.EtherType == frame.TypeSlow && f.h.Dst == lacp.Group }

// isPDU reports whether a frame is a LACPDU. Those do not wait behind others.
func isPDU(f *Packet) bool { return slow(f) && len(f.b) > 14 && f.b[14] == 1 }
