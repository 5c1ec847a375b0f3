// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/logs"
	"nicteam/internal/tick"
)

// LockKeeper takes the right to be the keeper of a team. It returns Conflict if there is one.
func LockKeeper(d Dirs, name string) (*TeamLock, error) {
	return lockFor(d.keeperLockFile(name), name, "a keeper of the team is running")
}

// HeldKeeperLock is a lock that LockKeeper took before the program of this process was replaced.
func HeldKeeperLock(d Dirs, name string, fd int) *TeamLock {
	return &TeamLock{os.NewFile(uintptr(fd), d.keeperLockFile(name))}
}

// RenewKeeper takes the lock of a keeper again if its file was removed.
func (l *TeamLock) RenewKeeper(d Dirs, name string) error { return l.renewBy(LockKeeper, d, name) }

// FD returns the descriptor of the lock, for a program that replaces this one.
func (l *TeamLock) FD() uintptr { return l.file.Fd() }

// keeperPID returns the process ID of the keeper of a team, 0 if it has none.
func keeperPID(d Dirs, name string) int {
	f, err := openLock(d.keeperLockFile(name))
	if errors.Is(err, fs.ErrPermission) {
		return keeperSeen(d, name)
	}
	if err != nil {
		return 0
	}
	defer func() { _ = f.Close() }()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
		return 0
	}
	if pid := holderPID(f); pid != 0 && isKeeper(pid, name) {
		return pid
	}
	return 0
}

// isKeeper reports whether a process is a keeper of a team of that name: the number in a lock file may be one of
// another process ID namespace.
func isKeeper(pid int, name string) bool { return len(keeperArgs(pid, name)) > 0 }

// keeperArgs are the arguments of a process that is a keeper of a team of that name, nil if it is none.
func keeperArgs(pid int, name string) []string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	args := strings.Split(string(b), "\x00")
	if err != nil || len(args) < 3 || args[1] != "keeper" || args[2] != name {
		return nil
	}
	return args
}

// HasKeeper reports whether a keeper stands behind the team.
func HasKeeper(d Dirs, name string) bool { return keeperPID(d, name) != 0 }

// keeperPatience bounds the wait for a keeper, which waits for its child.
const keeperPatience = 100 * time.Second

// EndKeeper ends the keeper of a team, and with it the team's process, and returns when both have ended. It reports
// whether there was one.
func EndKeeper(ctx context.Context, d Dirs, name string) (ended bool, err error) {
	pid := keeperPID(d, name)
	if pid == 0 {
		return false, nil
	}
	p, err := os.FindProcess(pid) // by a pidfd: no other process can have that number after the next check
	if err != nil {
		return false, err
	}
	defer func() { _ = p.Release() }()
	if keeperPID(d, name) != pid {
		return false, nil
	}
	if err := p.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("end the keeper of %s: %w", name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, keeperPatience)
	defer cancel()
	if !tick.Until(ctx, exitLook, func() bool { return keeperPID(d, name) != pid }) {
		return false, fmt.Errorf("end the keeper of %s (process %d): %w", name, pid, ctx.Err())
	}
	return true, nil
}

// removeKeeperRests removes what a keeper cannot remove itself, or left when it was killed.
func (d Dirs) removeKeeperRests(name string) {
	_ = os.Remove(d.keeperLockFile(name))
	atomicfile.Remove(d.KeptConfig(name))
	removeCgroups(name)
}

// GiveUp ends a team whose process does not answer: its keeper, then what is left.
func GiveUp(ctx context.Context, d Dirs, name string, log *slog.Logger) (steps []string, err error) {
	if _, err := EndKeeper(ctx, d, name); err != nil {
		return nil, err
	}
	steps = []string{"the keeper of " + name + " has ended"}
	if Restorable(d, name) {
		more, err := restoreTeam(d, name, nil, log)
		steps = append(steps, more...)
		if err != nil {
			return steps, err
		}
	}
	for _, path := range d.ConfigFiles(name) {
		atomicfile.Remove(path)
	}
	d.RemovePending(name)
	_ = os.Remove(d.LogFile(name))
	_ = os.Remove(logs.Old(d.LogFile(name)))
	d.RemoveHistory(name)
	return steps, nil
}

// Resume starts a keeper and a process for a team whose process has handed over to nobody, because its keeper had died.
func Resume(ctx context.Context, d Dirs, name string, log *slog.Logger) error {
	AwaitExit(ctx, d, name)
	err := spawn(ctx, d, name, d.RunningConfig(name), logLevel(log), func(Report) {})
	if err != nil && Restorable(d, name) {
		return &api.Problem{Kind: api.Failed, What: "restart " + name, Why: err.Error(),
			Fix: "nicteam restore " + name + " puts the host back; " + d.LogFile(name) + " tells the cause", Err: err}
	}
	return err
}

// LogWriter appends each line to the log at path. It opens the log for each: the team's process rotates it.
func LogWriter(path string) io.Writer { return logWriter(path) }

type logWriter string

func (path logWriter) Write(line []byte) (int, error) {
	f, err := OpenLog(string(path))
	if err != nil {
		return os.Stderr.Write(line)
	}
	defer func() { _ = f.Close() }()
	return f.Write(line)
}
