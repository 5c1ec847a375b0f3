// SPDX-License-Identifier: MIT

package team

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
)

func TestStatusGolden(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		o := Options{Config: activeBackup(), DatapathName: "relay", DatapathReason: "not in this build yet: fastpath",
			AdapterInfo: func() api.Adapter {
				return api.Adapter{Name: "team0", Index: 7, MTU: 1500, Addresses: []string{"10.9.0.1/24"}}
			}}
		tm := running(t, k, o, 1, 2)
		k.do(func() {
			m := &k.counters.Members[0]
			m.RX[frame.TCP] = frame.Count{Bytes: 1000, Frames: 10}
			m.RX[frame.ARP] = frame.Count{Bytes: 60, Frames: 1}
			m.TX[frame.UDP] = frame.Count{Bytes: 500, Frames: 5}
			m.TXDrop[DropBacklog], m.RXDrop[DropReflected], m.RXError = 3, 4, 5
			k.counters.Members[1].RXDrop[DropStandby] = 9
			k.counters.Members[9].RX[frame.TCP] = frame.Count{Bytes: 7, Frames: 1} // a member that has left
		})
		k.cable(2, false)
		time.Sleep(20 * time.Millisecond)
		s := tm.Status()
		s.PID, s.Since = 4242, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
		golden(t, "status.json", s)

		// Every key of the contract is there.
		var doc map[string]any
		b, _ := json.Marshal(s)
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		member := doc["members"].([]any)[0].(map[string]any)
		wantKeys(t, doc, "schema team mode state reason since pid datapath datapath_reason adapter active "+
			"balance settings members rx tx warnings")
		wantKeys(t, doc["adapter"].(map[string]any), "name index mac mtu carrier addresses")
		wantKeys(t, doc["settings"].(map[string]any), "hash primary up_delay_ns down_delay_ns")
		wantKeys(t, member, "name index mac driver state reason link speed_bps duplex mtu weight collecting "+
			"distributing failures rx tx")
		wantKeys(t, member["rx"].(map[string]any), "bytes frames drops errors")
	})
}

func TestRatesGolden(t *testing.T) {
	prev := &sample{time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), team: "team0",
		members: []sampledMember{{id: 0, name: "eth1", link: true}, {id: 1, name: "eth2"}}}
	now := &sample{time: prev.time.Add(time.Second), team: "team0", members: prev.members}
	prev.counters.Members[0].RX[frame.TCP] = frame.Count{Bytes: 1000, Frames: 10}
	prev.counters.Members[1].TX[frame.UDP] = frame.Count{Bytes: 1_000_000, Frames: 1000} // begins anew
	now.counters.Members[0].RX[frame.TCP] = frame.Count{Bytes: 4000, Frames: 12}
	now.counters.Members[0].TX[frame.ARP] = frame.Count{Bytes: 60, Frames: 1}
	now.counters.Members[1].TX[frame.UDP] = frame.Count{Bytes: 200, Frames: 2}
	now.counters.Members[5].RX[frame.ND] = frame.Count{Bytes: 86, Frames: 1} // of one that left
	d := rates(prev, now)
	golden(t, "rates.json", d)
	var rx, tx frame.Count
	for _, p := range d.Protocols {
		rx.Add(p.RX)
		tx.Add(p.TX)
	}
	if diff := cmp.Diff([]frame.Count{d.RX, d.TX}, []frame.Count{rx, tx}); diff != "" {
		t.Errorf("protocols do not sum to the total (-want +got):\n%s", diff)
	}
}

// TestTotals: expected reasons are shown from zero on, others when not zero; members count since they joined.
func TestTotals(t *testing.T) {
	s := &sample{members: []sampledMember{{id: 0, name: "eth1"}}}
	m := &s.counters.Members[0]
	m.RX[frame.TCP], m.RX[frame.ARP] = frame.Count{Bytes: 1000, Frames: 10}, frame.Count{Bytes: 60, Frames: 1}
	m.TXDrop[DropBacklog], m.RXDrop[DropRefused] = 3, 2
	s.counters.Members[9].RX[frame.TCP] = frame.Count{Bytes: 7, Frames: 1} // of one that left
	s.counters.Adapter.TXDrop[DropNoMember] = 6
	s.members[0].counters = *m
	s.members[0].counters.RX[frame.TCP] = frame.Count{Bytes: 400, Frames: 4} // it joined later
	got := s.totals()
	want := []api.MemberTotals{{Name: "eth1", RX: frame.Count{Bytes: 460, Frames: 5},
		RXDrops: []api.DropTotal{{Reason: "refused", Frames: 2}, {Reason: "malformed"}, {Reason: "not-ours"},
			{Reason: "standby"}, {Reason: "reflected"}, {Reason: "adapter"}, {Reason: "socket"}},
		TXDrops: []api.DropTotal{{Reason: "backlog", Frames: 3}, {Reason: "refused"}, {Reason: "malformed"}}}}
	if diff := cmp.Diff(want, got.Members); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]api.DropTotal{{Reason: "no-member", Frames: 6}, {Reason: "malformed"}},
		got.AdapterDrops); diff != "" {
		t.Errorf("adapter (-want +got):\n%s", diff)
	}
	if p := got.Protocols[frame.TCP]; len(got.Protocols) != frame.Protocols ||
		p != (api.ProtocolTotals{Name: "tcp", RX: frame.Count{Bytes: 1007, Frames: 11}}) {
		t.Errorf("protocols %+v", got.Protocols)
	}
}

