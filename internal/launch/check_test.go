// SPDX-License-Identifier: MIT

package launch

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/tchook"
)

// TestFastpathProblem: the problem says what failed, why, and what helps.
func TestFastpathProblem(t *testing.T) {
	const what, orRelay = "create team0: the fast path cannot run",
		"fix the cause, or use datapath=auto, which falls back to the relay"
	held := &tchook.HookHeld{NIC: "eth1", Hook: "ingress", Who: `tcx program "x" (id 12)`}
	for _, tt := range []struct {
		err  error
		want api.Problem
	}{
		{fmt.Errorf("member eth1: %w", held), api.Problem{Kind: api.Failed, What: what,
			Why: `ingress of eth1 is held by tcx program "x" (id 12)`,
			Fix: "remove that program, or use datapath=auto or relay, which leave it alone"}},
		{errors.New("load programs: the verifier says no"), api.Problem{Kind: api.Failed, What: what,
			Why: "load programs: the verifier says no", Fix: orRelay}},
		{fmt.Errorf("load programs: %w", unix.ENOSYS), api.Problem{Kind: api.Failed, What: what,
			Why: "this kernel has no bpf()", Fix: orRelay}},
	} {
		got := *FastpathProblem("create team0", tt.err)
		got.Err = nil
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.err, diff)
		}
	}
}
