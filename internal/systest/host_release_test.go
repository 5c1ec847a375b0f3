// SPDX-License-Identifier: MIT

package systest

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// ownCopy puts a copy of the program into box and returns a function that runs it: `nicteam unit release` looks for
// processes of its own file, and other tests run the program meanwhile.
func (w *world) ownCopy() func(args string) result {
	w.t.Helper()
	path := "/run/" + w.t.Name()
	w.sh("cp " + program(w.t) + " " + path)
	w.t.Cleanup(func() { _ = os.Remove(path) })
	return func(args string) result {
		w.t.Helper()
		cmd := w.box.Command("sh", "-c", "NICTEAM_LINK_WATCH=carrier "+path+" "+args)
		var out, errs strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		return result{Out: out.String(), Err: errs.String(), Code: cmd.ProcessState.ExitCode()}
	}
}

// TestRelease: before the program is removed every team gives its NICs back, also one that only left a journal, and
// what starts it again stays.
func TestRelease(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 4, Cables: true})
	nicteam := w.ownCopy()
	before := w.state()
	for _, args := range []string{"create " + teamName + " eth1 eth2", "create team1 eth3 eth4 --no-persist"} {
		if r := nicteam(args); r.Code != 0 {
			t.Fatalf("%s: exit %d: %s", args, r.Code, r.Err)
		}
	}
	// The keeper first: it would start the next process.
	for _, pid := range slices.Concat(w.processes(" keeper team1"), w.processes(" run team1")) {
		labtest.Must(t, unix.Kill(pid, unix.SIGKILL))
	}
	r := nicteam("unit release")
	if r.Code != 0 || !strings.Contains(r.Out, teamName+" has given its NICs back") ||
		!strings.Contains(r.Out, "team1 has given its NICs back") {
		t.Errorf("exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	w.checkUnchanged("released", before)
	if _, err := os.Stat(w.box.Path("/etc/nicteam/" + teamName + ".yaml")); err != nil {
		t.Error(err)
	}
	if r := nicteam("unit release"); r.Code != 0 || r.Out != "" {
		t.Errorf("without a team: exit %d: %s%s", r.Code, r.Out, r.Err)
	}
}

// TestReleaseOfAContainer: a team's process in a container with the host's directories gives the NICs back. The process
// ID that it knows is another process here, and is left alone.
func TestReleaseOfAContainer(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	nicteam := w.ownCopy()
	before := w.state()
	labtest.Must(t, os.WriteFile(w.box.Path("/etc/nicteam/"+teamName+".yaml"), []byte(plainConfig), 0o640))
	inner := w.box.Command("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", program(t), "run", teamName)
	labtest.Must(t, inner.Start())
	ended := make(chan error, 1)
	go func() { ended <- inner.Wait() }()
	labtest.Eventually(t, "the team is up", func() bool { return w.try("status", teamName, "--check", "-q").Code == 0 })
	if pid := w.status().PID; pid != 1 {
		t.Fatalf("the team's process has the ID %d in its namespace", pid)
	}
	if r := nicteam("unit release"); r.Code != 0 || !strings.Contains(r.Out, teamName+" has given its NICs back") {
		t.Errorf("exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	if err := <-ended; err != nil {
		t.Errorf("released: %v", err)
	}
	w.checkUnchanged("released", before)
}

// TestReleaseRefused: a team that would stay behind is named.
func TestReleaseRefused(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	nicteam := w.ownCopy()
	before := w.state()
	other := " --run-dir /run/other --state-dir /var/lib/nicteam/other --config-dir /etc/nicteam/other"
	if r := nicteam("create " + teamName + " eth1 eth2" + other); r.Code != 0 {
		t.Fatalf("exit %d: %s", r.Code, r.Err)
	}
	checkRefused(t, nicteam("unit release"), 5, "--run-dir /run/other", "nicteam delete")
	reach(t, w.peer, box4)
	if r := nicteam("delete " + teamName + other); r.Code != 0 {
		t.Fatalf("exit %d: %s", r.Code, r.Err)
	}
	w.checkUnchanged("after delete", before)
}

// TestUpgraded: every team that runs goes on in the program that is there now.
func TestUpgraded(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 4, Cables: true})
	nicteam := w.ownCopy()
	w.create(nics(2), "--no-persist")
	w.nicteam("create", "team1", "eth3", "eth4", "--no-persist")
	was := w.status()
	c := w.startEcho()
	r := nicteam("unit upgraded")
	if r.Code != 0 || strings.Count(r.Out, "warm start") != 2 {
		t.Errorf("exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	if is := w.status(); !is.Started.After(was.Started) || is.Adapter.Index != was.Adapter.Index {
		t.Errorf("the team was %+v and is %+v", was, is)
	}
	c.check("after the upgrade")
	w.nicteam("delete", "team1")
	if r := nicteam("unit upgraded"); r.Code != 0 {
		t.Errorf("exit %d: %s%s", r.Code, r.Out, r.Err)
	}
}

// TestRestartOfANewerProcess: a program that cannot read the journal of the process has it give the NICs back, and
// starts the team anew.
func TestRestartOfANewerProcess(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	w.create(nics(2), "--no-persist", "--mode", "active-backup")
	was := w.status()
	newer := `printf 'nicteam-journal 9' | dd of=/var/lib/nicteam/` + teamName + `.journal conv=notrunc status=none`
	w.sh(newer)
	r := w.restart()
	is := w.status()
	if r.LastStart != "new" || is.PID == was.PID || is.Mode != "active-backup" || is.State != "up" {
		t.Errorf("restarted %+v, the team was %+v and is %+v", r, was, is)
	}
	reach(t, w.peer, box4)
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)

	labtest.Must(t, os.WriteFile(w.box.Path("/etc/nicteam/"+teamName+".yaml"), []byte(plainConfig), 0o640))
	s := w.supervise()
	w.sh(newer)
	checkRefused(t, w.try("restart", teamName), 5, "newer version", "SIGTERM")
	reach(t, w.peer, box4)
	labtest.Must(t, s.Process.Signal(unix.SIGTERM))
	s.ended(t, "SIGTERM")
	w.checkUnchanged("stopped", before)
}

// TestUnitOfANewerProcess is the same where systemd runs.
func TestUnitOfANewerProcess(t *testing.T) {
	parallel(t)
	w := newSystemdWorld(t, nil)
	before := w.state()
	w.ok("create", teamName, "eth1", "eth2", "--mode", "active-backup")
	was := w.teamStatus()
	f, err := os.OpenFile(w.sd.Path("/var/lib/nicteam/"+teamName+".journal"), os.O_WRONLY, 0)
	labtest.Must(t, err)
	_, err = f.WriteString("nicteam-journal 9")
	labtest.Must(t, errors.Join(err, f.Close()))
	r := w.ok("restart", teamName)
	is := w.teamStatus()
	if was == nil || is == nil || is.PID == was.PID || is.Mode != "active-backup" || is.State != "up" {
		t.Errorf("%s%s: the team was %+v and is %+v", r.Out, r.Err, was, is)
	}
	w.checkUnit("restarted", "active", "enabled")
	reach(t, w.peer, box4)
	w.ok("delete", teamName)
	w.checkUnchanged("after delete", before)
}
