// SPDX-License-Identifier: MIT

package systest

import (
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// A terminal runs a command with a terminal of its own.
type terminal struct {
	*waiter
	master *os.File
	mu     sync.Mutex
	screen strings.Builder
}

func (w *world) startOnTerminal(args ...string) *terminal {
	w.t.Helper()
	master, slave := openTerminal(w.t, 80, 24)
	x := &terminal{master: master}
	cmd := w.box.Command(program(w.t), args...)
	cmd.Env = append(append(os.Environ(), "NICTEAM_LINK_WATCH=carrier"), w.env...)
	cmd.Stdin = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	x.waiter = startOn(w.t, cmd, slave)
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			x.mu.Lock()
			x.screen.Write(b[:n])
			x.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return x
}

// awaitText waits until the terminal has shown a text.
func (x *terminal) awaitText(text string) {
	x.t.Helper()
	labtest.Eventually(x.t, text+" on the terminal", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		return strings.Contains(x.screen.String(), text)
	})
}

// TestConfirmOnATerminal: the seconds are shown, Enter confirms, Ctrl-C lets the change wait, and a terminal that is
// closed changes nothing.
func TestConfirmOnATerminal(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	x := w.startOnTerminal("create", teamName, "eth1", "eth2", "--confirm", "20s")
	x.awaitText("create: reverted in 19 s. Enter keeps it")
	_, err := x.master.WriteString("\r")
	labtest.Must(t, err)
	x.end(0)
	x.awaitText("create is confirmed")
	if !w.hasTeamYAML() {
		t.Error("the team is confirmed and has no TEAM.yaml")
	}

	x = w.startOnTerminal("set", teamName, "mode=xor", "--confirm", "20s")
	x.awaitText("Enter keeps it")
	_, err = x.master.WriteString("\x03")
	labtest.Must(t, err)
	x.end(int(api.Interrupted))
	x.awaitText("still waits for confirmation")
	if st := w.status(); st.Pending == nil || st.Mode != "xor" {
		t.Errorf("after Ctrl-C the mode is %s, pending %v", st.Mode, st.Pending)
	}
	w.nicteam("revert", teamName)

	x = w.startOnTerminal("add", teamName, "eth3", "--confirm", "1s")
	since := w.awaitPending("add eth3")
	labtest.Must(t, x.master.Close())
	<-x.done
	w.await("the team without eth3", func(st *api.Status) bool { return len(st.Members) == 2 && st.Pending == nil })
	w.checkDeadline("add eth3", since, 1e9)
	if st := w.status(); st.Mode != "elb" {
		t.Errorf("the mode is %s", st.Mode)
	}
}
