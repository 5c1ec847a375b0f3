// SPDX-License-Identifier: MIT

package systest

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// checkReverted types a change that nobody confirms, and waits until it is reverted.
func (w *sshWorld) checkReverted(l *login, command string, sessions []*connection) {
	w.t.Helper()
	began := time.Now()
	r := l.run("nicteam " + command + " --confirm 1s")
	if r.Code != int(api.Reverted) || !strings.Contains(r.Out, "reverted") {
		w.t.Fatalf("%s, not confirmed: exit %d\n%s", command, r.Code, r.Out)
	}
	if took := time.Since(began); took < time.Second {
		w.t.Errorf("%s: reverted after %v", command, took)
	}
	checkProgress(w.t, "after the revert of "+command, sessions)
}

// members are the names of the team's members.
func (w *world) members() (names []string) {
	w.t.Helper()
	for _, m := range w.status().Members {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	return names
}

// TestNobodyConfirmsOverSSH: the host is as before, and its connections live.
func TestNobodyConfirmsOverSSH(t *testing.T) {
	t.Parallel()
	t.Run("create and delete", func(t *testing.T) {
		parallel(t)
		w := newSSHWorld(t, worldOptions{})
		before := w.state()
		l, sessions := w.login(), append(startConnections(t, w.peer, w.box, box4), w.pulse())
		w.checkReverted(l, "create "+teamName+" eth1 eth2", sessions)
		w.checkUnchanged("after the revert of create", before)
		if _, err := os.Stat(w.box.Path("/etc/nicteam/" + teamName + ".yaml")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the configuration of a create that nobody confirmed: %v", err)
		}
		l.ok("nicteam create " + teamName + " eth1 eth2 -y")
		w.checkReverted(l, "delete "+teamName, sessions)
		w.await("the team again", isUp)
		checkProgress(t, "by the team again", sessions)
	})
	t.Run("members and settings", func(t *testing.T) {
		parallel(t)
		w := newSSHWorld(t, worldOptions{NICs: 3})
		l, sessions := w.login(), append(startConnections(t, w.peer, w.box, box4), w.pulse())
		l.ok("nicteam create " + teamName + " eth1 eth2 -y")
		for _, command := range []string{"add " + teamName + " eth3", "remove " + teamName + " eth1",
			"set " + teamName + " mode=active-backup"} {
			w.checkReverted(l, command, sessions)
			s := w.status()
			if got := w.members(); !slices.Equal(got, nics(2)) || s.Mode != "elb" || s.Pending != nil {
				t.Errorf("after the revert of %s: members %v, mode %s, pending %+v", command, got, s.Mode, s.Pending)
			}
		}
	})
}

// TestConfirmOverSSH confirms by a second session, and by Enter. A change by which the session goes waits for it
// unasked, also if the environment does not tell of the session, as under sudo.
func TestConfirmOverSSH(t *testing.T) {
	parallel(t)
	w := newSSHWorld(t, worldOptions{NICs: 3})
	before := w.state()
	one, two, pulse := w.login(), w.login(), w.pulse()
	end := func(command string) {
		t.Helper()
		if r := one.awaitEnd(); r.Code != 0 {
			t.Errorf("%s, confirmed: exit %d\n%s", command, r.Code, r.Out)
		}
		w.checkPulse("after "+command, pulse)
	}
	for _, command := range []string{"create " + teamName + " eth1 eth2", "remove " + teamName + " eth1"} {
		one.begin("nicteam " + command)
		one.expect("Enter keeps it")
		two.ok("nicteam confirm " + teamName)
		end(command)
	}
	for _, c := range []struct{ change, command string }{{"add eth1 eth3", "add " + teamName + " eth1 eth3"},
		{"delete", "delete " + teamName}} {
		one.begin("env -i PATH=$PATH NICTEAM_LINK_WATCH=carrier nicteam " + c.command)
		one.expect("Enter keeps it")
		w.awaitPending(c.change)
		one.press("\n")
		end(c.command)
	}
	w.checkUnchanged("after delete", before)
}

// TestTypedAhead: Enter from before the question, such as the next line of what was pasted, is no answer to it.
func TestTypedAhead(t *testing.T) {
	parallel(t)
	w := newSSHWorld(t, worldOptions{})
	l := w.login()
	l.press("nicteam create " + teamName + " eth1 eth2 --confirm 1s; echo \"[exit $?]\"\n\n")
	if r := l.awaitEnd(); r.Code != int(api.Reverted) {
		t.Errorf("exit %d\n%s", r.Code, r.Out)
	}
}

// TestScriptConfirmsOverSSH: a session begins a change and ends, another one finds that the host is reached.
func TestScriptConfirmsOverSSH(t *testing.T) {
	parallel(t)
	w := newSSHWorld(t, worldOptions{})
	ssh := func(command string) (string, error) {
		out, err := w.sshd.Login(w.peer, box4.String(), false, command).CombinedOutput()
		return string(out), err
	}
	begun := "nohup nicteam create " + teamName + " eth1 eth2 --confirm 2m >create.log 2>&1 & echo $!"
	pid, err := ssh(begun)
	labtest.Must(t, err)
	labtest.Eventually(t, "a confirmation", func() bool {
		_, err := ssh("nicteam confirm " + teamName)
		return err == nil
	})
	labtest.Eventually(t, "the end of create", func() bool {
		_, err := os.Stat("/proc/" + strings.TrimSpace(pid))
		return errors.Is(err, fs.ErrNotExist)
	})
	if out, err := ssh("cat create.log"); err != nil || !strings.Contains(out, "create is confirmed\n") {
		t.Errorf("%v: create said:\n%s", err, out)
	}
	if s := w.status(); s.Pending != nil || s.State != "up" {
		t.Errorf("state %s, pending %+v", s.State, s.Pending)
	}
}

// TestTwoChangesOverSSH: while a change waits a second one is refused, and the one who waits may leave.
func TestTwoChangesOverSSH(t *testing.T) {
	parallel(t)
	w := newSSHWorld(t, worldOptions{NICs: 3})
	one, two := w.login(), w.login()
	one.ok("nicteam create " + teamName + " eth1 eth2 -y")
	one.begin("nicteam add " + teamName + " eth3")
	w.awaitPending("add eth3")
	for _, command := range []string{"remove " + teamName + " eth1", "set " + teamName + " mode=xor -y",
		"delete " + teamName + " -y"} {
		if r := two.run("nicteam " + command); r.Code != int(api.Conflict) ||
			!strings.Contains(r.Out, "nicteam revert "+teamName) {
			t.Errorf("%s while another change waits: exit %d\n%s", command, r.Code, r.Out)
		}
	}
	one.press("\x03")
	if r := one.awaitEnd(); r.Code != 130 || !strings.Contains(r.Out, "nicteam confirm "+teamName) {
		t.Errorf("interrupted: exit %d\n%s", r.Code, r.Out)
	}
	if w.status().Pending == nil {
		t.Error("the change does not wait any more after its command was interrupted")
	}
	two.ok("nicteam revert " + teamName)
	if got := w.members(); !slices.Equal(got, nics(2)) {
		t.Errorf("after revert: members %v", got)
	}
	if r := two.run("nicteam confirm " + teamName); r.Code == 0 {
		t.Errorf("confirmed what was reverted: %s", r.Out)
	}
}

// TestConnectionLostBeforeConfirmation: the terminal is closed, and the change is reverted at its time.
func TestConnectionLostBeforeConfirmation(t *testing.T) {
	parallel(t)
	w := newSSHWorld(t, worldOptions{})
	before := w.state()
	l, pulse := w.login(), w.pulse()
	l.begin("nicteam create " + teamName + " eth1 eth2 --confirm 2s")
	w.awaitPending("create")
	labtest.Must(t, l.ssh.Process.Kill())
	w.checkPulse("while the change waits", pulse)
	labtest.Eventually(t, "the revert", func() bool { return len(w.processes(" run "+teamName)) == 0 })
	w.checkUnchanged("after the revert", before)
	w.checkPulse("after the revert", pulse)
}

// TestCreateOntoSilentNIC: frames would leave by a NIC that swallows them. The host is back before the change's time is
// over. The session follows later, since TCP sends again what was lost at longer and longer intervals.
func TestCreateOntoSilentNIC(t *testing.T) {
	parallel(t)
	w := newSSHWorld(t, worldOptions{})
	before := w.state()
	l, pulse := w.login(), w.pulse()
	w.wires["eth2"].A.SwallowTx(true)
	bound := 6 * time.Second
	if !*soak {
		bound *= 2 // on a busy machine
	}
	began := time.Now()
	l.begin("nicteam create " + teamName + " eth1 eth2 --mode active-backup --primary eth2")
	adapter := func() bool { _, err := w.box.Handle().LinkByName(teamName); return err == nil }
	labtest.Eventually(t, "the adapter", adapter)
	labtest.Eventually(t, "no adapter", func() bool { return !adapter() })
	reach(t, w.peer, box4)
	t.Logf("back after %v", time.Since(began))
	if took := time.Since(began); took > bound {
		t.Errorf("back after %v", took)
	}
	r := l.awaitEnd()
	if r.Code != int(api.Reverted) {
		t.Errorf("exit %d\n%s", r.Code, r.Out)
	}
	t.Logf("the session after %v: %s", time.Since(began), r.Out)
	w.checkUnchanged("after the revert", before)
	w.checkPulse("after the revert", pulse)
}
