// SPDX-License-Identifier: MIT

package daemon

import (
	"fmt"
	"testing"

	"nicteam/internal/api"
	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
)

func TestExcluded(t *testing.T) {
	doubt := &api.LinkWatch{Verdict: "suspect", Reason: "it sends and hears nothing"}
	members := func(ms ...api.Member) *api.Status {
		for i := range ms {
			ms[i].Name = fmt.Sprintf("eth%d", i)
		}
		return &api.Status{Members: ms}
	}
	up := api.Member{State: "up"}
	for _, c := range []struct {
		name string
		st   *api.Status
		x    spread.Explanation
		want []api.Excluded
	}{
		{"nothing is wrong", members(up, api.Member{State: "standby"}), spread.Explanation{}, nil},
		{"down, leaving and gone", members(up, api.Member{State: "down", Reason: "no carrier"},
			api.Member{State: "draining", Reason: "leaves the team"}, api.Member{State: "absent", Reason: "gone"}),
			spread.Explanation{}, []api.Excluded{{Member: "eth1", State: "down", Reason: "no carrier"},
				{Member: "eth2", State: "draining", Reason: "leaves the team"},
				{Member: "eth3", State: "absent", Reason: "gone"}}},
		{"waiting and damped", members(up,
			api.Member{State: "down", Reason: "waits for an answer", Watch: &api.LinkWatch{Verdict: "waiting"}},
			api.Member{State: "down", Reason: "flapped 4 times", Damped: &api.Damped{Failures: 4}}),
			spread.Explanation{}, []api.Excluded{{Member: "eth1", State: "waits", Reason: "waits for an answer"},
				{Member: "eth2", State: "damped", Reason: "flapped 4 times"}}},
		{"suspect", members(up, api.Member{State: "up", Watch: doubt}), spread.Explanation{Suspect: 0b10},
			[]api.Excluded{{Member: "eth1", State: "suspect", Reason: "it sends and hears nothing"}}},
		{"suspect a moment ago", members(up, up), spread.Explanation{Suspect: 0b10},
			[]api.Excluded{{Member: "eth1", State: "suspect", Reason: "its frames may not arrive"}}},
		{"suspect where the mode keeps it", members(up, api.Member{State: "up", Watch: doubt}),
			spread.Explanation{}, nil},
		{"suspect and standing by", members(up, api.Member{State: "standby", Watch: doubt}), spread.Explanation{},
			[]api.Excluded{{Member: "eth1", State: "suspect", Reason: "it sends and hears nothing"}}},
		{"it carries the flow", members(api.Member{State: "up", Watch: doubt}, up),
			spread.Explanation{Suspect: 0b1, Closed: 0b10}, []api.Excluded{{Member: "eth1", State: "returns",
				Reason: "it has failed and is back, gets more flows step by step, and this one later"}}},
	} {
		got := excluded(c.st, &c.x, func(id int) string { return fmt.Sprintf("eth%d", id) })
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s, -want +got\n%s", c.name, d)
		}
	}
}
