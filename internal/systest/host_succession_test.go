// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// betweenProcesses kills the team's process and changes something before the next one starts, whose status it returns.
func (w *world) betweenProcesses(change func()) (is *api.Status) {
	w.t.Helper()
	keeper, was := w.keeper(), w.teamProcess()
	labtest.Must(w.t, unix.Kill(keeper, unix.SIGSTOP))
	labtest.Must(w.t, unix.Kill(was, unix.SIGKILL))
	change()
	labtest.Must(w.t, unix.Kill(keeper, unix.SIGCONT))
	labtest.Eventually(w.t, "the next process answers", func() bool {
		is = &api.Status{}
		r := w.try("status", teamName, "--json")
		return r.Code == 0 && json.Unmarshal([]byte(r.Out), is) == nil && is.PID != was && is.State == "up"
	})
	return is
}

// TestWhatDoesNotFitTheNextProcess changes what a process has left before the next one looks: that one says why it does
// not go on with it, and the host is reachable.
func TestWhatDoesNotFitTheNextProcess(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.create(nics(2), "--mode", "active-backup")
	state := w.box.Path("/run/nicteam/" + teamName + ".state")
	w.startEcho()
	for _, tt := range []struct {
		name   string
		change func()
		start  string
		reason string
	}{
		{"a renamed member", func() {
			l, h := &netlink.Device{LinkAttrs: *link(t, w.box, "eth2")}, w.box.Handle()
			labtest.Must(t, errors.Join(h.LinkSetDown(l), h.LinkSetName(l, "lan2"), h.LinkSetUp(l)))
		}, "warm", ""},
		{"a damaged checkpoint", func() { labtest.Must(t, os.WriteFile(state, []byte("{"), 0o640)) }, "cold",
			"inconsistent checkpoint file"},
		{"a deleted adapter", func() {
			labtest.Must(t, w.box.Handle().LinkDel(&netlink.Device{LinkAttrs: *link(t, w.box, teamName)}))
		}, "new", ""},
	} {
		is := w.betweenProcesses(tt.change)
		if x := is.Supervisor; x.LastStart != tt.start || !strings.Contains(x.Reason, tt.reason) {
			t.Errorf("after %s the next process has begun %s: %q", tt.name, x.LastStart, x.Reason)
		}
		w.startEcho()
	}
}
