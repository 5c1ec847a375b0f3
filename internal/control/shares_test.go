// SPDX-License-Identifier: MIT

package control

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
)

// dialAs connects to the team as another user. It leaves the descriptors to the end of the test.
func dialAs(t *testing.T, dir string, uid int) net.Conn {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	become := func(uid int) {
		const keep = ^uintptr(0)
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, keep, uintptr(uid), keep); e != 0 { // this thread alone
			t.Fatalf("become %d: %v", uid, e)
		}
	}
	become(uid)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: filepath.Join(dir, "team0.sock")})
	}
	become(0)
	if err != nil {
		t.Fatalf("connect as %d: %v", uid, err)
	}
	f := os.NewFile(uintptr(fd), "")
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// answerTo sends a request and returns the beginning of the answer.
func answerTo(t *testing.T, c net.Conn, request string) string {
	t.Helper()
	if _, err := io.WriteString(c, request+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return err.Error()
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		return err.Error()
	}
	return string(b[:n])
}

// TestOneUserLeavesRoom: whatever a user who may only look takes, root and another such user are answered, and he is
// told what the limit is.
func TestOneUserLeavesRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	const greedy, other = 1000, 1001
	for name, take := range map[string]struct {
		request string // "": none
		n       int
		refusal string
	}{
		"connections": {"", 600, ""},
		"questions":   {"GET /v1/status", 30, "4 connections of uid 1000 are open"},
		"streams":     {"GET /v1/rates?interval=1h", 4, "3 streams of uid 1000 are open"},
		"histories":   {"GET /v1/history", 2, ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := serve(t, &vast{}, Options{Readers: 8, Writers: 8, readTime: time.Minute, idleTime: time.Minute,
				writeTime: time.Minute})
			openWay(t, dir)
			if err := os.Chmod(filepath.Join(dir, "team0.sock"), 0o666); err != nil {
				t.Fatal(err)
			}
			refused := ""
			for range take.n {
				c := dialAs(t, dir, greedy)
				if take.request == "" {
					continue
				}
				if got := answerTo(t, c, take.request); !strings.HasPrefix(got, "HTTP/1.1 200") {
					refused = got
					break
				}
			}
			if !strings.Contains(refused, take.refusal) || refused != "" && !strings.Contains(refused, `"code":8`) {
				t.Errorf("he is refused with %q, want %q", refused, take.refusal)
			}
			for _, uid := range []int{0, other} {
				requests := []string{"GET /v1/status", "GET /v1/rates?interval=1h"}
				if uid == 0 {
					requests = append(requests, "GET /v1/history")
				}
				for _, request := range requests {
					if got := answerTo(t, dialAs(t, dir, uid), request); !strings.HasPrefix(got, "HTTP/1.1 200") {
						t.Errorf("uid %d, %s: %q", uid, request, got)
					}
				}
			}
		})
	}
}

// vast has a history that fills the buffers of a client that does not read it.
type vast struct{ fake }

func (v *vast) History(api.HistoryQuery) (*api.History, error) {
	return &api.History{Schema: "nicteam.history/v1", RX: api.SeriesColumns{Bytes: make([]uint64, 1<<20)}}, nil
}

// TestWaitingForASlot: root waits for a slot whoever else does.
func TestWaitingForASlot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	f := &fake{}
	dir := serve(t, f, Options{Readers: 4, Writers: 4, readTime: 700 * time.Millisecond})
	openWay(t, dir)
	if err := os.Chmod(filepath.Join(dir, "team0.sock"), 0o666); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		dialAs(t, dir, 0)
	}
	for range 2 * waitMost {
		dialAs(t, dir, 1000)
	}
	c := NewClient(dir, "team0")
	defer c.Close()
	if _, err := c.Add(t.Context(), []string{"eth1"}, ChangeOptions{}); err != nil {
		t.Errorf("add: %v", err)
	}
}
