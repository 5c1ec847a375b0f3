// SPDX-License-Identifier: MIT

package team

import (
	"testing"
	"time"

	"nicteam/modes"
)

func TestLoopFlooding(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	b := r.join(2)
	r.link(1, true)
	r.link(2, true)
	r.events()
	r.do(Flooding{ID: b, Frames: 1000})
	r.wantEvents("frames that were under way during the change")
	r.run(10 * time.Second)
	r.do(Flooding{ID: b, Frames: 1000})
	r.wantEvents("flooding", "flooding eth2: the switch sends it frames that are for another member")
	if r.out.Tell != modes.TellAll || r.state() != "up" {
		t.Errorf("announce %v, state %s", r.out.Tell != 0, r.state())
	}
	r.run(time.Second)
	r.do(Flooding{ID: b, Frames: 1000})
	if r.out.Tell != 0 {
		t.Error("a storm of announcements")
	}
}

// TestLoopKnowsFloodingSoon: a planned change a moment after the first frames were seen to be flooded must not have
// two members take frames in.
func TestLoopKnowsFloodingSoon(t *testing.T) {
	for _, tt := range []struct {
		name   string
		after  time.Duration // of the flooded frames, since the change before
		frames uint64
		want   int // members that take unicast in right after the next change
	}{
		{"learning switch", 0, 0, 2},
		{"frames under way", modes.Overlap, 5, 2},
		{"flooding switch", floodingSettle, 5, 1},
		{"a forged frame", floodingSettle, 1, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, nil)
			r.join(1)
			b := r.join(2)
			r.link(1, true)
			r.link(2, true)
			if tt.after > 0 {
				// There and back, so that an overlap ends meanwhile.
				c := r.l.Config()
				c.Active = "eth2"
				r.do(Change{Config: c})
				r.run(time.Second)
				c.Active = "eth1"
				r.do(Change{Config: c})
				r.run(tt.after)
				r.do(Flooding{ID: b, Frames: tt.frames})
			}
			r.run(time.Second)
			c := r.l.Config()
			c.Active = "eth2"
			r.do(Change{Config: c})
			if n := r.plan.Collecting.Len(); n != tt.want {
				t.Errorf("%d members take frames in, want %d", n, tt.want)
			}
		})
	}
}
