// SPDX-License-Identifier: MIT

package daemon

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/config"
	"nicteam/internal/launch"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
)

func lacpMemory() *lacp.Memory {
	return &lacp.Memory{System: lacp.SystemID{Priority: 65535, MAC: 0x020000000001}, Ports: []lacp.PortMemory{
		{Name: "eth1", Number: 1, Key: 9, Aggregator: 1, Mux: lacp.MuxDistributing, Selected: true, Heard: true,
			Partner: lacp.Info{System: lacp.SystemID{Priority: 1, MAC: 0x020000000002}, Key: 7, PortPriority: 255,
				Port: 3, State: 0x3f}},
		{Name: "eth2", Number: 2},
	}}
}

func TestLACPStateIsKept(t *testing.T) {
	var log bytes.Buffer
	s := &session{dirs: launch.Dirs{RunDir: t.TempDir()}, log: slog.New(slog.NewTextHandler(&log, nil))}
	want := lacpMemory()
	if got := s.loadLACPState("team0", true); got != nil {
		t.Errorf("state %+v of no file", got)
	}
	keep := s.saveLACPState("team0")
	keep(&lacp.Memory{})
	keep(want)
	if d := cmp.Diff(want, s.loadLACPState("team0", true)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	path := s.dirs.LACPStateFile("team0")
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", st, err)
	}
	if log.Len() != 0 {
		t.Errorf("logged: %s", log.String())
	}

	// A new team does not use the state of an earlier one.
	if got := s.loadLACPState("team0", false); got != nil {
		t.Errorf("a new team has %+v", got)
	}
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Errorf("the file is left: %v", err)
	}
	s.dirs.RunDir = "/nonexistent"
	keep = s.saveLACPState("team0")
	keep(want)
	if !strings.Contains(log.String(), "LACP state not saved") {
		t.Errorf("logged: %s", log.String())
	}
}

func TestBadLACPStateIsIgnored(t *testing.T) {
	for _, tt := range []struct{ name, text string }{
		{"empty", ""},
		{"truncated",
			`{"schema":"nicteam.lacp-memory/v1","system":{"Priority":65535,"MAC":"02:00:00:00:00:01"},"ports":[{"name":"eth`},
		{"not JSON", "LACP"},
		{"other schema", `{"schema":"nicteam.status/v1","system":{"MAC":"02:00:00:00:00:01"},"ports":[]}`},
		{"no schema", `{"system":{"MAC":"02:00:00:00:00:01"},"ports":[]}`},
		{"no system", `{"schema":"nicteam.lacp-memory/v1","ports":[{"name":"eth1","number":1}]}`},
		{"group system",
			`{"schema":"nicteam.lacp-memory/v1","system":{"MAC":"01:00:00:00:00:01"},"ports":[{"name":"eth1","number":1}]}`},
		{"no number",
			`{"schema":"nicteam.lacp-memory/v1","system":{"MAC":"02:00:00:00:00:01"},"ports":[{"name":"eth1"}]}`},
		{"number twice",
			`{"schema":"nicteam.lacp-memory/v1","system":{"MAC":"02:00:00:00:00:01"},"ports":[{"name":"eth1","number":1},{"name":"eth2","number":1}]}`},
		{"name twice",
			`{"schema":"nicteam.lacp-memory/v1","system":{"MAC":"02:00:00:00:00:01"},"ports":[{"name":"eth1","number":1},{"name":"eth1","number":2}]}`},
		{"no such Mux",
			`{"schema":"nicteam.lacp-memory/v1","system":{"MAC":"02:00:00:00:00:01"},"ports":[{"name":"eth1","number":1,"mux":9}]}`},
		{"aggregator",
			`{"schema":"nicteam.lacp-memory/v1","system":{"MAC":"02:00:00:00:00:01"},"ports":[{"name":"eth1","number":1,"aggregator":-1}]}`},
		{"number too large",
			`{"schema":"nicteam.lacp-memory/v1","system":{"MAC":"02:00:00:00:00:01"},"ports":[{"name":"eth1","number":65536}]}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			s := &session{dirs: launch.Dirs{RunDir: t.TempDir()}, log: slog.New(slog.NewTextHandler(&log, nil))}
			if err := os.WriteFile(s.dirs.LACPStateFile("team0"), []byte(tt.text), 0o640); err != nil {
				t.Fatal(err)
			}
			if got := s.loadLACPState("team0", true); got != nil ||
				!strings.Contains(log.String(), "LACP state discarded") {
				t.Errorf("state %+v, logged: %s", got, log.String())
			}
		})
	}
	if _, err := parseLACPState(
		[]byte(
			`{"schema":"nicteam.lacp-memory/v1","system":{"MAC":"02:00:00:00:00:01"},"ports":[{"name":"eth1","number":1}]}`)); err != nil {
		t.Errorf("a good one: %v", err)
	}
}

// TestRandomSystemStays: lacp_system=random keeps its value over restarts.
func TestRandomSystemStays(t *testing.T) {
	c := settings.DefaultConfig()
	c.Team, c.Mode, c.LACP.System = "team0", modes.LACP, 0x020000000005
	o := Options{Config: c, Dirs: launch.Dirs{RunDir: t.TempDir()}}
	o.Config.LACP.System = 0x020000000006
	if o.keepRandomSystem(); o.Config.LACP.System != 0x020000000006 {
		t.Errorf("%v, though none was before", o.Config.LACP.System)
	}
	if err := config.Save(o.RunningConfig("team0"), c); err != nil {
		t.Fatal(err)
	}
	if o.keepRandomSystem(); o.Config.LACP.System != 0x020000000005 {
		t.Errorf("%v, want the one before", o.Config.LACP.System)
	}
	c.LACP.System = 0 // auto then: it was asked to be another one
	if err := config.Save(o.RunningConfig("team0"), c); err != nil {
		t.Fatal(err)
	}
	o.Config.LACP.System = 0x020000000007
	if o.keepRandomSystem(); o.Config.LACP.System != 0x020000000007 {
		t.Errorf("%v, want the one drawn", o.Config.LACP.System)
	}
}
