// SPDX-License-Identifier: MIT

package control

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestSocketComesBack: a team whose socket somebody takes away, with its directory or alone, is found again, and leaves
// nothing behind.
func TestSocketComesBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	s, err := Listen(filepath.Join(dir, "team0.sock"), &fake{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }()
	answers := func() {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			_, err := NewClient(dir, "team0").Status(ctx) // by a connection of its own
			if err == nil {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("nobody answers: %v", err)
			}
		}
	}
	answers()
	for _, take := range []func() error{
		func() error { return os.Remove(filepath.Join(dir, "team0.sock")) },
		func() error { return os.Rename(dir, dir+".old") },
	} {
		if err := take(); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o750); err != nil {
			t.Fatal(err)
		}
		answers()
		st, err := os.Lstat(filepath.Join(dir, "team0.sock"))
		if err != nil || st.Mode().Perm() != 0o660 {
			t.Errorf("mode %v, %v", st, err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if list, _ := os.ReadDir(dir); len(list) != 0 {
		t.Errorf("leftovers: %v", list)
	}
}
