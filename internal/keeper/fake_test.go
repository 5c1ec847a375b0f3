// SPDX-License-Identifier: MIT

package keeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/launch"
	"nicteam/internal/supervisor"
)

// TestMain is also the program that a keeper starts: a fake of the team's process, of restore, and of a keeper.
func TestMain(m *testing.M) {
	if len(os.Args) < 3 {
		os.Exit(m.Run())
	}
	value := func(flag string) string { return os.Args[slices.Index(os.Args, flag)+1] }
	dirs := func() launch.Dirs {
		return launch.Dirs{RunDir: value("--run-dir"), StateDir: value("--state-dir"), ConfigDir: value("--config-dir")}
	}
	switch os.Args[1] {
	case "run":
		os.Exit(fakeProcess(dirs(), value("--config")))
	case "restore":
		record(dirs(), start{Verb: "restore"})
		_ = os.Remove(filepath.Join(dirs().StateDir, "team0.journal"))
		_ = os.Remove(dirs().RunningConfig("team0"))
		os.Exit(0)
	case "keeper":
		o := Options{Team: "team0", Program: os.Args[0], Dirs: dirs(), Config: value("--config"),
			Ready: launch.InheritedReadyPipe()}
		o.Log = slog.New(slog.NewTextHandler(launch.LogWriter(o.LogFile(o.Team)), nil))
		if slices.Contains(os.Args, "--child") {
			o.Child, _ = strconv.Atoi(value("--child"))
		}
		record(o.Dirs, start{Verb: "keeper"})
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := Run(ctx, o); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start is what a fake process says of its start.
type start struct {
	Verb    string
	PID     int
	Config  string
	Program string
	Time    time.Time
	Names   []string // of inherited descriptors
	Taken   string   // what could be read from "pipe"
	Env     []string
}

func record(d launch.Dirs, s start) {
	s.PID, s.Time, s.Env = os.Getpid(), time.Now(), append(s.Env, os.Environ()...)
	s.Program, _ = os.Readlink("/proc/self/exe")
	b, _ := json.Marshal(s)
	f, err := os.OpenFile(filepath.Join(d.RunDir, "starts"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.Write(append(b, '\n'))
	_ = f.Close()
}

// fakeProcess does what stands in its configuration, a word a line.
func fakeProcess(d launch.Dirs, config string) int {
	s := start{Verb: "run", Config: config, Env: os.Environ()}
	sup := supervisor.FromEnv()
	s.Names = sup.Names()
	if fd, ok := sup.Take("pipe"); ok {
		b := make([]byte, 100)
		n, _ := unix.Read(fd, b)
		s.Taken = string(b[:max(n, 0)])
	}
	record(d, s)
	ready := launch.InheritedReadyPipe()
	rep := &launch.Reporter{Log: slog.New(slog.DiscardHandler)}
	if ready != nil {
		rep.Out = ready
	}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	script, _ := os.ReadFile(config)
	for line := range strings.FieldsSeq(string(script)) {
		word, arg, _ := strings.Cut(line, ":")
		switch n, _ := strconv.Atoi(arg); word {
		case "ready":
			rep.Send(launch.Report{Ready: true})
			_ = sup.Notify("READY=1")
			_ = ready.Close() // nil: an error
		case "watchdog":
			_ = sup.Notify("WATCHDOG=1")
			go func() {
				for sup.Notify("WATCHDOG=1") == nil {
					time.Sleep(sup.Watchdog() / 4)
				}
			}()
		case "put":
			r, w, _ := os.Pipe()
			_, _ = w.WriteString("of " + strconv.Itoa(os.Getpid()))
			_ = sup.Put(arg, int(r.Fd()))
			_ = w.Close()
		case "slow":
			fd := slowToClose()
			_ = sup.Put(arg, fd)
			_ = unix.Close(fd)
		case "remove":
			_ = sup.Remove(arg)
		case "discard":
			_ = sup.Discard()
		case "sync":
			if sup.Sync() != nil {
				return 9
			}
		case "journal":
			_ = os.WriteFile(filepath.Join(d.StateDir, "team0.journal"), []byte("x"), 0o600)
		case "config": // the next start's
			_ = os.WriteFile(d.RunningConfig("team0"), []byte(strings.ReplaceAll(arg, ",", "\n")), 0o600)
		case "say":
			fmt.Println(arg)
		case "exit":
			return n
		case "die":
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		case "stop":
			_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			select {} // another thread may be the first to stop
		case "ignore":
			signal.Ignore(syscall.SIGTERM)
		case "wait":
			_ = os.WriteFile(waitsFile(d, os.Getpid()), nil, 0o600)
			<-term
			_ = sup.Notify("STOPPING=1")
		}
	}
	return 0
}

const slowClose = time.Second

var unread []net.Listener // of slowToClose; the runtime closes what nothing refers to

// slowToClose returns a descriptor whose last close(2) takes slowClose: of a connection to a peer that does not read.
func slowToClose() int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	unread = append(unread, l)
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: l.Addr().(*net.TCPAddr).Port})
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	for b := make([]byte, 1<<20); err == nil; {
		_, err = unix.Write(fd, b)
	}
	if !errors.Is(err, unix.EAGAIN) {
		panic(err)
	}
	err = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER,
		&unix.Linger{Onoff: 1, Linger: int32(slowClose / time.Second)})
	if err != nil {
		panic(err)
	}
	return fd
}

