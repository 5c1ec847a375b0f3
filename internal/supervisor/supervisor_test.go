// SPDX-License-Identifier: MIT

package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestMain is also a process that Exec replaces, and the program that replaces it; see TestExecKeepsDescriptors.
func TestMain(m *testing.M) {
	switch os.Getenv("SUPERVISOR_TEST") {
	case "before":
		os.Exit(before())
	case "after":
		os.Exit(after())
	}
	os.Exit(m.Run())
}

// message is what a fake supervisor received.
type message struct {
	text string
	fds  []int
}

// receive reads a message of at most a second from now.
func receive(t *testing.T, socket int) (message, bool) {
	t.Helper()
	tv := unix.NsecToTimeval(time.Second.Nanoseconds())
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	text, oob := make([]byte, 4096), make([]byte, 256)
	n, m, _, _, err := unix.Recvmsg(socket, text, oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil || n == 0 {
		return message{}, false
	}
	got := message{text: string(text[:n])}
	parts, err := unix.ParseSocketControlMessage(oob[:m])
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		fds, err := unix.ParseUnixRights(&p)
		if err != nil {
			t.Fatal(err)
		}
		got.fds = append(got.fds, fds...)
	}
	t.Cleanup(func() {
		for _, fd := range got.fds {
			_ = unix.Close(fd)
		}
	})
	return got, true
}

// underSystemd returns a Supervisor of kind Systemd and the other end of its socket.
func underSystemd(t *testing.T) (*Supervisor, int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", path)
	return FromEnv(), fd
}

// underKeeper returns a Supervisor of kind Keeper and the other end of its socket.
func underKeeper(t *testing.T) (*Supervisor, int) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(pair[1]) })
	setSendTimeout(pair[0])
	s := &Supervisor{kind: Keeper, socket: pair[0]}
	t.Cleanup(func() { _ = unix.Close(pair[0]) })
	return s, pair[1]
}

// pipe returns two distinct open descriptors.
func pipe(t *testing.T) (r, w int) {
	t.Helper()
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(p[0]); _ = unix.Close(p[1]) })
	return p[0], p[1]
}

// sameFile reports whether two descriptors are one open file (kcmp(2)).
func sameFile(t *testing.T, a, b int) bool {
	t.Helper()
	const file = 0
	pid := uintptr(os.Getpid())
	r, _, e := unix.Syscall6(unix.SYS_KCMP, pid, pid, file, uintptr(a), uintptr(b), 0)
	if e != 0 {
		t.Skipf("kcmp: %v", e)
	}
	return r == 0
}

func TestMessages(t *testing.T) {
	fd, _ := pipe(t)
	replace := []string{"FDSTOREREMOVE=1\nFDNAME=socket-3", "FDSTORE=1\nFDNAME=socket-3\nFDPOLL=0"}
	calls := []struct {
		name     string
		call     func(s *Supervisor) error
		systemd  []string
		keeper   []string
		withFD   bool // the last message carries fd
		wantFail bool
	}{
		{name: "one line", call: func(s *Supervisor) error { return s.Notify("READY=1") },
			systemd: []string{"READY=1"}},
		{name: "lines", call: func(s *Supervisor) error { return s.Notify("READY=1", "STATUS=2/2 up, elb") },
			systemd: []string{"READY=1\nSTATUS=2/2 up, elb"}},
		{name: "put", call: func(s *Supervisor) error { return s.Put("socket-3", fd) }, systemd: replace,
			keeper: replace[1:], withFD: true},
		{name: "remove", call: func(s *Supervisor) error { return s.Remove("tap") },
			systemd: []string{"FDSTOREREMOVE=1\nFDNAME=tap"}},
		{name: "no name", call: func(s *Supervisor) error { return s.Put("", fd) }, wantFail: true},
		{name: "colon", call: func(s *Supervisor) error { return s.Put("a:b", fd) }, wantFail: true},
		{name: "line feed", call: func(s *Supervisor) error { return s.Put("a\nREADY=1", fd) }, wantFail: true},
		{name: "too long", call: func(s *Supervisor) error { return s.Put(strings.Repeat("n", 256), fd) },
			wantFail: true},
		{name: "remove no name", call: func(s *Supervisor) error { return s.Remove("a\nb") }},
	}
	for _, c := range calls {
		if c.keeper == nil {
			c.keeper = c.systemd
		}
		for kind, want := range map[string][]string{Systemd: c.systemd, Keeper: c.keeper} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				s, end := underSystemd(t)
				if kind == Keeper {
					s, end = underKeeper(t)
				}
				if s.Kind() != kind {
					t.Errorf("kind %q", s.Kind())
				}
				if err := c.call(s); (err != nil) != c.wantFail {
					t.Fatalf("error %v", err)
				}
				for i, text := range want {
					got, ok := receive(t, end)
					if !ok || got.text != text {
						t.Fatalf("message %d is %q, want %q", i, got.text, text)
					}
					if c.withFD && i == len(want)-1 {
						if len(got.fds) != 1 || !sameFile(t, got.fds[0], fd) {
							t.Errorf("descriptors %v", got.fds)
						}
					} else if len(got.fds) > 0 {
						t.Errorf("descriptors %v", got.fds)
					}
				}
				if p := []unix.PollFd{{Fd: int32(end), Events: unix.POLLIN}}; readable(p) {
					t.Error("one more message")
				}
			})
		}
	}
}

