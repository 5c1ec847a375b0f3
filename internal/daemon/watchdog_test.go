// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/supervisor"
)

// listening is a supervisor of a watchdog of 40 ms that counts signs of life.
type listening struct {
	t *testing.T
	c *net.UnixConn
}

func newListening(t *testing.T) (*listening, *supervisor.Supervisor) {
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_USEC", "40000")
	return &listening{t, c}, supervisor.FromEnv()
}

// hears returns the next message, "" if there is none within d.
func (l *listening) hears(d time.Duration) string {
	b := make([]byte, 512)
	_ = l.c.SetReadDeadline(time.Now().Add(d))
	n, err := l.c.Read(b)
	if err != nil {
		return ""
	}
	return string(b[:n])
}

// silent reports whether the watchdog starves: signs that were under way may come first.
func (l *listening) silent() bool {
	for range 10 {
		if l.hears(200*time.Millisecond) == "" {
			return true
		}
	}
	return false
}

func TestWatchdog(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	working := func(context.Context) error { return nil }
	stuck := func(context.Context) error { <-hang; return nil }
	for name, w := range map[string]*watchdog{
		"control loop hangs":     {loop: stuck, path: func() error { return nil }},
		"data path hangs":        {loop: working, path: func() error { <-hang; return nil }},
		"no transmitter":         {loop: working, path: func() error { return errors.New("ended") }},
		"everything moves":       {loop: working, path: func() error { return nil }},
		"slow, but it moves":     {loop: working, path: func() error { time.Sleep(30 * time.Millisecond); return nil }},
		"hangs while it ends":    {loop: working, path: func() error { <-hang; return nil }},
		"path ended while it is": {loop: working, path: func() error { return errors.New("ended") }},
	} {
		t.Run(name, func(t *testing.T) {
			l, s := newListening(t)
			w.endBegan = make(chan struct{}, 1)
			w.supervisor, w.status = s, func() *api.Status { return &api.Status{State: "up"} }
			lives := strings.Contains(name, "moves")
			if strings.Contains(name, "while") {
				w.end()
				lives = true
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() { defer close(done); w.run(ctx) }()
			if lives {
				for range 5 {
					if got := l.hears(10 * time.Second); !strings.HasPrefix(got, "WATCHDOG=1") {
						t.Fatalf("heard %q", got)
					}
				}
			} else if !l.silent() {
				t.Error("signs of life")
			}
			cancel()
			<-done
		})
	}
}

// TestWatchdogStarves: what hangs later starves the watchdog, and a give-back does not.
func TestWatchdogStarves(t *testing.T) {
	l, s := newListening(t)
	hang, held := make(chan struct{}), make(chan struct{})
	moves := func(context.Context) error { return nil }
	w := &watchdog{supervisor: s, endBegan: make(chan struct{}, 1), loop: moves, path: func() error {
		select {
		case <-held:
			<-hang
		default:
		}
		return nil
	}, status: func() *api.Status {
		return &api.Status{State: "down", Reason: "no link", Mode: "xor", Datapath: "relay"}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.run(ctx) }()
	if got := l.hears(10 * time.Second); got != "WATCHDOG=1\nSTATUS=down: 0/0 up, xor, relay: no link" {
		t.Errorf("heard %q", got)
	}
	if got := l.hears(10 * time.Second); got != "WATCHDOG=1" {
		t.Errorf("heard %q", got)
	}
	close(held)
	if !l.silent() {
		t.Error("signs of life of a data path that hangs")
	}
	w.end()
	if got := l.hears(10 * time.Second); got != "WATCHDOG=1" {
		t.Errorf("while it ends: heard %q", got)
	}
	long := time.Now().Add(-2 * endPatience)
	w.ending.Store(&long)
	if !l.silent() {
		t.Error("signs of life of an end that hangs")
	}
	close(hang)
	w.resume()
	if got := l.hears(10 * time.Second); !strings.HasPrefix(got, "WATCHDOG=1") {
		t.Errorf("resumed: heard %q", got)
	}
	cancel()
	<-done
}

func TestStatusText(t *testing.T) {
	for _, tt := range []struct {
		want string
		in   api.Status
	}{
		{"2/2 up, elb, fastpath", api.Status{State: "up", Mode: "elb", Datapath: "fastpath",
			Members: []api.Member{{State: "up"}, {State: "standby"}}}},
		{"degraded: 1/2 up, elb, relay: eth2 down", api.Status{State: "degraded", Reason: "eth2 down", Mode: "elb",
			Datapath: "relay", Members: []api.Member{{State: "up"}, {State: "down"}}}},
	} {
		if got := statusText(&tt.in); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestProcessRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.process")
	first := newLifetime(path, "1")
	if first.after() != "" || first.record.Starts != 1 {
		t.Errorf("the first start: %+v", first)
	}
	if err := first.save(false); err != nil {
		t.Fatal(err)
	}
	second := newLifetime(path, "2")
	if second.after() != afterDeath || second.record.Starts != 2 || second.before.Version != "1" {
		t.Errorf("after a death: %+v", second)
	}
	if err := second.save(true); err != nil {
		t.Fatal(err)
	}
	third := newLifetime(path, "3")
	var st api.Status
	third.addTo(&st)
	if x := st.Supervisor; x.After != afterHandover || x.Starts != 3 || x.FromVersion != "2" || st.Version != "3" {
		t.Errorf("after a hand over: %+v", x)
	}
}

func FuzzProcessRecord(f *testing.F) {
	for i, s := range []string{`{"schema":"nicteam.process/v1","boot":"b","starts":2,"version":"1"}`, `{}`, `[`,
		`{"schema":"nicteam.process/v1","boot":"b","starts":-1}`,
		`{"schema":"nicteam.process/v1","boot":"c","starts":1}`} {
		if got := parseProcessRecord([]byte(s), "b"); (got != nil) != (i == 0) {
			f.Errorf("%s: %+v", s, got)
		}
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := parseProcessRecord(b, "b"); r != nil && (r.Starts < 1 || r.Boot != "b") {
			t.Errorf("%s passes: %+v", fmt.Sprintf("%q", b), r)
		}
	})
}
