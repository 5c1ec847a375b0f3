// SPDX-License-Identifier: MIT

package logs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMain is also a process whose streams are a log; see TestFile.
func TestMain(m *testing.M) {
	if path := os.Getenv("LOGS_TEST_FILE"); path != "" {
		os.Exit(writes(path))
	}
	os.Exit(m.Run())
}

func opened(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
}

// writes fills the log a hundred times over, moves it away as others do, and writes on.
func writes(path string) int {
	f := Keep(path, func() (*os.File, error) { return opened(path) })
	if f == nil {
		return 3
	}
	f.max = 10_000
	for i := range 10_000 {
		fmt.Fprintf(os.Stderr, "line %06d of the log\n", i) // 23 bytes
		if i%100 == 99 {
			if err := f.rotate(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				return 1
			}
		}
	}
	if err := os.Rename(path, path+".away"); err != nil {
		return 1
	}
	if f.rotate() != nil || f.reopen() != nil {
		return 1
	}
	fmt.Println("the last line")
	return 0
}

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.log")
	file, err := opened(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{"LOGS_TEST_FILE=" + path}
	cmd.Stdout, cmd.Stderr = file, file
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := read(path); got != "the last line\n" {
		t.Errorf("after it was moved away the log has %q", got)
	}
	old, away := read(Old(path)), read(path+".away")
	for _, log := range []string{old, away} {
		if len(log) > 13_000 {
			t.Errorf("a log has %d bytes", len(log))
		}
	}
	if lines := strings.Split(old+away, "\n"); lines[len(lines)-2] != "line 009999 of the log" || len(lines) < 400 {
		t.Errorf("%d lines are kept, the last is %q", len(lines), lines[len(lines)-2])
	}
	if Keep(path, nil) != nil {
		t.Error("a process whose stderr is another file keeps the log")
	}
}
