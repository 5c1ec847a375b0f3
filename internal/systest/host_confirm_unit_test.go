// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// start runs the program beside systemd and the test.
func (w *systemdWorld) start(args ...string) *waiter {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	return start(w.t, w.sd.CommandContext(ctx, "nicteam", args...))
}

// awaitPending waits until a change waits for confirmation, and returns since when.
func (w *systemdWorld) awaitPending(change string) time.Time {
	w.t.Helper()
	return awaitRecord(w.t, change, func() []byte {
		b, _ := w.sd.CommandContext(w.t.Context(), "cat", recordFile).Output()
		return b
	})
}

func (w *systemdWorld) checkDeadline(what string, since time.Time, confirm time.Duration) {
	w.t.Helper()
	out, err := w.sd.CommandContext(w.t.Context(), "stat", "-c", "%.9Y", outcomeFile).Output()
	labtest.Must(w.t, err)
	seconds, nanoseconds, _ := strings.Cut(strings.TrimSpace(string(out)), ".")
	s, err := strconv.ParseInt(seconds, 10, 64)
	labtest.Must(w.t, err)
	ns, err := strconv.ParseInt(nanoseconds, 10, 64)
	labtest.Must(w.t, err)
	checkDeadline(w.t, what, time.Unix(s, ns).Sub(since), confirm)
}

// TestUnitConfirm: until a create is confirmed the unit is not enabled and there is no TEAM.yaml. It is reverted in
// time, also if the process is killed meanwhile; a delete likewise.
func TestUnitConfirm(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, nil)
	before := w.state()
	yaml := "/etc/nicteam/" + teamName + ".yaml"
	x := w.start("create", teamName, "eth1", "eth2", "--confirm", "2s")
	since := w.awaitPending("create")
	if e := w.property("UnitFileState"); e != "disabled" || w.hasFile(yaml) {
		t.Errorf("before the create is confirmed the unit is %s, TEAM.yaml there %v", e, w.hasFile(yaml))
	}
	w.kill()
	x.end(int(api.Reverted), "no confirmation came within 2s")
	w.checkDeadline("the create", since, 2*time.Second)
	labtest.Eventually(t, "the unit to end", func() bool { return w.property("ActiveState") == "inactive" })
	w.checkUnit("after the revert", "inactive", "disabled")
	w.checkUnchanged("after the revert", before)
	if w.hasFile(yaml) {
		t.Error("the revert left TEAM.yaml")
	}

	x = w.start("create", teamName, "eth1", "--confirm", "20s")
	w.awaitPending("create")
	w.ok("confirm", teamName)
	x.end(0, "create is confirmed", "is enabled")
	w.checkUnit("after the confirmation", "active", "enabled")
	if !w.hasFile(yaml) {
		t.Error("no TEAM.yaml of the confirmed team")
	}

	x = w.start("add", teamName, "eth2", "--confirm", "20s")
	w.awaitPending("add eth2")
	w.ctl("restart", unit)
	if st := w.teamStatus(); st == nil || len(st.Members) != 2 || st.Pending == nil {
		t.Errorf("the next process has not the change: %+v", st)
	}
	w.ok("revert", teamName)
	x.end(int(api.Reverted), "asked for")
	if st := w.teamStatus(); st == nil || len(st.Members) != 1 || st.Pending != nil {
		t.Errorf("after the revert: %+v", st)
	}

	x = w.start("delete", teamName, "--confirm", "1500ms")
	since = w.awaitPending("delete")
	x.end(int(api.Reverted), "no confirmation came")
	w.checkDeadline("the delete", since, 1500*time.Millisecond)
	reach(t, w.peer, box4)
	x = w.start("delete", teamName, "--confirm", "20s")
	w.awaitPending("delete")
	w.ok("confirm", teamName)
	x.end(0, "delete is confirmed")
	w.checkUnit("after the delete", "inactive", "disabled")
	w.checkUnchanged("after the delete", before)
	if w.hasFile(yaml) {
		t.Error("the delete left TEAM.yaml")
	}
}
