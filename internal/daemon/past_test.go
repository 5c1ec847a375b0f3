package daemon

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"nicteam/internal/api"
)

func TestReplaceIsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "team0.history")
	write := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, _ = io.WriteString(w, s)
			return err
		}
	}
	if err := replace(path, write("one", nil)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+unfinished, []byte("what a process that was killed had written"), 0o600); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	if err := replace(path, write("two", no)); !errors.Is(err, no) {
		t.Errorf("error %v", err)
	}
	got, err := readPast(path)
	if err != nil || string(got) != "one" {
		t.Errorf("%q, %v", got, err)
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("files %v", list)
	}
	if err := replace(filepath.Join(dir, "no", "file"), write("", nil)); err == nil {
		t.Error("no directory, and no error")
	}
}

func TestReadPastRefuses(t *testing.T) {
	dir := t.TempDir()
	if b, err := readPast(filepath.Join(dir, "nothing")); b != nil || err != nil {
		t.Errorf("nothing is there: %v, %v", b, err)
	}
	if _, err := readPast(dir); err == nil {
		t.Error("a directory is no past")
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxPast+1); err != nil {
		t.Fatal(err)
	}
	if _, err := readPast(large); err == nil {
		t.Error("a file without end is no past")
	}
}

func TestEventsOf(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	want := []api.Event{
		{Schema: "nicteam.event/v1", Time: at, Team: "team0", Event: "member-down", Member: "eth1", Reason: "carrier lost", Took: 420000},
		{Schema: "nicteam.event/v1", Time: at.Add(1), Team: "team0", Event: "team-down"},
	}
	b := []byte(`{"schema":"nicteam.event/v1","time":"2026-01-02T03:04:05.000000006Z","team":"team0","event":"member-down","member":"eth1","reason":"carrier lost","took_ns":420000}
{"schema":"nicteam.event/v9","event":"team-up"}
not an event

{"schema":"nicteam.event/v1","time":"2026-01-02T03:04:05.000000007Z","team":"team0","event":"team-down"}
{"schema":"nicteam.event/v1","time":"2026-01-02T03:04:05.00000`)
	if d := cmp.Diff(want, eventsOf(b)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func FuzzEventsOf(f *testing.F) {
	f.Add([]byte("{\"schema\":\"nicteam.event/v1\",\"event\":\"team-up\"}\n\r\n\n{}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n := len(eventsOf(b)); n > 1+bytes.Count(b, []byte("\n")) {
			t.Errorf("%d events", n)
		}
	})
}
