// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/team"
)

// aggregation is a team's state for the checks of 802.3ad.
type aggregation struct {
	mode    modes.Mode
	life    int           // starts of the team's process
	began   time.Duration // the last start
	entered time.Duration // the last change of mode
	memory  *lacp.Memory  // for the next process
	Refused uint64        // data frames received by members that did not collect
	ended   bool          // the team is deleted
}

// spoken is the LACP state of a member, as seen from its PDUs.
type spoken struct {
	partner lacp.Info     // in the last PDU received
	denied  time.Duration // when the partner stopped collecting, by its PDUs; never: it collects
	closed  time.Duration // when the Plan stopped collecting
	takes   bool          // LACP collects
	took    time.Duration // when it last did
	heard   pacedHeard
	paced   pacedPDUs

	slowSince time.Duration
	slowN     int
}

// pacedHeard counts received PDUs: at most ten a second are processed.
type pacedHeard struct {
	since time.Duration
	n     int
}

func (c *pacedHeard) note(now time.Duration) {
	if now-c.since > 2*time.Second {
		c.since, c.n = now, 0
	}
	c.n++
}

// many reports whether PDUs may have been dropped by that limit.
func (c *pacedHeard) many() bool { return c.n > 8 }

// newLoop starts the team's process. memory is from its predecessor, nil for none.
func (t *Team) newLoop(memory *lacp.Memory) {
	t.life++
	t.began = t.w.now
	loop, err := team.NewLoop(t.config, team.LoopOptions{Adapter: t.mac, Salt: t.salt, Memory: memory,
		NewMode: func(s modes.Settings) (modes.Mode, error) {
			m, err := modes.New(s)
			t.mode, t.entered = m, t.w.now
			return m, err
		}})
	if err != nil {
		panic("sim: " + err.Error())
	}
	t.loop = loop
}

// Agreed returns the team's LACP agreement, nil in other modes than 802.3ad.
func (t *Team) Agreed() *modes.Agreement { return modes.Agreed(t.mode) }

// hears records an LACPDU before the loop processes it.
func (m *member) hears(f *Packet) {
	pdu, err := lacp.ParsePDU(f.b)
	if err != nil || f.forged {
		return
	}
	now := m.t.w.now
	m.heard.note(now)
	if a := m.t.Agreed(); a == nil || pdu.Actor.System.MAC == a.System.MAC {
		return
	}
	m.partner = pdu.Actor
	switch {
	case pdu.Actor.State&(lacp.Collecting|lacp.Expired) == lacp.Collecting:
		m.denied = never
	case m.denied == never:
		m.denied = now
	}
}
