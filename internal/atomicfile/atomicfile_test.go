// SPDX-License-Identifier: MIT

package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func TestWriteIsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "team0.history")
	write := func(s string, err error) func(io.Writer) error {
		return func(w io.Writer) error {
			_, _ = io.WriteString(w, s)
			return err
		}
	}
	if err := Write(path, 0o640, write("one", nil)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+unfinished, []byte("what a process that was killed had written"), 0o600); err != nil {
		t.Fatal(err)
	}
	no := errors.New("no")
	if err := Write(path, 0o640, write("two", no)); !errors.Is(err, no) {
		t.Errorf("error %v", err)
	}
	got, err := os.ReadFile(path)
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
	if err := Write(filepath.Join(dir, "no", "file"), 0o640, write("", nil)); err == nil {
		t.Error("no directory, and no error")
	}
}
