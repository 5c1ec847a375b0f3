package sim

import (
	"time"

	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/team"
)

// aggregation is what a team's host keeps while its mode is 802.3ad.
type aggregation struct {
	mode    modes.Mode
	life    int           // how often the team's process began
	began   time.Duration // the last time
	entered time.Duration // when its mode was last changed
	memory  *lacp.Memory  // what the process wants to be remembered
	Refused uint64        // frames of data that came by members on which it did not collect
	ended   bool          // its team is given up
}

// spoken is what a member's host notes of the PDUs that it has heard and said.
type spoken struct {
	partner lacp.Info     // heard last
	denied  time.Duration // since when the partner is known not to collect; never: it collects
	closed  time.Duration // since when the Plan does not collect
	takes   bool          // LACP collects
	took    time.Duration // when it last did
	heard   pacedHeard
	paced   pacedPDUs

	slowSince time.Duration
	slowN     int
}

// pacedHeard counts PDUs: more than ten in a second are not looked at.
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

// many reports whether some PDUs may not have been looked at.
func (c *pacedHeard) many() bool { return c.n > 8 }

// newLoop begins the team's process. memory is what one before has left, nil nothing.
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

// Agreed is what the team has agreed with its partners, nil in other modes than 802.3ad.
func (t *Team) Agreed() *modes.Agreement { return modes.Agreed(t.mode) }

// hears notes a frame of a slow protocol that a member is about to be told of.
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
