// SPDX-License-Identifier: MIT

package team

import (
	"strings"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/monitor"
)

// asking lets time pass on a LAN whose gateway answers asks by all members but those in mute, and returns how often
// each asked.
func (g *lacpRig) asking(d time.Duration, mute map[int]bool) map[int]int {
	g.t.Helper()
	asks := map[int]int{}
	for end := g.now.Add(d); ; {
		next := g.l.Deadline()
		if next.IsZero() || next.After(end) {
			g.now = end
			return asks
		}
		if next.After(g.now) {
			g.now = next
		}
		for _, s := range g.do(Tick{}).Send {
			var n frame.Neighbour
			if !frame.ParseNeighbour(s.Frame, &n) || n.Op != frame.ARPRequest || n.About != gateway {
				continue
			}
			asks[s.Member]++
			if !mute[s.Member] {
				g.now = g.now.Add(100 * time.Microsecond)
				g.do(FromDatapath{Control{Kind: ControlFrame, Member: s.Member, Frame: arpAnswer(n.Sender)}})
			}
		}
	}
}

// TestLACPMemberThatIsNotAnswered: in 802.3ad a member asks once its partner takes frames in by it. If it is not
// answered and others are, nothing is sent by it, and the partner is told nothing: else it would never be answered
// again.
func TestLACPMemberThatIsNotAnswered(t *testing.T) {
	g := newLACPRig(t, nil, func(c *settings.Config) {
		c.LinkWatch, c.ProbeInterval = []string{"gateway"}, 100*time.Millisecond
	})
	g.do(WatchTargets{monitor.Targets{Gateways: []monitor.Target{{IP: gateway}}}})
	g.two()
	g.agrees(1, working(0), silent(1))
	g.do(Tick{})
	g.events()
	if asks := g.asking(2*time.Second, nil); asks[0] == 0 || asks[1] != 0 {
		t.Errorf("asks before the partner of eth2 answers: %v", asks)
	}
	g.agrees(3, working(0), working(1))
	g.do(Tick{})
	if asks := g.asking(2*time.Second, nil); asks[0] == 0 || asks[1] == 0 {
		t.Errorf("asks when both have partners: %v", asks)
	}
	g.events()

	g.asking(2*time.Second, map[int]bool{1: true})
	lastState := func() (usable, lost bool) {
		s := g.last().states
		m := s[len(s)-1].Members[1]
		return m.Usable, m.Lost
	}
	if usable, lost := lastState(); !usable || !lost {
		t.Errorf("for the mode eth2 is usable %v, lost %v", usable, lost)
	}
	const why = "does not answer by eth2"
	g.agrees(1, working(0), working(1)) // as the mode does
	g.last().plan.Collecting = 3
	g.do(Tick{})
	if m := g.member(2); m.State != "down" || !strings.Contains(m.Reason, why) || m.Failures != 1 ||
		!strings.Contains(g.l.Status().Reason, why) || g.state() != "degraded" {
		t.Errorf("team %s, eth2 %+v", g.state(), m)
	}
	if e := strings.Join(g.events(), "\n"); strings.Count(e, "member-down eth2: gateway") != 1 ||
		!strings.Contains(e, "team-degraded: eth2: gateway") {
		t.Errorf("events %q", e)
	}

	g.asking(2*time.Second, nil)
	if usable, lost := lastState(); !usable || lost {
		t.Errorf("answered again: usable %v, lost %v", usable, lost)
	}
	g.agrees(3, working(0), working(1))
	g.do(Tick{})
	if e := strings.Join(g.events(), "\n"); !strings.Contains(e, "member-up eth2") || g.state() != "up" {
		t.Errorf("team %s, events %q", g.state(), e)
	}
}
