// SPDX-License-Identifier: MIT

package journal

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/rtnl"
)

// Records that are written together are on disk as if written one after the other. A process that dies meanwhile leaves
// the first ones, and they count.
func TestRecordsWrittenTogether(t *testing.T) {
	_, all := sample(t)
	for dies := range len(all) + 1 {
		path := PathOf(t.TempDir(), "team0")
		count := 0
		at := func(point string) error {
			if !strings.HasPrefix(point, "journal ") {
				return nil
			}
			if count++; count > dies {
				return rtnl.ErrInjectedCrash
			}
			return nil
		}
		j, err := Create(path, nil, at)
		labtest.Must(t, err)
		if err := j.Write(all...); rtnl.IsInjectedCrash(err) != (dies < len(all)) {
			t.Fatalf("dies at %d: %v", dies, err)
		}
		j.Close()
		b, err := os.ReadFile(path)
		labtest.Must(t, err)
		got, err := read(t, b)
		labtest.Must(t, err)
		if d := cmp.Diff(all[:dies], got, exported); dies > 0 && d != "" || dies == 0 && len(got) > 0 {
			t.Fatalf("dies at record %d (-want +got):\n%s", dies, d)
		}
		again, err := Open(path, nowhere)
		labtest.Must(t, err)
		again.Close()
		if d := cmp.Diff(again.State, j.State, exported); d != "" {
			t.Fatalf("dies at record %d: state (-read +had):\n%s", dies, d)
		}
	}
}

// What the state implies takes no line, also within a group.
func TestRecordsWrittenTogetherLeaveOutWhatIsKnown(t *testing.T) {
	path, all := sample(t)
	j, err := Open(path, nowhere)
	labtest.Must(t, err)
	defer j.Close()
	was, err := os.Stat(path)
	labtest.Must(t, err)
	labtest.Must(t, j.Write(Record{Kind: KindAdapter, Adapter: all[1].Adapter},
		Record{Kind: KindAdopt, Members: []int{1}}))
	labtest.Must(t, j.Write())
	is, err := os.Stat(path)
	labtest.Must(t, err)
	if is.Size() != was.Size() {
		t.Errorf("the journal grew by %d octets", is.Size()-was.Size())
	}
}
