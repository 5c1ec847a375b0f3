// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"testing"
	"time"
)

// trunk joins two switches by wires whose ends speak LACP, with a peer on each.
type trunk struct {
	*World
	t     *testing.T
	ends  [2]*Partner
	wires []*Wire
	flows []*Flow
}

func newTrunk(t *testing.T, wires int, a, b Habits) *trunk {
	w := New(3)
	x := &trunk{World: w, t: t}
	s := []*Switch{w.Switch("left"), w.Switch("right")}
	peers := []*Stack{w.Peer("l", s[0], Line{Rate: 10e9}), w.Peer("r", s[1], Line{Rate: 10e9})}
	x.ends = [2]*Partner{s[0].Partner(a), s[1].Partner(b)}
	for range wires {
		p, q := s[0].Port(), s[1].Port()
		x.wires = append(x.wires, w.Cable(p.End, q.End, Line{}))
		x.ends[0].Join(p)
		x.ends[1].Join(q)
	}
	for i := range uint16(4) {
		x.flows = append(x.flows, w.UDP(peers[0], peers[1], FlowKey{Sport: i, Dport: 7}, 200, 5*time.Millisecond),
			w.UDP(peers[1], peers[0], FlowKey{Sport: i, Dport: 8}, 200, 5*time.Millisecond))
	}
	return x
}

func (x *trunk) until(what string, limit time.Duration, holds func() bool) time.Duration {
	x.t.Helper()
	took, err := x.Until(what, limit, holds)
	if err != nil {
		x.t.Fatal(err)
	}
	return took
}

// TestPartnersAgree: two switches with all habits that can go together find each other, and again after a restart, and
// nothing is lost then.
func TestPartnersAgree(t *testing.T) {
	t.Parallel()
	habits := []Habits{{}, {Fast: true}, {Passive: true}, {Coupled: true}, {Coupled: true, Fast: true},
		{Coupled: true, Passive: true, Fast: true}}
	for i, a := range habits {
		for _, b := range habits[i:] {
			if a.Passive && b.Passive {
				continue
			}
			t.Run(fmt.Sprintf("%v with %v", a, b), func(t *testing.T) {
				x := newTrunk(t, 3, a, b)
				all := func() bool { return x.ends[0].Distributing() == 3 && x.ends[1].Distributing() == 3 }
				took := x.until("all ports distribute", 4*time.Second, all)
				if err := x.Run(1500 * time.Millisecond); err != nil { // a host asks again after a second
					t.Fatal(err)
				}
				if err := x.Calmly(time.Second, 50*time.Millisecond, x.flows...); err != nil {
					t.Fatal(err)
				}
				x.ends[1].Restart(100 * time.Millisecond)
				again := x.until("all ports distribute again", 95*time.Second, all)
				t.Logf("agreed after %v, again %v after a restart", took, again)
				if err := x.Run(1500 * time.Millisecond); err != nil {
					t.Fatal(err)
				}
				if err := x.Calmly(time.Second, 50*time.Millisecond, x.flows...); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
