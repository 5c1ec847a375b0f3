package launch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/team"
)

// TeamLock is the right to be the process of a team. It is an flock, so it ends with the process
// however that ends; a file that is left over means nothing.
type TeamLock struct{ file *os.File }

// LockTeam takes the lock of a team; held by another process it is a Conflict.
func LockTeam(p Dirs, name string) (*TeamLock, error) {
	var f *os.File
	var err error
	for patience := 50; ; patience-- {
		f, err = OpenOwned(p.lockFile(name), os.O_RDWR|os.O_CREATE)
		if err != nil {
			return nil, &team.Problem{Kind: team.Failed, What: "lock " + name, Why: err.Error(), Fix: "see what is there: ls -l " + p.lockFile(name), Err: err}
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) && (patience > 0 || patience > -5000 && holderDying(f)) {
			// It may only be somebody who asks whether the team runs.
			_ = f.Close()
			time.Sleep(time.Millisecond)
			continue
		}
		// Its holder removes the file when it ends: what we locked may not be the file of that name any more.
		if err != nil || isFileAt(f, p.lockFile(name)) {
			break
		}
		_ = f.Close()
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		pid := holderPID(f)
		_ = f.Close()
		return nil, &team.Problem{Kind: team.Conflict, What: "start " + name,
			Why: "the team is running" + pid, Fix: "nicteam status " + name, Err: err}
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

// unlocked reports whether no process of the team runs.
func unlocked(p Dirs, name string) bool {
	f, err := os.OpenFile(p.lockFile(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return true
	}
	defer func() { _ = f.Close() }()
	return unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil
}

// teamRuns reports whether a process of the team runs. One that was killed may take a tenth of a second to be gone, for the kernel waits
// for every socket and program that it held; who comes then waits too.
func teamRuns(p Dirs, name string) bool {
	for end := time.Now().Add(exitPatience); ; time.Sleep(2 * time.Millisecond) {
		if unlocked(p, name) {
			return false
		}
		f, err := os.OpenFile(p.lockFile(name), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue // it has just ended
		}
		dying := holderDying(f)
		_ = f.Close()
		if !dying || time.Now().After(end) {
			return true
		}
	}
}

// holderDying reports whether the holder of a lock has been killed or has exited, and only has to let go of what it holds.
func holderDying(f *os.File) bool {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	pid, err := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	if err != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && exiting(string(stat))
}

// exiting reads a line of /proc/PID/stat, in whose second place is a name that may have spaces and parentheses.
func exiting(stat string) bool {
	const state, flags, signals = 0, 6, 28 // places after the name
	const pfExiting, sigKill = 1 << 2, 1 << (unix.SIGKILL - 1)
	f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(f) <= signals {
		return false
	}
	has := func(place int, bit uint64) bool {
		v, err := strconv.ParseUint(f[place], 10, 64)
		return err == nil && v&bit != 0
	}
	return f[state] == "Z" || f[state] == "X" || has(flags, pfExiting) || has(signals, sigKill)
}

// Exclusive runs f while no other team takes NICs: between the look whether a NIC is free and the record that it is taken, nobody
// else may look. The lock is on the directory of the journals, so no file is left.
func (p Dirs) Exclusive(f func() error) error {
	d, err := os.Open(p.StateDir)
	if err != nil {
		return fmt.Errorf("open state directory: %w", err)
	}
	defer func() { _ = d.Close() }()
	for {
		err = unix.Flock(int(d.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", p.StateDir, err)
	}
	return f()
}

// exitPatience bounds the wait for a process that has nothing left to do but to end.
const exitPatience = 5 * time.Second

// AwaitExit waits until the process of a team that was deleted has ended, so that the name can be used again.
func AwaitExit(ctx context.Context, p Dirs, name string) {
	ctx, cancel := context.WithTimeout(ctx, exitPatience)
	defer cancel()
	for look := time.NewTicker(2 * time.Millisecond); ; {
		if unlocked(p, name) {
			look.Stop()
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			look.Stop()
			return
		}
	}
}

func isFileAt(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func holderPID(f *os.File) string {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0)
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

// renew takes the lock anew when somebody has taken its file away: by the name another process would believe that the team is not running.
func (l *TeamLock) renew(p Dirs, name string) error {
	if isFileAt(l.file, p.lockFile(name)) {
		return nil
	}
	if err := p.Make(); err != nil {
		return err
	}
	fresh, err := LockTeam(p, name)
	if err != nil {
		return err
	}
	_ = l.file.Close()
	l.file = fresh.file
	return nil
}

// Maintain keeps the lock until ctx ends.
func (l *TeamLock) Maintain(ctx context.Context, p Dirs, name string, log *slog.Logger) {
	look := time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if err := l.renew(p, name); err != nil {
			log.Warn("the lock of the team is gone and cannot be taken again", "err", err)
		}
	}
}

func (l *TeamLock) Release() {
	_ = os.Remove(l.file.Name())
	_ = l.file.Close()
}
