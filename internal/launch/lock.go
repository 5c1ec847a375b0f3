// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/tick"
)

// TeamLock is the right to be the process of a team: an flock(2), which ends with the process however that ends. A
// leftover file means nothing.
type TeamLock struct{ file *os.File }

// LockTeam takes the lock of a team. It returns Conflict if another process holds it, after waiting for one that is
// dying.
func LockTeam(d Dirs, name string) (*TeamLock, error) {
	return lockFor(d.lockFile(name), name, "the team is running")
}

// lockMode is that of lock files: who can open one, even for reading, can hold the lock (flock(2)) and so keep a team's
// next process from starting.
const lockMode = 0o600

// askPatience bounds the wait for a holder that may only ask whether the team runs (unlocked).
const askPatience = 50 * time.Millisecond

// lockFor takes the lock at path.
func lockFor(path, name, held string) (*TeamLock, error) {
	var f *os.File
	var err error
	for begun := time.Now(); ; {
		f, err = openOwned(path, os.O_RDWR|os.O_CREATE, lockMode)
		if err != nil {
			return nil, &api.Problem{Kind: api.Failed, What: "lock " + name, Why: err.Error(),
				Fix: "see what is there: ls -l " + path, Err: err}
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		waited := time.Since(begun)
		if errors.Is(err, unix.EWOULDBLOCK) && (waited < askPatience || waited < exitPatience && holderDying(f)) {
			_ = f.Close()
			time.Sleep(time.Millisecond)
			continue
		}
		// The holder removes the file when it ends: the locked file may no longer be the one of that name.
		if err != nil || isFileAt(f, path) {
			break
		}
		_ = f.Close()
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		if pid := holderPID(f); pid != 0 {
			held += fmt.Sprintf(" (process %d)", pid)
		}
		_ = f.Close()
		return nil, &api.Problem{Kind: api.Conflict, What: "start " + name,
			Why: held, Fix: "nicteam status " + name, Err: err}
	}
	if err == nil {
		err = f.Chmod(lockMode) // of an earlier version
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return &TeamLock{f}, nil
}

// unlocked reports whether no process holds the lock of a team.
func unlocked(d Dirs, name string) bool {
	f, err := openLock(d.lockFile(name))
	if errors.Is(err, fs.ErrPermission) {
		return !serves(d.Socket(name))
	}
	return free(f, err)
}

func fileUnlocked(path string) bool { return free(openLock(path)) }

// openLock opens a lock file to look at it.
func openLock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// free closes a lock file and reports whether nobody held the lock.
func free(f *os.File, err error) bool {
	if err != nil {
		return true
	}
	defer func() { _ = f.Close() }()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil
}

// Runs reports whether a process of the team runs. It waits for one that was killed: the kernel takes up to a tenth
// of a second to close its sockets and programs.
func Runs(d Dirs, name string) bool {
	for end := time.Now().Add(exitPatience); ; time.Sleep(2 * time.Millisecond) {
		if unlocked(d, name) {
			return false
		}
		f, err := openLock(d.lockFile(name))
		if errors.Is(err, fs.ErrPermission) {
			return true
		}
		if err != nil {
			continue // it ended just now
		}
		dying := holderDying(f)
		_ = f.Close()
		if !dying || time.Now().After(end) {
			return true
		}
	}
}

// holderDying reports whether the holder of a lock was killed or has exited and only has to close its descriptors.
func holderDying(f *os.File) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", holderPID(f)))
	return err == nil && exiting(string(stat))
}

// exiting parses a line of /proc/PID/stat (proc_pid_stat(5)). The name, its second field, may contain spaces and
// parentheses.
func exiting(stat string) bool {
	const state, flags, signals = 0, 6, 28 // fields after the name
	const pfExiting, sigKill = 1 << 2, 1 << (unix.SIGKILL - 1)
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) <= signals {
		return false
	}
	has := func(field int, bit uint64) bool {
		v, err := strconv.ParseUint(f[field], 10, 64)
		return err == nil && v&bit != 0
	}
	return f[state] == "Z" || f[state] == "X" || has(flags, pfExiting) || has(signals, sigKill)
}

// Exclusive runs f while no other team takes NICs: between the check that a NIC is free and the record in the journal.
// The lock is on the directory of the journals, so it leaves no file.
func (d Dirs) Exclusive(f func() error) error {
	dir, err := os.Open(d.StateDir)
	if err != nil {
		return fmt.Errorf("open state directory: %w", err)
	}
	defer func() { _ = dir.Close() }()
	for {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", d.StateDir, err)
	}
	return f()
}

// exitPatience bounds the wait for a process that only has to exit.
const exitPatience = 5 * time.Second

// exitLook is how often somebody who waits for the end of a process looks.
const exitLook = 2 * time.Millisecond

// AwaitExit waits until the process of a deleted team and its keeper have exited, so that the name can be used again.
func AwaitExit(ctx context.Context, d Dirs, name string) {
	ctx, cancel := context.WithTimeout(ctx, exitPatience)
	defer cancel()
	ended := func() bool { return unlocked(d, name) && fileUnlocked(d.keeperLockFile(name)) }
	if tick.Until(ctx, exitLook, ended) {
		d.removeKeeperRests(name)
	}
}

// isFileAt reports whether path names the open file f.
func isFileAt(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// holderPID returns the process ID in a lock file, 0 if it has none.
func holderPID(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return 0
	}
	return pid
}

// renew takes the lock again if its file was removed: without the file other processes would believe that the team does
// not run.
func (l *TeamLock) renew(d Dirs, name string) error { return l.renewBy(LockTeam, d, name) }

func (l *TeamLock) renewBy(lock func(Dirs, string) (*TeamLock, error), d Dirs, name string) error {
	if isFileAt(l.file, l.file.Name()) {
		return nil
	}
	if err := d.Make(); err != nil {
		return err
	}
	fresh, err := lock(d, name)
	if err != nil {
		return err
	}
	_ = l.file.Close()
	l.file = fresh.file
	return nil
}

// Maintain renews the lock every second until ctx ends.
func (l *TeamLock) Maintain(ctx context.Context, d Dirs, name string, log *slog.Logger) {
	for range tick.Beat(ctx, time.Second) {
		if err := l.renew(d, name); err != nil {
			log.Warn("lock of the team removed and not taken again", "err", err)
		}
	}
}

// Release removes the file and ends the lock.
func (l *TeamLock) Release() {
	_ = os.Remove(l.file.Name())
	_ = l.file.Close()
}

// Leave keeps the lock until the process has ended: the kernel closes descriptors from the highest number down, so who
// gets the lock then finds the adapter without a queue and the NICs without sockets of this process.
func (l *TeamLock) Leave() {
	_, _ = unix.FcntlInt(l.file.Fd(), unix.F_DUPFD_CLOEXEC, 0) // never closed: it outlives the file
}
