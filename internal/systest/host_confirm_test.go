// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// A waiter is a command that waits for the confirmation of its change.
type waiter struct {
	t    testing.TB
	done chan struct{}
	r    result
}

// start runs a command beside the test.
func start(t testing.TB, cmd *lab.Command) *waiter {
	t.Helper()
	return startOn(t, cmd, nil)
}

// startOn is start with a terminal for its output, nil for none. It closes the test's end of that.
func startOn(t testing.TB, cmd *lab.Command, terminal *os.File) *waiter {
	t.Helper()
	x := &waiter{t: t, done: make(chan struct{})}
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if terminal != nil {
		cmd.Stdout, cmd.Stderr = terminal, terminal
	}
	labtest.Must(t, cmd.Start())
	if terminal != nil {
		labtest.Must(t, terminal.Close())
	}
	go func() {
		defer close(x.done)
		err := cmd.Wait()
		x.r = result{Out: out.String(), Err: stderr.String(), Code: cmd.ProcessState.ExitCode()}
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			x.r.Err += err.Error()
		}
	}()
	return x
}

// start runs the binary in box beside the test.
func (w *world) start(args ...string) *waiter {
	w.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w.t.Cleanup(cancel)
	cmd := w.box.CommandContext(ctx, program(w.t), args...)
	cmd.Env = append(os.Environ(), "NICTEAM_LINK_WATCH=carrier")
	return start(w.t, cmd)
}

// end waits for the end of the command and checks its exit code and words.
func (x *waiter) end(code int, words ...string) result {
	x.t.Helper()
	select {
	case <-x.done:
	case <-time.After(labtest.Patience):
		x.t.Fatal("the command does not end")
	}
	if x.r.Code != code {
		x.t.Errorf("exit %d, want %d\n%s%s", x.r.Code, code, x.r.Out, x.r.Err)
	}
	for _, word := range words {
		if !strings.Contains(x.r.Out+x.r.Err, word) {
			x.t.Errorf("the command does not say %q:\n%s%s", word, x.r.Out, x.r.Err)
		}
	}
	return x.r
}

// awaitPending waits until a change waits for confirmation, and returns when it does.
func (w *world) awaitPending(change string) time.Time {
	w.t.Helper()
	return awaitRecord(w.t, change, func() []byte {
		b, _ := os.ReadFile(w.box.Path(recordFile))
		return b
	})
}

const recordFile = "/run/nicteam/" + teamName + ".pending"

// awaitRecord waits until the record has a change that is made. On a busy machine a status may come too late.
func awaitRecord(t testing.TB, change string, read func() []byte) time.Time {
	t.Helper()
	var r struct {
		Change string
		Since  time.Time
		Made   bool
	}
	labtest.Eventually(t, "a "+change+" that waits", func() bool {
		return json.Unmarshal(read(), &r) == nil && r.Made && r.Change == change
	})
	return r.Since
}

// checkDeadline fails the test unless the last revert was so long after its change.
func (w *world) checkDeadline(what string, since time.Time, confirm time.Duration) {
	w.t.Helper()
	st, err := os.Stat(w.box.Path(outcomeFile))
	labtest.Must(w.t, err)
	checkDeadline(w.t, what, st.ModTime().Sub(since), confirm)
}

const outcomeFile = "/run/nicteam/" + teamName + ".outcome"

func checkDeadline(t testing.TB, what string, took, confirm time.Duration) {
	t.Helper()
	t.Logf("%s reverted %v after it was made, of %v", what, took, confirm)
	late := time.Second
	if !*soak { // a new process of the team takes long on a busy machine
		late = 5 * time.Second
	}
	if took < confirm-100*time.Millisecond || took > confirm+late {
		t.Errorf("%s reverted %v after it was made, want %v", what, took, confirm)
	}
}

// pendingLeft lists the files of a change that waits.
func (w *world) pendingLeft() []string {
	left, err := filepath.Glob(w.box.Path("/run/nicteam/*.pending"))
	labtest.Must(w.t, err)
	before, err := filepath.Glob(w.box.Path("/run/nicteam/.*.before.yaml"))
	labtest.Must(w.t, err)
	return slices.Concat(left, before)
}

func (w *world) hasTeamYAML() bool {
	_, err := os.Stat(w.box.Path("/etc/nicteam/" + teamName + ".yaml"))
	return err == nil
}

