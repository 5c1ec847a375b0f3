// SPDX-License-Identifier: MIT

package team

import (
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
)

// noting is a data path that notes probes between members, and passes on what it does not note.
type noting struct {
	*kernel
	dead             int    // the member whose probes are lost, -1: none
	moving           uint64 // frames a millisecond
	noted, delivered int
}

// pass passes on what members have sent, for a time.
func (n *noting) pass(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
		n.do(n.passAll)
	}
}

func (n *noting) passAll() {
	for id := range 3 {
		n.moved[id].TX += n.moving
		n.moved[id].RX += n.moving
	}
	for from, frames := range n.sent {
		for _, f := range frames {
			var p frame.Probe
			if !frame.ParseProbe(f, &p) || p.Op != frame.ProbeHello || from == n.dead {
				continue
			}
			to := int(p.To)
			if n.filter.Team == p.Team && n.filter.From[to] == uint8(p.From+1) {
				n.noted++
				n.hellos[to].Seq, n.hellos[to].Sent, n.hellos[to].At = p.Seq, p.Sent, time.Now()
				continue
			}
			n.delivered++
			n.control <- Control{Kind: ControlFrame, Member: to, Frame: f}
		}
		delete(n.sent, from)
	}
}

// probing runs a team of three members that send probes to each other.
func probing(t *testing.T, interval time.Duration) (*Team, *noting) {
	t.Helper()
	n := &noting{kernel: newKernel(), dead: -1}
	c := settings.DefaultConfig()
	c.Team, c.LinkWatch, c.ProbeInterval = "team0", []string{"probe"}, interval
	return running(t, n.kernel, Options{Config: c}, 1, 2, 3), n
}

// TestNotedProbesCount: probes between members that the data path notes tell the link watches as much as those that it
// delivers, and a member whose probes are not noted any more is down as soon.
func TestNotedProbesCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tm, n := probing(t, time.Second)
		states := func() (s [3]string) {
			for i, m := range tm.Status().Members {
				s[i] = m.State
			}
			return s
		}
		n.pass(10 * time.Second)
		was := n.delivered
		n.pass(10 * time.Second)
		if s := states(); s != [3]string{"up", "up", "up"} || n.noted < 30 || n.delivered != was {
			t.Fatalf("%v, %d probes noted, %d delivered", s, n.noted, n.delivered-was)
		}
		n.moving = 1 // a hundred probes a second
		n.pass(time.Second)
		was, before := n.delivered, n.noted
		n.pass(10 * time.Second)
		if more := n.noted - before; more < 2000 || n.delivered != was { // else probes were missed that are there
			t.Errorf("%d probes noted while frames move, %d delivered", more, n.delivered-was)
		}
		n.moving = 0
		n.pass(time.Second)
		n.dead = 1
		n.pass(4 * time.Second)
		if s := states(); s != [3]string{"up", "down", "up"} {
			t.Errorf("%v after the second one's probes ended", s)
		}
		n.dead = -1
		n.pass(30 * time.Second)
		if s := states(); s != [3]string{"up", "up", "up"} {
			t.Errorf("%v in the end", s)
		}
	})
}

// TestNotedProbesCountWhenTheLoadBegins: a probe that is noted while hardly anything moves is not missed because it
// would be so sooner once frames move: no round of probes, which are delivered, is begun for it.
func TestNotedProbesCountWhenTheLoadBegins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		_, n := probing(t, 1090*time.Millisecond)
		n.pass(10 * time.Second)
		for i := range 100 {
			was := n.delivered
			n.moving = 1
			n.pass(500 * time.Millisecond)
			n.moving = 0
			n.pass(3*time.Second + time.Duration(i)*7*time.Millisecond) // the load begins at another phase
			if n.delivered != was {
				t.Fatalf("%d probes of rounds", n.delivered-was)
			}
		}
	})
}
