// SPDX-License-Identifier: MIT

package team

import (
	"slices"
	"testing"

	"nicteam/internal/settings"
	"nicteam/modes"
)

// What the adapter sent while the control loop was to send it on leaves also when the mode has changed meanwhile.
func TestHandedOverAcrossAChangeOfMode(t *testing.T) {
	arp := []byte("a frame that the adapter sent")
	for _, c := range []struct {
		mode modes.Kind
		want int // members by which it leaves
	}{{modes.ActiveBackup, 1}, {modes.XOR, 1}, {modes.Broadcast, 3}} {
		r := newRig(t, func(cfg *settings.Config) { cfg.Mode = modes.ELB })
		for n := 1; n <= 3; n++ {
			r.join(n)
			r.link(n, true)
		}
		next := r.l.Config()
		next.Mode, next.Members = c.mode, nil
		if out := r.do(Change{Config: next}); out.Err != nil {
			t.Fatal(out.Err)
		}
		out := r.do(FromDatapath{Control{Kind: ControlFrame, Member: -1, Frame: arp}})
		if len(out.Send) != c.want {
			t.Errorf("%v: %d frames leave, want %d", c.mode, len(out.Send), c.want)
		}
		for _, s := range out.Send {
			if !slices.Equal(s.Frame, arp) || !r.plan.Distributing.Has(s.Member) {
				t.Errorf("%v: %q leaves by %d", c.mode, s.Frame, s.Member)
			}
		}
	}
}