// golden compares v as JSON with a file of testdata.
func golden(t *testing.T, name string, v any) {
	t.Helper()
	got, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("%s (-want +got; go test -update writes it):\n%s", name, diff)
	}
}

func wantKeys(t *testing.T, m map[string]any, keys string) {
	t.Helper()
	for k := range strings.FieldsSeq(keys) {
		if _, ok := m[k]; !ok {
			t.Errorf("key %q is missing", k)
		}
	}
}

// TestNotes: what was said of the start stays in the Status beside what stands, and makes nothing degraded.
func TestNotes(t *testing.T) {
	r := newRig(t, nil)
	for n := 1; n <= 2; n++ {
		r.join(n)
		r.link(n, true)
	}
	r.do(StartNotes{[]string{"one", "two"}})
	r.do(StartNotes{[]string{"two", "three"}})
	if s := r.l.Status(); s.State != "up" || s.Reason != "" ||
		!slices.Equal(s.Warnings, []string{"one", "two", "three"}) {
		t.Errorf("state %s (%s), warnings %q", s.State, s.Reason, s.Warnings)
	}
	r.do(Warn{Key: "k", Text: "stands"})
	if s := r.l.Status(); s.State != "degraded" || s.Reason != "stands" ||
		!slices.Equal(s.Warnings, []string{"stands", "one", "two", "three"}) {
		t.Errorf("state %s (%s), warnings %q", s.State, s.Reason, s.Warnings)
	}
	for i := range 1000 {
		r.do(StartNotes{[]string{fmt.Sprint(i)}})
	}
	if n := len(r.l.Status().Warnings); n > maxNotes+1 {
		t.Errorf("%d warnings", n)
	}
}

// TestDatapathChanged: the status names the data path and why; another data path is an event, another reason
// is not.
func TestDatapathChanged(t *testing.T) {
	l, err := NewLoop(activeBackup(), LoopOptions{Datapath: "relay", DatapathReason: "the team starts"})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1, 0)
	l.Handle(now, Tick{})
	for _, step := range []struct {
		in     DatapathChanged
		events []string
	}{
		{DatapathChanged{"relay", "asked for"}, nil},
		{DatapathChanged{"fastpath", "the kernel moves"},
			[]string{"datapath-changed: fastpath, was relay: the kernel moves"}},
		{DatapathChanged{"fastpath", "the kernel moves"}, nil},
		{DatapathChanged{"relay", "eth1: held"}, []string{"datapath-changed: relay, was fastpath: eth1: held"}},
	} {
		var events []string
		for _, e := range l.Handle(now, step.in).Events {
			events = append(events, e.Event+": "+e.Reason)
		}
		if diff := cmp.Diff(step.events, events); diff != "" {
			t.Errorf("after %v events (-want +got):\n%s", step.in, diff)
		}
		st := l.Status()
		if got := (DatapathChanged{st.Datapath, st.DatapathReason}); got != step.in {
			t.Errorf("status says %v, want %v", got, step.in)
		}
		if counts := map[string]string{"relay": "all",
			"fastpath": "relayed"}[step.in.Name]; st.Adapter.KernelCounts != counts {
			t.Errorf("in %s the kernel counts %q, want %q", step.in.Name, st.Adapter.KernelCounts, counts)
		}
	}
}

// TestStatusHasTheLiveSettings: each live setting stands in the status, most among the settings.
func TestStatusHasTheLiveSettings(t *testing.T) {
	fields := map[string]bool{}
	for f := range reflect.TypeFor[api.Settings]().Fields() {
		fields[f.Tag.Get("json")] = true
	}
	if len(statusRows) != len(fields) {
		t.Errorf("%d rows for %d fields", len(statusRows), len(fields))
	}
	elsewhere := map[string]bool{"mode": true, "balance": true, "active": true, "mtu": true, "weight": true,
		"port_priority": true, "undamp": true}
	for i := range settings.Table {
		if s := &settings.Table[i]; s.Live && fields[s.JSONKey()] == elsewhere[s.Key] {
			t.Errorf("%s: in settings %v, elsewhere %v", s.Key, fields[s.JSONKey()], elsewhere[s.Key])
		}
	}
}