func readable(p []unix.PollFd) bool {
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&unix.POLLIN != 0
}

func TestNobody(t *testing.T) {
	for _, name := range []string{"NOTIFY_SOCKET", "LISTEN_FDS"} {
		t.Setenv(name, "")
	}
	s := FromEnv()
	if s != nil {
		t.Fatalf("a supervisor without one: %+v", s)
	}
	fd, _ := pipe(t)
	if err := errors.Join(s.Notify("READY=1"), s.Put("tap", fd), s.Remove("tap"), s.Sync(), s.Discard()); err != nil {
		t.Error(err)
	}
	if _, ok := s.Take("tap"); ok || s.Kind() != "" || s.Watchdog() != 0 || s.Names() != nil || s.Lost() {
		t.Error("nobody keeps something")
	}
}

func TestSync(t *testing.T) {
	s, end := underKeeper(t)
	synced := make(chan error, 1)
	go func() { synced <- s.Sync() }()
	got, ok := receive(t, end)
	if !ok || got.text != "BARRIER=1" || len(got.fds) != 1 {
		t.Fatalf("barrier is %q with %v", got.text, got.fds)
	}
	select {
	case err := <-synced:
		t.Fatalf("returns before the supervisor has read: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	_ = unix.Close(got.fds[0])
	if err := <-synced; err != nil {
		t.Error(err)
	}
}

func TestLost(t *testing.T) {
	t.Run("keeper", func(t *testing.T) {
		s, end := underKeeper(t)
		if s.Lost() {
			t.Fatal("lost from the start")
		}
		_ = unix.Close(end)
		if !s.Lost() || s.Notify("WATCHDOG=1") == nil || s.Sync() == nil {
			t.Error("the end of the keeper is not noticed")
		}
	})
	t.Run("systemd", func(t *testing.T) {
		s, end := underSystemd(t)
		if err := s.Notify("READY=1"); err != nil || s.Lost() {
			t.Fatal("lost from the start")
		}
		_ = unix.Close(end)
		if s.Notify("WATCHDOG=1") == nil || !s.Lost() {
			t.Error("the end of systemd is not noticed")
		}
	})
}

// TestStoppedSupervisor: one that does not read delays a process for a bounded time.
func TestStoppedSupervisor(t *testing.T) {
	s, _ := underKeeper(t)
	tv := unix.NsecToTimeval((20 * time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(s.socket, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		t.Fatal(err)
	}
	for range 100_000 {
		if err := s.Notify("WATCHDOG=1"); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			return
		}
	}
	t.Error("never an error")
}

func TestEnvironment(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	tests := []struct {
		name     string
		env      map[string]string
		watchdog time.Duration
		notify   string
	}{
		{"nothing", nil, 0, ""},
		{"all", map[string]string{"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "2000000", "WATCHDOG_PID": pid},
			2 * time.Second, "@x"},
		{"watchdog of another", map[string]string{"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}, 0, ""},
		{"watchdog of anybody", map[string]string{"WATCHDOG_USEC": "500000"}, 500 * time.Millisecond, ""},
		{"no number", map[string]string{"WATCHDOG_USEC": "2s", "LISTEN_FDS": "many", "LISTEN_PID": pid}, 0, ""},
		{"vsock", map[string]string{"NOTIFY_SOCKET": "vsock:2:1"}, 0, ""},
		{"descriptors of another", map[string]string{"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "tap"},
			0, ""},
		{"descriptors of nobody", map[string]string{"LISTEN_FDS": "1", "LISTEN_FDNAMES": "tap"}, 0, ""},
		{"negative", map[string]string{"LISTEN_FDS": "-1", "LISTEN_PID": pid, "LISTEN_FDNAMES": "tap"}, 0, ""},
		{"too many", map[string]string{"LISTEN_FDS": "4097", "LISTEN_PID": pid, "LISTEN_FDNAMES": "tap"}, 0, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			e := takeEnv()
			if e.watchdog != test.watchdog || e.notify != test.notify || len(e.inherited) > 0 {
				t.Errorf("got %+v", e)
			}
			for name := range test.env {
				if v, ok := os.LookupEnv(name); ok {
					t.Errorf("%s=%s stays in the environment", name, v)
				}
			}
		})
	}
}

// before is a process that keeps descriptors and replaces its program; after is that program.
func before() int {
	s := InPlace()
	r, w, err := os.Pipe()
	if err != nil {
		return 1
	}
	_, _ = w.WriteString("still here")
	_ = w.Close()
	for _, name := range []string{"first", "tap", "map-x=y"} {
		if err := s.Put(name, int(r.Fd())); err != nil {
			return 2
		}
	}
	if err := s.Put("first", int(r.Fd())); err != nil { // replaces
		return 3
	}
	if err := s.Remove("first"); err != nil {
		return 4
	}
	_ = r.Close()
	if err := s.Exec("/nonexistent", nil, nil); err == nil {
		return 5
	}
	exe, _ := os.Executable()
	fmt.Fprintln(os.Stderr, s.Exec(exe, []string{exe}, []string{"SUPERVISOR_TEST=after"}))
	return 6
}

func after() int {
	s := FromEnv()
	fmt.Println(s.Names(), s.Kind())
	fd, ok := s.Take("tap")
	if !ok {
		return 1
	}
	_, _ = s.Take("first")
	if err := s.Discard(); err != nil {
		return 2
	}
	b := make([]byte, 64)
	n, err := unix.Read(fd, b)
	fmt.Println(string(b[:n]), err, s.Names(), s.own.Names(), os.Getenv(inPlaceEnv))
	return 0
}

func TestExecKeepsDescriptors(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe)
	cmd.Env = []string{"SUPERVISOR_TEST=before"}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	want := "[map-x=y tap] \nstill here <nil> [] [tap] \n"
	if err != nil || string(out) != want {
		t.Errorf("%v: got %q, want %q", err, out, want)
	}
}

func TestStore(t *testing.T) {
	var s Store
	s.Remove("tap")
	r, w := pipe(t)
	if err := errors.Join(s.Put("tap", r), s.Put("tap", w), s.Put("a", r)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a", "tap"}, s.Names()); diff != "" {
		t.Error(diff)
	}
	if !sameFile(t, s["tap"], w) {
		t.Error("the older descriptor stays")
	}
	if err := errors.Join(s.Put("isolation-3", r), s.Put("socket-3", r), s.Put("receive-3", r)); err != nil {
		t.Fatal(err)
	}
	if last := max(s["tap"], s["receive-3"]); last >= min(s["isolation-3"], s["socket-3"]) {
		t.Errorf("closed in another order: %v", s)
	}
	if err := s.Put("x", -1); err == nil {
		t.Error("no error for no descriptor")
	}
	for _, name := range s.Names() {
		s.Remove(name)
	}
}

func FuzzParseKept(f *testing.F) {
	f.Add("17=tap:18=map-a=b")
	f.Add("2=stdin:x=y:3=:4")
	f.Fuzz(func(t *testing.T, list string) {
		kept := parseKept(list)
		var again []string
		for _, k := range kept {
			if k.fd < firstInherited || !validName(k.name) {
				t.Fatalf("%q gives %+v", list, k)
			}
			again = append(again, fmt.Sprintf("%d=%s", k.fd, k.name))
		}
		if !slices.Equal(parseKept(strings.Join(again, ":")), kept) {
			t.Errorf("%q is not read back", again)
		}
	})
}