// TestCreateUnconfirmed: the team's process is killed meanwhile, and the host is as before in time.
func TestCreateUnconfirmed(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	x := w.start("create", teamName, "eth1", "eth2", "--confirm", "2s")
	since := w.awaitPending("create")
	if w.hasTeamYAML() {
		t.Error("TEAM.yaml is there before the confirmation: the team would come back after a reboot")
	}
	r := w.try("add", teamName, "eth1")
	checkRefused(t, r, int(api.Conflict), "create", "nicteam confirm "+teamName, "nicteam revert "+teamName)
	w.killOnce()
	x.end(int(api.Reverted), "no confirmation came within 2s")
	w.checkDeadline("it is", since, 2*time.Second)
	w.checkUnchanged("after the revert", before)
	if left := w.pendingLeft(); len(left) > 0 || w.hasTeamYAML() || w.keeper() != 0 {
		t.Errorf("left: %v, TEAM.yaml %v, keeper %d", left, w.hasTeamYAML(), w.keeper())
	}
	checkRefused(t, w.try("confirm", teamName), int(api.Reverted), "create was reverted")
}

// killOnce kills the team's process; its keeper starts the next one.
func (w *world) killOnce() {
	w.t.Helper()
	labtest.Eventually(w.t, "a process of the team", func() bool { return len(w.processes(" run "+teamName)) == 1 })
	pid := w.teamProcess()
	labtest.Must(w.t, unix.Kill(pid, unix.SIGKILL))
	w.awaitNext(pid)
}

// TestConfirmed: each change stays once it is confirmed, and only then is it in TEAM.yaml.
func TestConfirmed(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	before := w.state()
	yaml := func() string {
		b, _ := os.ReadFile(w.box.Path("/etc/nicteam/" + teamName + ".yaml"))
		return string(b)
	}
	for _, c := range []struct {
		change  string
		args    []string
		has     string
		hasThen bool
	}{
		{"create", []string{"create", teamName, "eth1", "eth2"}, "name: eth1", true},
		{"add eth3", []string{"add", teamName, "eth3"}, "name: eth3", true},
		{"set mode=xor", []string{"set", teamName, "mode=xor"}, "xor", true},
		{"remove eth2", []string{"remove", teamName, "eth2"}, "name: eth2", false},
	} {
		x := w.start(append(c.args, "--confirm", "20s")...)
		w.awaitPending(c.change)
		if strings.Contains(yaml(), c.has) == c.hasThen {
			t.Errorf("%s is in TEAM.yaml before it is confirmed:\n%s", c.change, yaml())
		}
		w.killOnce()
		w.nicteam("confirm", teamName)
		x.end(0, c.change+" is confirmed")
		if strings.Contains(yaml(), c.has) != c.hasThen {
			t.Errorf("%s is not in TEAM.yaml when it is confirmed:\n%s", c.change, yaml())
		}
		if left := w.pendingLeft(); len(left) > 0 {
			t.Errorf("%s left %v", c.change, left)
		}
	}
	if st := w.status(); st.Mode != "xor" || len(st.Members) != 2 || st.Pending != nil {
		t.Errorf("the team has mode %s, %d members, pending %v", st.Mode, len(st.Members), st.Pending)
	}
	checkRefused(t, w.try("revert", teamName), int(api.Conflict), "no change of "+teamName)
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
	w.checkNoFiles("after delete")
}

