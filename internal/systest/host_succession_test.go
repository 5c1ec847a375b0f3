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
		return r.Code == 0 && json.Unmarshal([]byte(r.Out), is) == nil && is.PID != was && is.State != "down"
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

// TestSetDownStaysDown: a NIC that somebody has set down stays down in the next process, whether that is handed over
// to, or started after a death, warm or cold, and status says so. A new team sets its NICs up.
func TestSetDownStaysDown(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 4})
	w.sh("ip link set eth4 down")
	before := w.state()
	w.create(nics(4), "--mode", "active-backup")
	fallen := func(s *api.Status, nic string) bool {
		m := memberOf(t, s, nic)
		return m.State == "down" && m.Reason == "administratively down" &&
			link(t, w.box, nic).RawFlags&unix.IFF_UP == 0
	}
	down := map[string]bool{"eth2": true, "eth4": true}
	w.sh("ip link set eth2 down; ip link set eth4 down")
	check := func(when, start string) {
		t.Helper()
		var s *api.Status
		labtest.Eventually(t, when+" the links are seen", func() bool {
			s = w.status()
			for _, nic := range nics(4) {
				if m := memberOf(t, s, nic); (m.State == "down") != down[nic] || down[nic] != fallen(s, nic) {
					return false
				}
			}
			return true
		})
		if x := s.Supervisor; x.LastStart != start {
			t.Errorf("%s the process has begun %s: %s, want %s", when, x.LastStart, x.Reason, start)
		}
	}
	check("set down,", "new")
	w.restart()
	check("after a restart", "warm")
	w.betweenProcesses(func() { w.sh("ip link set eth3 down") })
	down["eth3"] = true
	check("after a death", "warm")
	w.sh("ip link set eth3 up")
	delete(down, "eth3")
	check("set up again,", "warm")
	w.kill(w.teamProcess(), unix.SIGKILL)
	next := w.supervise("--config", "/etc/nicteam/"+teamName+".yaml")
	check("after the death of all", "cold")
	w.sh("ip link set eth2 up; ip link set eth4 up") // the kernel counts the promiscuity of a link that is down later
	down = nil
	check("all set up,", "cold")
	labtest.Must(t, next.Process.Signal(unix.SIGTERM))
	next.ended(t, "SIGTERM")
	w.checkUnchanged("after the end", before)
}
