// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"nicteam/internal/lab/hosts/agent"
)

// A fakeQEMU listens on the sockets of its arguments: a monitor that keeps what it is told, and an agent's port.
type fakeQEMU struct {
	args   []string
	silent bool // the agent does not answer

	mu   sync.Mutex
	told []string
	now  *fakeBoot
}

// A fakeBoot is the process of one boot.
type fakeBoot struct {
	ended chan struct{}
	once  sync.Once
}

func (p *fakeBoot) Wait() error { <-p.ended; return nil }
func (p *fakeBoot) Kill() error { p.once.Do(func() { close(p.ended) }); return nil }

// end ends the present boot.
func (f *fakeQEMU) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_ = f.now.Kill()
}

var socketArgument = regexp.MustCompile(`(?:unix:|path=)([^,]*)`)

// launch starts it as qemu.launch does.
func (f *fakeQEMU) launch(args []string, _ *os.File) (process, error) {
	now := &fakeBoot{ended: make(chan struct{})}
	f.mu.Lock()
	f.args, f.now = args, now
	f.mu.Unlock()
	for i, a := range args {
		isMonitor, isAgent := a == "-qmp", a == "-chardev" && strings.Contains(args[i+1], "id=agent")
		if !isMonitor && !isAgent {
			continue
		}
		l, err := net.Listen("unix", socketArgument.FindStringSubmatch(args[i+1])[1])
		if err != nil {
			return nil, err
		}
		// The next boot makes its sockets in the same places.
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		go func() { <-now.ended; l.Close() }()
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { <-now.ended; conn.Close() }()
			switch {
			case isMonitor:
				f.monitor(conn)
			case !f.silent:
				_ = agent.Serve(conn, conn)
			}
		}()
	}
	return now, nil
}

func (f *fakeQEMU) monitor(conn net.Conn) {
	fmt.Fprintln(conn, `{"QMP": {"version": {}}}`)
	for s := bufio.NewScanner(conn); s.Scan(); {
		var got struct {
			Execute   string
			Arguments map[string]any
		}
		if err := json.Unmarshal(s.Bytes(), &got); err != nil || got.Arguments == nil {
			fmt.Fprintln(conn, `{"error": {"desc": "arguments must be an object"}}`)
			continue
		}
		f.mu.Lock()
		f.told = append(f.told, fmt.Sprint(got.Execute, got.Arguments))
		f.mu.Unlock()
		// Events come at any time.
		fmt.Fprintln(conn, `{"event": "RTC_CHANGE"}`)
		switch {
		case got.Execute == "set_link" && got.Arguments["name"] == "nic9":
			fmt.Fprintln(conn, `{"error": {"desc": "Device 'nic9' not found"}}`)
		case got.Execute == "human-monitor-command" && got.Arguments["command-line"] == "savevm full":
			fmt.Fprintln(conn, `{"return": "Error: No space left\r\n"}`)
		default:
			fmt.Fprintln(conn, `{"return": {}}`)
		}
		if got.Execute == "quit" {
			f.end()
		}
	}
}

func TestMain(m *testing.M) {
	bootLimit = 10 * time.Second
	os.Exit(m.Run())
}

func startFake(t *testing.T, f *fakeQEMU) *qemu {
	t.Helper()
	q := &qemu{launch: f.launch, dir: t.TempDir(), disk: "disk", initrd: "initrd", memory: 64}
	if err := q.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(q.Stop)
	return q
}

