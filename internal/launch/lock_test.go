// SPDX-License-Identifier: MIT

package launch

import (
	"errors"
	"testing"

	"nicteam/internal/api"
)

// TestExiting parses lines of /proc/PID/stat.
func TestExiting(t *testing.T) {
	for _, tt := range []struct {
		name, stat string
		want       bool
	}{
		{"at rest", "42 (nicteam) S 1 42 42 0 -1 1077936448 1 0 0 0 3 2 0 0 20 0 9 0 1 2 3 4 5 6 7 8 9 0 0 0 " +
			"2143420159", false},
		{"name with parentheses", "42 (a) Z (b) S 1 42 42 0 -1 1077936448 1 0 0 0 3 2 0 0 20 0 9 0 1 2 3 4 5 6 7 8 " +
			"9 0 0 0 2143420159", false},
		{"dead", "42 (nicteam) Z 1 42 42 0 -1 4228364 1 0 0 0 3 2 0 0 20 0 9 0 1 2 3 4 5 6 7 8 9 0 0 0 2143420159",
			true},
		{"lets go of things", "42 (nicteam) D 1 42 42 0 -1 4228364 1 0 0 0 3 2 0 0 20 0 9 0 1 2 3 4 5 6 7 8 9 0 0 0 " +
			"2143420159", true},
		{"killed a moment ago", "42 (nicteam) S 1 42 42 0 -1 1077936448 1 0 0 0 3 2 0 0 20 0 9 0 1 2 3 4 5 6 7 8 9 " +
			"256 0 0 2143420159", true},
		{"SIGTERM waits", "42 (nicteam) S 1 42 42 0 -1 1077936448 1 0 0 0 3 2 0 0 20 0 9 0 1 2 3 4 5 6 7 8 9 16384 " +
			"0 0 2143420159", false},
		{"nothing", "", false},
	} {
		if got := exiting(tt.stat); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// TestLeave: the lock of a process that leaves the adapter to the next one is held until the process has ended.
func TestLeave(t *testing.T) {
	d := Dirs{RunDir: t.TempDir(), StateDir: t.TempDir(), ConfigDir: t.TempDir()}
	l, err := LockTeam(d, "team0")
	if err != nil {
		t.Fatal(err)
	}
	l.Leave()
	_ = l.file.Close() // as the garbage collector may
	_, err = LockTeam(d, "team0")
	if p := (*api.Problem)(nil); !errors.As(err, &p) || p.Kind != api.Conflict {
		t.Errorf("a second lock: %v, want a conflict", err)
	}
}
