// SPDX-License-Identifier: MIT

package export

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

func TestMarks(t *testing.T) {
	tr := example()
	at := func(ms int) time.Time { return tr.History.From.Add(time.Duration(ms) * time.Millisecond) }
	tr.History.Events = []api.Event{
		{Time: at(0), Event: "member-added", Member: "eth1"},
		{Time: at(0), Event: "member-up", Member: "eth1"},
		{Time: at(0), Event: "active-changed", Member: "eth1", Reason: "eth1 is the first usable member"},
		{Time: at(0), Event: "team-up"},
		{Time: at(10), Event: "member-added", Member: "eth2"},
		{Time: at(10), Event: "member-up", Member: "eth2"},
		{Time: at(20), Event: "datapath-changed", Reason: "fastpath, was relay: it can"},
		{Time: at(5000), Event: "member-down", Member: "eth1", Reason: "carrier lost", Took: 1e6},
		{Time: at(5000), Event: "team-degraded", Reason: "eth1: carrier lost"},
		{Time: at(5100), Event: "member-down", Member: "eth2", Reason: "not in sync"},
		{Time: at(6000), Event: "active-changed", Member: "eth2", Reason: "by hand"},
		{Time: at(9000), Event: "member-up", Member: "eth1"},
		{Time: at(9000), Event: "member-up", Member: "eth2"},
		{Time: at(20000), Event: "member-up", Member: "eth1"},
		{Time: at(20010), Event: "member-down", Member: "eth1", Reason: "carrier lost"},
		{Time: at(20020), Event: "member-up", Member: "eth1"},
		{Time: at(20030), Event: "member-down", Member: "eth1", Reason: "carrier lost"},
		{Time: at(20040), Event: "mtu-changed", Reason: "9000, was 1500"},
		{Time: at(20040), Event: "mtu-changed", Member: "eth1", Reason: "9000, was 1500"},
		{Time: at(20040), Event: "flooding", Member: "eth1", Reason: "the switch sends it frames for another member"},
	}
	type line struct {
		MS          int64
		Label, Text string
	}
	var got []line
	for _, e := range tr.marks() {
		got = append(got, line{e.At.Sub(tr.History.From).Milliseconds(), e.Label, e.Text})
	}
	want := []line{
		{0, "eth1, eth2 added", "eth1, eth2 added"},
		{20, "datapath: fastpath", "datapath changed: fastpath, was relay: it can"},
		{5000, "eth1: carrier lost", "eth1 down: carrier lost, flows moved in 1 ms"},
		{5100, "eth2: not in sync", "eth2 down: not in sync"},
		{6000, "eth2 active", "eth2 active changed: by hand"},
		{9000, "eth1, eth2 up again", "eth1, eth2 up"},
		{20000, "eth1 up", "eth1 up"},
		{20010, "eth1: carrier lost", "eth1 down: carrier lost"},
		{20020, "eth1 up again", "eth1 up"},
		{20030, "eth1: carrier lost", "eth1 down: carrier lost"},
		{20040, "mtu: 9000", "mtu changed: 9000, was 1500"},
		{20040, "eth1 mtu: 9000", "eth1 mtu changed: 9000, was 1500"},
		{20040, "eth1 flooding", "eth1 flooding: the switch sends it frames for another member"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
