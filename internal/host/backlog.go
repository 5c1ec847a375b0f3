// SPDX-License-Identifier: MIT

package host

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
)

// Frames that a program redirects to the adapter's ingress wait in a per-CPU queue of net.core.netdev_max_backlog
// frames. The sysctl is global and exists in the initial network namespace only.
const (
	netdevMaxBacklog = "/proc/sys/net/core/netdev_max_backlog"
	backlogWant      = 10_000 // frames

	// backlogPatience bounds the wait for another team, which only reads and writes a number.
	backlogPatience = 500 * time.Millisecond
)

// RaiseBacklog raises netdev_max_backlog to 10 000 frames if it is lower; it does nothing if the sysctl does not exist.
// The end of the team restores it by these rules:
//
//   - The team that raises it records the old length. A team that finds it raised by another records the same, so the
//     last team knows it.
//   - A team that ends leaves it if another team's journal needs it, or if somebody else has set it since.
func (h *Host) RaiseBacklog() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return fmt.Errorf("raise backlog: %w", err)
	}
	err = h.lockBacklog(func(s setting) error {
		now, err := s.read()
		if err != nil {
			return err
		}
		mine := j.State.Backlog
		if mine == nil {
			switch theirs := h.otherTeamsBacklog(); {
			case now < backlogWant:
				mine = &journal.BacklogRecord{Was: now, Set: backlogWant}
			case theirs != nil && theirs.Set == now:
				mine = theirs
			default:
				return nil
			}
			if err := j.Write(journal.Record{Kind: journal.KindBacklog, Backlog: mine}); err != nil {
				return err
			}
		}
		if now != mine.Was || now >= mine.Set {
			return nil // raised already, or changed by the user
		}
		return h.setBacklog(s, mine.Set)
	})
	if err != nil {
		return fmt.Errorf("raise backlog: %w", err)
	}
	return nil
}

// LowerBacklog undoes RaiseBacklog while the team goes on, for a data path that does not use these queues.
func (h *Host) LowerBacklog() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return fmt.Errorf("restore backlog: %w", err)
	}
	return h.restoreBacklog(j)
}

// restoreBacklog restores the length, unless another team needs it or somebody changed it.
func (h *Host) restoreBacklog(j *journal.Journal) error {
	mine := j.State.Backlog
	if mine == nil {
		return nil
	}
	err := h.lockBacklog(func(s setting) error {
		now, err := s.read()
		if err != nil {
			return err
		}
		if h.otherTeamsBacklog() == nil && now == mine.Set && now != mine.Was {
			if err := h.setBacklog(s, mine.Was); err != nil {
				return err
			}
		}
		return j.Write(journal.Record{Kind: journal.KindBacklog, Done: true})
	})
	if err != nil {
		return fmt.Errorf("restore backlog: %w", err)
	}
	return nil
}

// otherTeamsBacklog returns what another team of this host has recorded, nil for nothing.
func (h *Host) otherTeamsBacklog() *journal.BacklogRecord {
	paths, _ := filepath.Glob(filepath.Join(h.o.StateDir, "*.journal"))
	for _, path := range paths {
		if path == journal.PathOf(h.o.StateDir, h.o.Team) {
			continue
		}
		if s := journal.ReadHere(path); s != nil && s.Backlog != nil {
			return s.Backlog
		}
	}
	return nil
}

// lockBacklog runs f while no other team uses the sysctl; not at all if it does not exist. The lock is on the sysctl's
// file, so it holds across state directories and leaves no lock file. Any user may open the file and hold its lock, so
// after backlogPatience f is run without it.
func (h *Host) lockBacklog(f func(setting) error) error {
	file, err := os.OpenFile(cmp.Or(h.o.backlogPath, netdevMaxBacklog), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) || isReadOnly(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	for end := time.Now().Add(backlogPatience); ; time.Sleep(time.Millisecond) {
		err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		held := errors.Is(err, unix.EWOULDBLOCK)
		if held && time.Now().After(end) {
			h.log.Warn("somebody holds the lock of a sysctl for no reason of ours", "file", file.Name())
			break
		}
		if !held && err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("lock %s: %w", file.Name(), err)
		}
		if err == nil {
			break
		}
	}
	return f(setting{file})
}

func (h *Host) setBacklog(s setting, frames int) error {
	if err := h.faultPoint(fmt.Sprintf("set backlog to %d", frames)); err != nil {
		return err
	}
	return s.write(frames)
}

// setting is a numeric sysctl.
type setting struct{ file *os.File }

func (s setting) read() (int, error) {
	b := make([]byte, 32)
	n, err := s.file.ReadAt(b, 0)
	if n == 0 && err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b[:n])))
}

// write uses one system call at offset 0, as sysctls require.
func (s setting) write(v int) error {
	_, err := s.file.WriteAt([]byte(strconv.Itoa(v)+"\n"), 0)
	return err
}
