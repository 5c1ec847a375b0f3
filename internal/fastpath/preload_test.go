// SPDX-License-Identifier: MIT

package fastpath

import (
	"testing"

	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// The first Engage uses what was loaded ahead, the second one loads; Close drops what nobody used.
func TestPreload(t *testing.T) {
	g := newRig(t, 1)
	labtest.Must(t, g.path.Apply(g.plan(spread.RuleSingle)))
	g.path.Preload()
	ahead := g.path.preloaded
	for n := range 2 {
		labtest.Must(t, g.path.Engage())
		if used := g.path.kernel == ahead.kernel; used != (n == 0) {
			t.Errorf("engaged %d times: what was loaded ahead is used: %v", n+1, used)
		}
		out, in := g.streams(2000)
		g.flow(out, in)
		labtest.Must(t, g.path.Disengage())
	}
	g.path.Preload()
	ahead = g.path.preloaded
	labtest.Must(t, g.path.Close())
	if ahead.kernel == nil || ahead.kernel.Receive.FD() >= 0 {
		t.Error("what was loaded ahead is still open")
	}
}
