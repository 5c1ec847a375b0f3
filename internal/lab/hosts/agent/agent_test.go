// SPDX-License-Identifier: MIT

package agent

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func connect(t *testing.T) (*Client, net.Conn) {
	t.Helper()
	guest, driver := net.Pipe()
	go func() { _ = Serve(guest, guest) }()
	t.Cleanup(func() { guest.Close(); driver.Close() })
	return NewClient(driver), guest
}

func TestRun(t *testing.T) {
	c, _ := connect(t)
	out, code, err := c.Run(t.Context(), "echo out; echo err >&2; exit 7", time.Minute)
	if out != "out\nerr\n" || code != 7 || err != nil {
		t.Errorf("%q, %d, %v", out, code, err)
	}
	// A command that goes on in the background does not hold the answer.
	if out, _, err := c.Run(t.Context(), "sleep 5 & echo begun", time.Minute); out != "begun\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}

func TestRunEndsWhatTakesTooLong(t *testing.T) {
	c, _ := connect(t)
	file := filepath.Join(t.TempDir(), "late")
	out, _, err := c.Run(t.Context(), "echo begun; sleep 3; touch "+file, time.Second)
	if err == nil || !strings.Contains(err.Error(), "still running after 1 s") || out != "begun\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the command went on")
	}
}

// A slow command does not delay others, and each gets its own answer.
func TestRunSideBySide(t *testing.T) {
	c, _ := connect(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	slow := make(chan string)
	go func() {
		out, _, err := c.Run(t.Context(), "mkfifo "+fifo+"; cat "+fifo, time.Minute)
		if err != nil {
			out = err.Error()
		}
		slow <- out
	}()
	if out, _, err := c.Run(t.Context(), "until [ -p "+fifo+" ]; do sleep 0.01; done; echo fast | tee "+fifo,
		time.Minute); out != "fast\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
	if out := <-slow; out != "fast\n" {
		t.Errorf("slow: %q", out)
	}
}

func TestPut(t *testing.T) {
	c, _ := connect(t)
	file := filepath.Join(t.TempDir(), "dir", "file")
	for _, n := range []int{0, 1, part, 2*part + 5} {
		want := bytes.Repeat([]byte{0xff, 'a', '\n'}, n/3+1)[:n]
		if err := c.Put(t.Context(), file, want, 0o755); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d octets: got %d, %v", n, len(got), err)
		}
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("mode of %v, %v", info, err)
		}
	}
	if err := c.Put(t.Context(), filepath.Join(file, "below"), nil, 0o644); err == nil {
		t.Error("a file below a file was written")
	}
}

func TestGone(t *testing.T) {
	c, guest := connect(t)
	go func() {
		time.Sleep(10 * time.Millisecond)
		guest.Close()
	}()
	if _, _, err := c.Run(t.Context(), "sleep 1", time.Minute); !errors.Is(err, ErrGone) {
		t.Errorf("while it runs: %v", err)
	}
	if _, _, err := c.Run(t.Context(), "true", time.Minute); !errors.Is(err, ErrGone) {
		t.Errorf("after: %v", err)
	}
}
