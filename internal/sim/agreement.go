// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
)

// agreement is the LACP state of a switch's port.
type agreement struct {
	partner     *Partner // nil: the port speaks no LACP
	number      int      // of the partner's ports
	collects    bool
	distributes bool
	closed      time.Duration // since when it has not collected
	troubled    time.Duration // when the partner was last away
	paced       pacedPDUs
	reading     bool // the partner is about to read the carrier
}

// maxPDUDelay bounds the time from sending a PDU until its receiver has acted on it. Frames sent before that may arrive
// where nobody collects.
const maxPDUDelay = 2 * time.Millisecond

// pacedPDUs holds the times of a port's last PDUs: after three in a second the next one waits.
type pacedPDUs struct {
	at [3]time.Duration
	n  int
}

func (s *pacedPDUs) note(now time.Duration) {
	s.at[s.n%len(s.at)] = now
	s.n++
}

// way bounds the delay of news of time t until a PDU has carried it.
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

// allow sets whether the port collects and distributes.
func (p *Port) allow(collects, distributes bool) {
	if p.collects && !collects {
		p.closed = p.sw.w.now
	}
	p.collects, p.distributes = collects, distributes
}

// says records a frame before the partner sends it.
func (p *Port) says(f *Packet) {
	if isPDU(f) {
		p.paced.note(p.sw.w.now)
	}
}

// sends reports whether the port may transmit frames of its group.
func (p *Port) sends() bool { return p.partner == nil || p.distributes }

// agreed passes frames of slow protocols to the partner, and drops others if the port does not collect. It reports
// whether it has consumed the frame.
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

// slow reports whether a frame belongs to a slow protocol.
func slow(f *Packet) bool { return f.h.EtherType == frame.TypeSlow && f.h.Dst == lacp.Group }

// isPDU reports whether a frame is an LACPDU, which passes frames that wait.
func isPDU(f *Packet) bool { return slow(f) && len(f.b) > 14 && f.b[14] == 1 }