// TestUnconfirmedChanges: add, remove and set are reverted, also if the process is killed meanwhile, and connections
// live through all of it.
func TestUnconfirmedChanges(t *testing.T) {
	parallelWithTraffic(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	w.create([]string{"eth1", "eth2"}, "--mode", "xor", "--weight", "eth2=3")
	connections := startConnections(t, w.peer, w.box, box4)
	checkProgress(t, "at first", connections)
	was := w.status()
	for _, change := range []string{"add eth3", "remove eth2",
		"set active=eth2 mode=active-backup mtu=1400 weight.eth1=7"} {
		verb, what, _ := strings.Cut(change, " ")
		x := w.start(append([]string{verb, teamName, "--confirm", "1s"}, strings.Fields(what)...)...)
		since := w.awaitPending(change)
		checkProgress(t, "while "+change+" waits", connections)
		if verb == "remove" {
			w.killOnce()
		}
		x.end(int(api.Reverted), "no confirmation came within 1s")
		w.checkDeadline(change, since, time.Second)
		checkProgress(t, "after the revert of "+change, connections)
		if out := w.nicteam("events", teamName); !strings.Contains(out, "reverted: "+change+": no confirmation came") {
			t.Errorf("no event of the revert of %s:\n%s", change, out)
		}
		is := w.status()
		if is.Mode != was.Mode || is.Active != was.Active || is.Adapter.MTU != was.Adapter.MTU ||
			is.Settings != was.Settings || is.Pending != nil {
			t.Errorf("after the revert of %s the team is %+v, was %+v", change, is, was)
		}
		for _, m := range was.Members {
			if now := memberOf(t, is, m.Name); now.Weight != m.Weight || now.State != m.State {
				t.Errorf("after the revert of %s %s is %s with weight %v, was %s with %v", change, m.Name, now.State,
					now.Weight, m.State, m.Weight)
			}
		}
		if len(is.Members) != len(was.Members) {
			t.Errorf("after the revert of %s there are %d members", change, len(is.Members))
		}
	}
	// A NIC that went away meanwhile is not waited for.
	w.start("remove", teamName, "eth2", "--confirm", "20s")
	w.awaitPending("remove eth2")
	w.sh("ip link set eth2 down; ip link set eth2 name gone2")
	if out := w.nicteam("revert", teamName); !strings.Contains(out, "eth2 is not there: it joins when it is") {
		t.Errorf("revert says %s", out)
	}
	w.sh("ip link set gone2 name eth2; ip link set eth2 up")
	w.awaitMember("eth2", "up")
	checkProgress(t, "at last", connections)
}

// TestUnconfirmedDelete: the team comes back at the deadline, also if what waits for it is killed, and does not if the
// delete is confirmed.
func TestUnconfirmedDelete(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	w.create(nics(2), "--mode", "xor")
	x := w.start("delete", teamName, "--confirm", "20s")
	w.awaitPending("delete")
	if st := w.status(); st.State != "down" || st.Pending == nil { // also while the process that waits begins
		t.Errorf("a delete that waits has the status %+v", st)
	}
	checkRefused(t, w.try("create", teamName, "eth1"), int(api.Conflict), "its delete waits for confirmation")
	w.checkUnchanged("while the delete waits", before)
	if !w.hasTeamYAML() {
		t.Error("TEAM.yaml is gone before the delete is confirmed")
	}
	checkRefused(t, w.try("delete", teamName), int(api.Conflict), "delete")
	w.nicteam("revert", teamName)
	x.end(int(api.Reverted), "asked for")

	x = w.start("delete", teamName, "--confirm", "1500ms")
	since := w.awaitPending("delete")
	w.killOnce()
	x.end(int(api.Reverted), "no confirmation came")
	w.checkDeadline("it is", since, 1500*time.Millisecond)
	if st := w.status(); st.Mode != "xor" || st.State != "up" || len(st.Members) != 2 || st.Pending != nil {
		t.Errorf("the team that is back is %+v", st)
	}
	reach(t, w.peer, box4)

	x = w.start("delete", teamName, "--confirm", "20s")
	w.awaitPending("delete")
	w.nicteam("confirm", teamName)
	x.end(0, "delete is confirmed")
	w.checkUnchanged("after the delete", before)
	if left := w.pendingLeft(); len(left) > 0 || w.hasTeamYAML() || w.keeper() != 0 {
		t.Errorf("left: %v, TEAM.yaml %v, keeper %d", left, w.hasTeamYAML(), w.keeper())
	}
}

// TestConfirmBadInput: nothing is changed by bad times and by confirmations of nothing.
func TestConfirmBadInput(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	before := w.state()
	for _, bad := range []string{"1", "soon", "240h", "-1s", "999ms"} {
		checkRefused(t, w.try("create", teamName, "eth1", "eth2", "--confirm", bad), int(api.Usage), "confirm")
	}
	checkRefused(t, w.try("confirm", teamName), int(api.NotFound))
	checkRefused(t, w.try("revert", "team9"), int(api.NotFound))
	w.checkUnchanged("after bad times", before)
	w.create(nics(2), "--confirm", "0")
	checkRefused(t, w.try("confirm", teamName), int(api.Conflict), "no change of "+teamName)
	checkRefused(t, w.try("add", teamName, "eth3", "--confirm", "0.1s"), int(api.Usage), "confirm")
	// What is refused leaves nothing that waits.
	checkRefused(t, w.try("set", teamName, "mode=bad", "--confirm", "20s"), int(api.Usage))
	checkRefused(t, w.try("add", teamName, "eth9", "--confirm", "20s"), int(api.NotFound))
	if left := w.pendingLeft(); len(left) > 0 {
		t.Errorf("refused changes left %v", left)
	}
	// Two at once: the second is refused, whichever that is.
	x := w.start("add", teamName, "eth3", "--confirm", "20s")
	y := w.start("set", teamName, "mode=xor", "--confirm", "20s")
	var second, first *waiter
	select {
	case <-x.done:
		second, first = x, y
	case <-y.done:
		second, first = y, x
	case <-time.After(labtest.Patience):
		t.Fatal("both wait")
	}
	second.end(int(api.Conflict), "another change waits for confirmation")
	w.nicteam("revert", teamName)
	first.end(int(api.Reverted), "asked for")
	if st := w.status(); len(st.Members) != 2 || st.Mode != "elb" {
		t.Errorf("after the revert: mode %s, %d members", st.Mode, len(st.Members))
	}
}

// TestUnconfirmedAndNoProcessLives: the host is given back by the keeper, and that is the revert.
func TestUnconfirmedAndNoProcessLives(t *testing.T) {
	if !*soak {
		t.Skip("waits ten seconds for the start after the give-back; runs with -soak")
	}
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	before := w.state()
	dies := func(until func() bool) {
		labtest.Eventually(t, "the give-back", func() bool {
			if pids := w.processes(" run " + teamName); len(pids) == 1 {
				_ = unix.Kill(pids[0], unix.SIGKILL)
			}
			return until()
		})
	}
	givenBack := func() bool { _, err := w.box.Handle().LinkByName(teamName); return err != nil }
	x := w.start("create", teamName, "eth1", "eth2", "--confirm", "1m")
	w.awaitPending("create")
	dies(givenBack)
	x.end(int(api.Reverted), "died too often")
	w.checkUnchanged("after the give-back of a create", before)
	if w.hasTeamYAML() || w.keeper() != 0 || len(w.pendingLeft()) > 0 {
		t.Errorf("left: TEAM.yaml %v, keeper %d, %v", w.hasTeamYAML(), w.keeper(), w.pendingLeft())
	}

	w.create([]string{"eth1", "eth2"})
	x = w.start("add", teamName, "eth3", "--confirm", "1m")
	w.awaitPending("add eth3")
	dies(givenBack)
	x.end(int(api.Reverted), "died too often")
	if st := w.status(); len(st.Members) != 2 || st.Pending != nil || st.State != "up" {
		t.Errorf("after the give-back of an add: %+v", st)
	}
}

// TestDeathDuringAChange: the team's process dies at some moment of a change. Whatever it has done of it is undone.
func TestDeathDuringAChange(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NICs: 3})
	before := w.state()
	w.create(nics(2), "--mode", "xor")
	moments := []time.Duration{20 * time.Millisecond}
	if *soak {
		moments = nil
		for d := time.Duration(0); d < 200*time.Millisecond; d += 5 * time.Millisecond {
			moments = append(moments, d)
		}
	}
	for _, moment := range moments {
		for _, change := range []string{"add eth3", "remove eth1", "set mode=active-backup mtu=1400", "delete"} {
			verb, what, _ := strings.Cut(change, " ")
			pid := w.teamProcess()
			x := w.start(append([]string{verb, teamName, "--confirm", "20s"}, strings.Fields(what)...)...)
			labtest.Eventually(t, "the record of "+change, func() bool {
				return len(w.pendingLeft()) > 0 || x.ended()
			})
			time.Sleep(moment) // the moment of the death, no wait
			_ = unix.Kill(pid, unix.SIGKILL)
			labtest.Eventually(t, "the end of "+change, func() bool {
				st, ok := parseStatus(w.try("status", teamName, "--json"))
				if ok && st.Pending != nil && st.PID != pid {
					w.try("revert", teamName) // it was made before
				}
				return x.ended()
			})
			x.end(int(api.Reverted))
			st := w.status()
			if st.Mode != "xor" || st.Adapter.MTU != 1500 || len(st.Members) != 2 || st.State != "up" ||
				st.Pending != nil || memberOf(t, st, "eth1").State != "up" || memberOf(t, st, "eth2").State != "up" {
				t.Errorf("a death %v after %s was begun: %+v", moment, change, st)
			}
		}
	}
	reach(t, w.peer, box4)
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
}

// ended reports whether the command has.
func (x *waiter) ended() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// TestConfirmInForeground: a process that nobody supervises keeps the deadline, also of its own delete.
func TestConfirmInForeground(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	x := w.start("create", teamName, "eth1", "eth2", "--foreground", "--confirm", "1s")
	x.end(int(api.Reverted), "no confirmation came within 1s")
	w.checkUnchanged("after the revert of a create", before)

	w.start("create", teamName, "eth1", "eth2", "--foreground", "--confirm", "20s")
	w.awaitPending("create")
	w.nicteam("confirm", teamName)
	if w.hasTeamYAML() {
		t.Error("a team in the foreground has a TEAM.yaml")
	}
	x = w.start("delete", teamName, "--confirm", "1s")
	x.end(int(api.Reverted), "no confirmation came within 1s")
	w.await("the team that is back", func(st *api.Status) bool { return st.State == "up" && st.Pending == nil })
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
}
