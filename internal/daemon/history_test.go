// SPDX-License-Identifier: MIT

package daemon

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
)

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
