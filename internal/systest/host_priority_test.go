// SPDX-License-Identifier: MIT

package systest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// TestNetworkComesFirst: the process runs before ordinary programs, also with autogroup, which compares sessions. The
// session of a foreground process stays unchanged.
func TestNetworkComesFirst(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.create(nics(2), "--mode", "active-backup")
	created := w.teamProcess()
	checkPriority(t, created)
	if n, ok := sessionNiceness(t, strconv.Itoa(created)); ok && n != "-10" {
		t.Errorf("its session has niceness %s", n)
	}
	w.nicteam("delete", teamName)

	was, _ := sessionNiceness(t, "self")
	cmd := w.box.Command(program(t), "create", teamName, "eth1", "eth2", "--mode", "active-backup", "--foreground")
	labtest.Must(t, cmd.Start())
	labtest.Eventually(t, "the team is up", func() bool { return w.try("status", teamName, "--check", "-q").Code == 0 })
	checkPriority(t, cmd.Process.Pid)
	if is, _ := sessionNiceness(t, "self"); is != was {
		t.Errorf("niceness of the session that it is in the foreground of was %s and is %s", was, is)
	}
	labtest.Must(t, cmd.Process.Signal(unix.SIGTERM))
	labtest.Must(t, cmd.Wait())
}

// checkPriority checks that every thread has the team's niceness, but for one that loads programs, and ends then.
func checkPriority(t *testing.T, pid int) {
	t.Helper()
	var others []string
	defer func() {
		if len(others) > 0 {
			t.Errorf("threads of %d: %s", pid, strings.Join(others, "\n"))
		}
	}()
	labtest.Eventually(t, fmt.Sprintf("niceness -10 of all threads of %d", pid), func() bool {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		labtest.Must(t, err)
		others = nil
		for _, task := range tasks {
			tid, err := strconv.Atoi(filepath.Base(task))
			labtest.Must(t, err)
			// The system call returns 20 less the niceness.
			if n, err := unix.Getpriority(unix.PRIO_PROCESS, tid); err == nil && n != 20-(-10) {
				stat, _ := os.ReadFile(task + "/stat")
				others = append(others, fmt.Sprintf("%d of %d threads has %d: %s", tid, len(tasks), 20-n, stat))
			}
		}
		return len(tasks) > 0 && len(others) == 0
	})
}

// sessionNiceness returns the niceness of a process's session; ok is false without autogroup.
func sessionNiceness(t *testing.T, pid string) (n string, ok bool) {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/autogroup")
	if errors.Is(err, fs.ErrNotExist) {
		return "", false
	}
	labtest.Must(t, err)
	_, n, ok = strings.Cut(strings.TrimSpace(string(b)), " nice ")
	return n, ok
}
