// SPDX-License-Identifier: MIT

package modes

import (
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// A switch that was led to believe that a member's address is elsewhere is shown where it is, though the member sends
// nothing; one that sends needs no more than that, nor does one that no peer was given.
func TestELBShowsWhereSilentMembersAre(t *testing.T) {
	r := rig(t, 4)
	for i := range 3 { // by members 0, 1 and 2
		r.sent(answer(i))
	}
	f, h := &spread.FlowTable{}, &spread.RxBytes{}
	f.Slots[7] = spread.FlowSlot{Until: 1, Member: 1}
	taught := map[int][]time.Duration{}
	began := r.now
	for r.now.Sub(began) < 4*silentTime {
		r.now = r.now.Add(time.Second)
		f.Slots[7].Bytes += 1000
		for _, s := range r.e.Handle(r.now, Measured{Flows: f, RxBytes: h}).Send {
			switch src := frame.MACAt(s.Frame, 6); {
			case src == member(s.Member).MAC:
				taught[s.Member] = append(taught[s.Member], r.now.Sub(began))
			case r.e.macOwner[src] != s.Member: // what it has inherited is shown as well
				t.Errorf("member %d sends in the name of %v", s.Member, src)
			}
		}
	}
	for id, want := range []int{3, 0, 3, 0} {
		if len(taught[id]) != want {
			t.Errorf("member %d was shown %v, want %d times", id, taught[id], want)
		}
	}
}