func TestQEMU(t *testing.T) {
	f := &fakeQEMU{}
	q := startFake(t, f)
	for _, want := range []string{"mac=52:54:00:77:00:10", "mac=52:54:00:77:00:11", "-no-reboot"} {
		if all := strings.Join(f.args, " "); !strings.Contains(all, want) {
			t.Errorf("QEMU is started without %s: %s", want, all)
		}
	}
	out, code, err := q.Run(t.Context(), "echo said; exit 3", time.Minute)
	if out != "said\n" || code != 3 || err != nil {
		t.Errorf("run: %q, %d, %v", out, code, err)
	}
	file := filepath.Join(t.TempDir(), "put")
	if err := q.Put(t.Context(), file, []byte("content"), 0o600); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(file); string(b) != "content" {
		t.Errorf("put: %q, %v", b, err)
	}
	if err := errors.Join(q.SetLink(t.Context(), 1, false), q.SetLink(t.Context(), 1, true)); err != nil {
		t.Error(err)
	}
	if err := q.SetLink(t.Context(), 9, true); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("cable of a NIC that is not there: %v", err)
	}
	if err := q.control("human-monitor-command", map[string]any{"command-line": "savevm full"}); err == nil ||
		!strings.Contains(err.Error(), "No space left") {
		t.Errorf("snapshot on a full disk: %v", err)
	}
	if err := q.save(); err != nil {
		t.Error(err)
	}
	f.mu.Lock()
	told := strings.Join(f.told, "\n")
	f.mu.Unlock()
	for _, want := range []string{"set_linkmap[name:nic1 up:false]", "set_linkmap[name:nic1 up:true]",
		"human-monitor-commandmap[command-line:savevm settled]", "quit"} {
		if !strings.Contains(told, want) {
			t.Errorf("the monitor was not told %s:\n%s", want, told)
		}
	}
	// The next start goes on from the snapshot, the one after that boots.
	q.loads = true
	for _, loads := range []bool{true, false} {
		q.Stop()
		if err := q.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(f.args, " "), "-loadvm settled"); got != loads {
			t.Errorf("goes on from the snapshot: %v, want %v", got, loads)
		}
	}
}

// A machine that switches off while it is asked to reboot may not answer any more.
func TestQEMUReboots(t *testing.T) {
	f := &fakeQEMU{}
	q := startFake(t, f)
	bin := t.TempDir()
	// The agent runs commands on this machine: the machine's own systemctl must not be found.
	script := "#!/bin/sh\necho \"$@\" >" + bin + "/asked\n"
	if err := os.WriteFile(filepath.Join(bin, "systemctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	reboot := rebootCommand
	rebootCommand = filepath.Join(bin, reboot)
	defer func() { rebootCommand = reboot }()
	go func() {
		for {
			if _, err := os.Stat(filepath.Join(bin, "asked")); err == nil {
				f.end()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if err := q.Reboot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if q.boots != 2 {
		t.Errorf("%d boots, want 2", q.boots)
	}
	if out, _, err := q.Run(t.Context(), "echo back", time.Minute); out != "back\n" || err != nil {
		t.Errorf("after the reboot: %q, %v", out, err)
	}
}

// The power comes back; the machine boots from its disk and not from a snapshot.
func TestQEMUCut(t *testing.T) {
	f := &fakeQEMU{}
	q := startFake(t, f)
	first := q.ended
	if err := q.Cut(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-first:
	default:
		t.Error("the first QEMU still runs")
	}
	if q.boots != 2 || strings.Contains(strings.Join(f.args, " "), "-loadvm") {
		t.Errorf("%d boots, started with %v", q.boots, f.args)
	}
	if out, _, err := q.Run(t.Context(), "echo back", time.Minute); out != "back\n" || err != nil {
		t.Errorf("after the cut: %q, %v", out, err)
	}
}

func TestQEMUThatSaysNothing(t *testing.T) {
	limit := bootLimit
	bootLimit = 50 * time.Millisecond
	defer func() { bootLimit = limit }()
	f := &fakeQEMU{silent: true}
	q := &qemu{launch: f.launch, dir: t.TempDir()}
	err := q.Start(t.Context())
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "console-1") {
		t.Errorf("start: %v, want a time limit and the console's file", err)
	}
	select {
	case <-f.now.ended:
	default:
		t.Error("QEMU still runs")
	}
}

func TestQEMUThatEnds(t *testing.T) {
	q := &qemu{launch: func([]string, *os.File) (process, error) {
		p := &fakeBoot{ended: make(chan struct{})}
		return p, p.Kill()
	}, dir: t.TempDir()}
	if err := q.Start(t.Context()); err == nil || !strings.Contains(err.Error(), "qemu ended") {
		t.Errorf("start: %v", err)
	}
}
