// SPDX-License-Identifier: MIT

package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

func TestReadBounded(t *testing.T) {
	dir := t.TempDir()
	if b, err := readBounded(filepath.Join(dir, "nothing")); b != nil || err != nil {
		t.Errorf("nothing is there: %v, %v", b, err)
	}
	if _, err := readBounded(dir); err == nil {
		t.Error("a directory is no past")
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxHistoryFile+1); err != nil {
		t.Fatal(err)
	}
	if _, err := readBounded(large); err == nil {
		t.Error("a file without end is no past")
	}
}

func TestParseEvents(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	want := []api.Event{
		{Schema: "nicteam.event/v1", Time: at, Team: "team0", Event: "member-down", Member: "eth1",
			Reason: "carrier lost", Took: 420000},
		{Schema: "nicteam.event/v1", Time: at.Add(1), Team: "team0", Event: "team-down"},
	}
	b := []byte(`{"schema":"nicteam.event/v1","time":"2026-01-02T03:04:05.000000006Z","team":"team0","event":"member-down","member":"eth1","reason":"carrier lost","took_ns":420000}
{"schema":"nicteam.event/v9","event":"team-up"}
not an event

{"schema":"nicteam.event/v1","time":"2026-01-02T03:04:05.000000007Z","team":"team0","event":"team-down"}
{"schema":"nicteam.event/v1","time":"2026-01-02T03:04:05.00000`)
	if d := cmp.Diff(want, parseEvents(b)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzParseEvents(f *testing.F) {
	f.Add([]byte("{\"schema\":\"nicteam.event/v1\",\"event\":\"team-up\"}\n\r\n\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(parseEvents(b)); n > 1+bytes.Count(b, []byte("\n")) {
			t.Errorf("%d events", n)
		}
	})
}
