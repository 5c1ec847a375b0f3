// SPDX-License-Identifier: MIT

package daemon

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestStateFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	if _, err := readState(path, 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing is there: %v", err)
	}
	if err := writeState(path, map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if b, err := readState(path, 8); string(b) != "{\"a\":1}\n" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"a longer file": second(readState(path, 7)),
		"a link":        second(readState(link, 100)),
		"a directory":   second(readState(dir, 1<<20)),
	} {
		if err == nil {
			t.Errorf("%s is read", what)
		}
	}
}

func second(_ []byte, err error) error { return err }
