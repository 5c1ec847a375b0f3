package host

import (
	"errors"
	"fmt"
	"testing"
)

// dieAt returns a hook that dies at the nth point, and a way to ask whether it did.
func dieAt(n int) (at func(string) error, where *string) {
	where = new(string)
	count := 0
	return func(point string) error {
		if count++; count >= n {
			if *where == "" {
				*where = point
			}
			return fmt.Errorf("%s: %w", point, errDead)
		}
		return nil
	}, where
}

// TestDeathAnywhere dies at every single change of host and journal, in create, in delete and in restore itself, and
// then restores: the host must be as it was.
func TestDeathAnywhere(t *testing.T) {
	for _, during := range []string{"create", "delete", "restore"} {
		t.Run(during, func(t *testing.T) {
			step := 1
			if testing.Short() {
				step = 7
			}
			for n := 1; ; n += step {
				if !diesAndRestores(t, during, n) || t.Failed() {
					break
				}
			}
		})
	}
}

// diesAndRestores dies at the nth point; false when there are fewer.
func diesAndRestores(t *testing.T, during string, n int) (died bool) {
	w := newWorld(t)
	w.furnish()
	before := snapshot(t)
	at, where := dieAt(n)
	dies := func(err error) {
		if *where == "" && err != nil {
			t.Fatalf("%s: %v", during, err)
		}
		if *where != "" && !errors.Is(err, errDead) {
			t.Fatalf("died at %q, but %s went on: %v", *where, during, err)
		}
	}
	h := w.open(nil)
	if during == "create" {
		h.o.at = at
		dies(takeover(w, h))
	} else {
		must(t, takeover(w, h))
		if during == "delete" {
			h.o.at = at
			if h.journal != nil {
				h.journal.at = h.at
			}
			_, err := h.ReleaseAll(nil)
			if err == nil {
				_, err = h.Finish()
			}
			dies(err)
		}
	}
	h.Close() // what the kernel does with a dead process's descriptors
	h = w.open(nil)
	if during == "restore" {
		h.o.at = at
		if h.journal != nil {
			h.journal.at = h.at
		}
		_, err := h.Restore()
		dies(err)
		h.Close()
		h = w.open(nil)
	}
	out, err := h.Restore()
	if err != nil {
		t.Fatalf("died at %d %q: restore: %v", n, *where, err)
	}
	h.Close()
	compare(t, before, snapshot(t))
	if t.Failed() {
		t.Logf("died at %d, %q, during %s; notes: %q", n, *where, during, out.Notes)
	}
	return *where != ""
}
