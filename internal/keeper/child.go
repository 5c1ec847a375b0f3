// SPDX-License-Identifier: MIT

package keeper

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/launch"
	"nicteam/internal/logs"
	"nicteam/internal/supervisor"
)

// child is a process of the team.
type child struct {
	*os.Process
	conn    *net.UnixConn // its messages
	started time.Time
	ready   bool
	first   bool
}

// exit is how a child ended.
type exit struct {
	started time.Time
	ready   bool // it was
	state   *os.ProcessState
	killed  string // why the keeper killed it
	err     error  // it did not even start
}

func (e exit) onPurpose() bool { return e.state != nil && e.killed == "" && e.state.ExitCode() == 0 }

func (e exit) handOver() bool {
	return e.state != nil && e.killed == "" && e.state.ExitCode() == launch.ExitHandOver
}

// conflict: the child says that the team, or one of its NICs, belongs to another process.
func (e exit) conflict() bool {
	return e.state != nil && e.killed == "" && !e.ready && e.state.ExitCode() == int(api.Conflict)
}

func (e exit) String() string {
	switch {
	case e.err != nil:
		return e.err.Error()
	case e.killed != "":
		return "killed: " + e.killed
	case e.state == nil:
		return "unknown"
	}
	return e.state.String()
}

// ownExecutable is the program of this process, even if its file was removed.
const ownExecutable = "/proc/self/exe"

// start starts a child with every stored descriptor.
func (k *keeper) start(first bool) (*child, error) {
	if err := k.lock.RenewKeeper(k.Dirs, k.Team); err != nil { // somebody emptied the directory
		k.Log.Warn("lock of the keeper removed and not taken again", "err", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("make a socket for the team's process: %w", err)
	}
	defer func() { _ = unix.Close(pair[1]) }()
	conn, err := connection(pair[0])
	if err != nil {
		return nil, err
	}
	log := k.openLog()
	defer func() { _ = log.Close() }()
	files := []uintptr{0, log.Fd(), log.Fd()}
	null, err := os.Open(os.DevNull)
	if err == nil {
		defer func() { _ = null.Close() }()
		files[0] = null.Fd()
	}
	env, inherited := supervisor.ListenEnv(pair[1], k.store)
	for _, fd := range inherited {
		files = append(files, uintptr(fd))
	}
	env = append(env, "PATH="+launch.SafePath, fmt.Sprintf("WATCHDOG_USEC=%d", k.Watchdog.Microseconds()))
	if first && k.Ready != nil {
		env = append(env, launch.ReadyEnv(len(files)))
		files = append(files, k.Ready.Fd())
	}
	argv := append([]string{k.Program}, k.Dirs.Args("run", k.Team, k.config(first), k.Verbose)...)
	attr := &syscall.ProcAttr{Dir: "/", Env: env, Files: files, Sys: &syscall.SysProcAttr{Setsid: true}}
	pid, err := k.fork(argv, attr)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	p, err := os.FindProcess(pid)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &child{Process: p, conn: conn, started: time.Now(), first: first}, nil
}

// fork executes Program, or the program of this process if that one does not start.
func (k *keeper) fork(argv []string, attr *syscall.ProcAttr) (pid int, err error) {
	if !k.ownProgram {
		if pid, err = syscall.ForkExec(k.Program, argv, attr); err == nil {
			return pid, nil
		}
		k.Log.Error("program does not start: started from the copy in memory", "program", k.Program, "err", err)
	}
	pid, err = syscall.ForkExec(ownExecutable, argv, attr)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", k.Program, err)
	}
	return pid, nil
}

// connection makes a connection of a socket, which it takes over.
func connection(fd int) (*net.UnixConn, error) {
	f := os.NewFile(uintptr(fd), "child")
	defer func() { _ = f.Close() }()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, fmt.Errorf("read from the team's process: %w", err)
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		_ = c.Close()
		return nil, errors.New("read from the team's process: not a unix socket")
	}
	return u, nil
}

