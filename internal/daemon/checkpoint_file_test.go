// SPDX-License-Identifier: MIT

package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/team"
)

func someCheckpoint() *team.Checkpoint {
	return &team.Checkpoint{Schema: team.CheckpointSchema, Team: "team0", At: time.Now(), Mode: "elb", State: "up",
		Since: time.Now().Add(-time.Hour)}
}

func TestCheckpointFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.state")
	var failed error
	w := &checkpointWriter{path: path, failed: func(err error) { failed = err }}
	want := someCheckpoint()
	w.write(want)
	got, err := loadCheckpoint(path)
	if err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	if d := got.Since.Sub(want.Since).Abs(); d > 100*time.Millisecond || got.Team != want.Team ||
		got.At.Sub(want.At).Abs() > 100*time.Millisecond {
		t.Errorf("read %+v, want %+v", got, want)
	}
	// The same again is not written.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	later := *want
	later.At = later.At.Add(-time.Second)
	w.write(&later)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what has not changed is written: %v", err)
	}
	later.State = "degraded"
	w.write(&later)
	if _, err := loadCheckpoint(path); err != nil {
		t.Error(err)
	}
	w.write(nil)
	if _, err := loadCheckpoint(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the end of the team: %v", err)
	}
	// A file that cannot be written leaves no older one, which would be taken for the present state.
	w.write(want)
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path+".new", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.write(&later)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) || failed == nil {
		t.Errorf("after a failure: %v, reported %v", err, failed)
	}
}

func TestCheckpointFileRefused(t *testing.T) {
	whole := func(change func(*checkpointDocument)) string {
		d := checkpointDocument{checkpointSchema, "boot", 5, someCheckpoint()}
		change(&d)
		b, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if _, at, err := parseCheckpoint([]byte(whole(func(*checkpointDocument) {})), "boot", 7); err != nil || at != 5 {
		t.Errorf("at %v, %v", at, err)
	}
	for name, tt := range map[string]struct{ text, why string }{
		"empty":     {"", "inconsistent"},
		"cut off":   {whole(func(*checkpointDocument) {})[:100], "inconsistent"},
		"version":   {whole(func(d *checkpointDocument) { d.Schema = "nicteam.state/v9" }), "another version"},
		"boot":      {whole(func(d *checkpointDocument) { d.Boot = "other" }), "before the boot"},
		"nothing":   {whole(func(d *checkpointDocument) { d.Checkpoint = nil }), "inconsistent"},
		"future":    {whole(func(d *checkpointDocument) { d.BootTime = 8 }), "inconsistent"},
		"no time":   {whole(func(d *checkpointDocument) { d.BootTime = -1 }), "inconsistent"},
		"wrong key": {strings.Replace(whole(func(*checkpointDocument) {}), `"at"`, `"at":7,"x"`, 1), "inconsistent"},
	} {
		_, _, err := parseCheckpoint([]byte(tt.text), "boot", 7)
		if err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v", name, err)
		}
	}
	path := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/etc/passwd", path); err != nil {
		t.Fatal(err)
	}
	if _, err := loadCheckpoint(path); err == nil {
		t.Error("a symbolic link is followed")
	}
}

// FuzzCheckpointFile: what is read, written again, is read as the same.
func FuzzCheckpointFile(f *testing.F) {
	b, err := json.Marshal(checkpointDocument{checkpointSchema, "boot", 5, someCheckpoint()})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(bytes.Replace(b, []byte(`"state":"up"`), []byte(`"mode_state":{"single":{"active":1}}`), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, at, err := parseCheckpoint(b, "boot", time.Hour)
		if err != nil {
			return
		}
		if c == nil || at < 0 || at > time.Hour {
			t.Fatalf("%v at %v", c, at)
		}
		again, err := json.Marshal(checkpointDocument{checkpointSchema, "boot", int64(at), c})
		if err != nil {
			return // a time or an address that JSON cannot have: no loop writes such
		}
		d, then, err := parseCheckpoint(again, "boot", time.Hour)
		if err != nil || then != at {
			t.Fatalf("at %v, %v, want %v", then, err, at)
		}
		if diff := cmp.Diff(c, d, cmpopts.EquateEmpty(), cmp.Comparer(func(a,
			b netip.Addr) bool {
			return a == b
		})); diff != "" {
			t.Fatalf("-read +read again\n%s", diff)
		}
	})
}

// Processes that die soon after their start are counted, so that what they begin with is not tried for ever.
func TestShortLivesAreCounted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.process")
	start := func(handedOver bool) *lifetime {
		l := newLifetime(path, "1")
		if err := l.save(handedOver); err != nil {
			t.Fatal(err)
		}
		return l
	}
	for want := range 4 {
		if got := start(want == 3).record.ShortLived; got != want {
			t.Errorf("%d processes are said to have died soon, want %d", got, want)
		}
	}
	if got := start(false).record.ShortLived; got != 0 {
		t.Errorf("after a hand over %d", got)
	}
	l := newLifetime(path, "1")
	l.record.BootTime -= int64(2 * shortLife)
	if err := l.save(false); err != nil {
		t.Fatal(err)
	}
	if got := newLifetime(path, "1").record.ShortLived; got != 0 {
		t.Errorf("after a long life %d", got)
	}
}
