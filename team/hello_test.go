// SPDX-License-Identifier: MIT

package team

import (
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
)

// TestNotedProbesCount: probes between members that the data path notes tell the link watches as much as those that it
// delivers, and a member whose probes are not noted any more is down as soon.
func TestNotedProbesCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		c := settings.DefaultConfig()
		c.Team, c.LinkWatch = "team0", []string{"probe"}
		tm := running(t, k, Options{Config: c}, 1, 2, 3)
		dead, noted, delivered, moving := -1, 0, 0, uint64(0)
		// pass passes on what members have sent, for a time.
		pass := func(d time.Duration) {
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
				k.do(func() {
					for id := range 3 {
						k.moved[id].TX += moving
						k.moved[id].RX += moving
					}
					for from, frames := range k.sent {
						for _, f := range frames {
							var p frame.Probe
							if !frame.ParseProbe(f, &p) || p.Op != frame.ProbeHello || from == dead {
								continue
							}
							to := int(p.To)
							if k.filter.Team == p.Team && k.filter.From[to] == uint8(p.From+1) {
								noted++
								k.hellos[to].Seq, k.hellos[to].Sent, k.hellos[to].At = p.Seq, p.Sent, time.Now()
								continue
							}
							delivered++
							k.control <- Control{Kind: ControlFrame, Member: to, Frame: f}
						}
						delete(k.sent, from)
					}
				})
			}
		}
		states := func() (s [3]string) {
			for i, m := range tm.Status().Members {
				s[i] = m.State
			}
			return s
		}
		pass(10 * time.Second)
		was := delivered
		pass(10 * time.Second)
		if s := states(); s != [3]string{"up", "up", "up"} || noted < 30 || delivered != was {
			t.Fatalf("%v, %d probes noted, %d delivered", s, noted, delivered-was)
		}
		moving = 1 // a hundred probes a second
		pass(time.Second)
		was, before := delivered, noted
		pass(10 * time.Second)
		if n := noted - before; n < 2000 || delivered != was { // else probes were missed that are there
			t.Errorf("%d probes noted while frames move, %d delivered", n, delivered-was)
		}
		moving = 0
		pass(time.Second)
		dead = 1
		pass(4 * time.Second)
		if s := states(); s != [3]string{"up", "down", "up"} {
			t.Errorf("%v after the second one's probes ended", s)
		}
		dead = -1
		pass(30 * time.Second)
		if s := states(); s != [3]string{"up", "up", "up"} {
			t.Errorf("%v in the end", s)
		}
	})
}