const (
	// watchdogGrace is for messages that wait in the socket because this process stood still, too.
	watchdogGrace = 200 * time.Millisecond
	// drainTime bounds the wait for the last messages of a dead child: its socket closes with its last thread.
	drainTime = 100 * time.Millisecond
)

// watch handles the messages of a child and returns when it has ended. When ctx ends, it tells the child to stop.
func (k *keeper) watch(ctx context.Context, c *child) exit {
	defer func() { _ = c.conn.Close() }()
	end := exit{started: c.started}
	kill := func(why string) {
		if end.killed == "" {
			end.killed = why
		}
		_ = c.Signal(syscall.SIGKILL) // SIGTERM would wait for a stopped process to continue
	}
	messages := make(chan message)
	go receive(c.conn, messages)
	exited := make(chan *os.ProcessState, 1)
	go func() {
		state, _ := c.Wait()
		exited <- state
	}()
	limit := time.NewTimer(k.StartTimeout) // to be ready, then to stop
	watchdog := time.NewTimer(0)
	watchdog.Stop()
	if c.ready {
		limit.Stop()
	}
	overdue := false
	for stop := ctx.Done(); ; {
		select {
		case m, ok := <-messages:
			if !ok {
				messages = nil
				continue
			}
			k.handle(c, m)
			if m.ready && stop != nil {
				limit.Stop()
			}
			if m.watchdog {
				// Armed by the first one: a version without a watchdog is not killed.
				watchdog.Reset(k.Watchdog)
				overdue = false
			}
			if m.ready && newVersion(c) {
				messages = k.renew(c, messages)
			}
		case <-limit.C:
			if stop == nil {
				kill(fmt.Sprintf("it did not stop within %v", k.StopTimeout))
			} else {
				kill(fmt.Sprintf("it was not ready within %v", k.StartTimeout))
			}
		case <-watchdog.C:
			if !overdue {
				overdue = true
				watchdog.Reset(watchdogGrace)
				continue
			}
			kill(fmt.Sprintf("it gave no sign of life for %v", k.Watchdog))
		case <-stop:
			stop = nil
			_ = c.Signal(syscall.SIGTERM)
			limit.Reset(k.StopTimeout)
		case end.state = <-exited:
			_ = c.conn.SetReadDeadline(time.Now().Add(drainTime))
			for messages != nil {
				m, ok := <-messages
				if !ok {
					break
				}
				k.handle(c, m)
			}
			k.closer.Wait() // the next one may make anew what was removed
			end.ready = c.ready
			return end
		}
	}
}

// maxStored bounds the store, as FileDescriptorStoreMax of the unit.
const maxStored = 512

// handle executes a message. It does not wait for the kernel to close what is removed: signs of life are behind it.
// Only a barrier does, see Supervisor.Sync.
func (k *keeper) handle(c *child, m message) {
	defer m.closeFDs()
	switch {
	case m.barrier:
		k.closer.Wait()
	case m.remove:
		if fd, ok := k.store.Take(m.name); ok {
			k.closer.Close(fd)
		}
	case m.store && len(m.fds) == 1:
		if _, known := k.store[m.name]; !known && len(k.store) >= maxStored {
			k.Log.Warn("descriptor not kept: too many", "name", m.name, "kept", len(k.store))
		} else if err := k.store.Put(m.name, m.fds[0]); err != nil {
			k.Log.Warn("descriptor not kept", "name", m.name, "err", err)
		}
	}
	if m.ready && !c.ready {
		c.ready = true
		k.stopReporting()
	}
}

// openLog opens the log of the team for the streams of a child. A child that lives long enough rotates it itself.
func (k *keeper) openLog() *os.File {
	logs.RotateLarge(k.LogFile(k.Team))
	if f, err := launch.OpenLog(k.LogFile(k.Team)); err == nil {
		return f
	}
	f, _ := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	return f
}

// childFlag is the flag that gives a renewed keeper the process ID of its child.
func childFlag(pid int) []string { return []string{"--child", strconv.Itoa(pid)} }

// Args are the arguments of `nicteam` for a keeper.
func (o Options) Args() []string { return o.Dirs.Args("keeper", o.Team, o.Config, o.Verbose) }