// waitsFile is there when a fake process has done all before "wait".
func waitsFile(d launch.Dirs, pid int) string {
	return filepath.Join(d.RunDir, fmt.Sprintf("waits.%d", pid))
}

// bed is a directory for a keeper.
type bed struct {
	*testing.T
	Options
	done chan error
	stop context.CancelFunc
}

func newBed(t *testing.T, config string) *bed {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	b := &bed{T: t, done: make(chan error, 1), Options: Options{Team: "team0", Program: exe,
		Config: filepath.Join(dir, "first"),
		Dirs: launch.Dirs{RunDir: filepath.Join(dir, "run"), StateDir: filepath.Join(dir, "state"),
			ConfigDir: filepath.Join(dir, "etc")},
		Watchdog: 200 * time.Millisecond, Retry: 50 * time.Millisecond}}
	if err := b.Make(); err != nil {
		t.Fatal(err)
	}
	b.write(b.Config, config)
	b.Log = slog.New(slog.NewTextHandler(launch.LogWriter(b.LogFile("team0")), nil))
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(b.LogFile("team0"))
			t.Logf("log:\n%s", log)
		}
	})
	return b
}

func (b *bed) write(path, config string) {
	b.Helper()
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		b.Fatal(err)
	}
}

// next sets the configuration of the starts after the first.
func (b *bed) next(config string) *bed {
	b.write(b.RunningConfig("team0"), config)
	return b
}

// run starts the keeper in this process.
func (b *bed) run() *bed {
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	go func() { b.done <- Run(ctx, b.Options) }()
	b.Cleanup(func() { b.end() })
	return b
}

// end stops the keeper and returns how it ended.
func (b *bed) end() error {
	b.stop()
	return b.ended()
}

// ended waits for the keeper's end.
func (b *bed) ended() error {
	select {
	case err := <-b.done:
		b.done <- err
		return err
	case <-time.After(20 * time.Second):
		b.Fatal("the keeper does not end")
	}
	return nil
}

func (b *bed) starts() (all []start) {
	text, _ := os.ReadFile(filepath.Join(b.RunDir, "starts"))
	for line := range strings.Lines(string(text)) {
		var s start
		if json.Unmarshal([]byte(line), &s) == nil {
			all = append(all, s)
		}
	}
	return all
}

// awaitStarts waits for n starts.
func (b *bed) awaitStarts(n int) []start {
	b.Helper()
	b.await(fmt.Sprintf("%d starts", n), func() bool { return len(b.starts()) >= n })
	return b.starts()
}

// awaitWaiting waits until the process of that start has done all before "wait".
func (b *bed) awaitWaiting(s start) {
	b.Helper()
	b.await("the process waits", func() bool { _, err := os.Stat(waitsFile(b.Dirs, s.PID)); return err == nil })
}

func (b *bed) await(what string, ok func() bool) {
	b.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("not within 20 s: %s; starts %+v", what, b.starts())
		}
	}
}

// verbs are those of the starts.
func verbs(starts []start) (list []string) {
	for _, s := range starts {
		list = append(list, s.Verb)
	}
	return list
}

func (b *bed) log() string {
	text, _ := os.ReadFile(b.LogFile("team0"))
	return string(text)
}
