// SPDX-License-Identifier: MIT

package systest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// TestCreateOutlivesItsReader: `nicteam create … | head -1` creates the whole team though nobody reads its output.
func TestCreateOutlivesItsReader(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	for _, reader := range []string{"head -1", "true", "dd bs=1 count=1 status=none"} {
		before := w.state()
		w.sh(program(t) + " create " + teamName + " eth1 eth2 --mode active-backup | " + reader)
		w.await("the team that nobody read of", isUp)
		for _, path := range []string{"/etc/nicteam/" + teamName + ".yaml", "/run/nicteam/" + teamName + ".yaml"} {
			if _, err := os.Stat(w.box.Path(path)); err != nil {
				t.Errorf("| %s: %v", reader, err)
			}
		}
		w.nicteam("delete", teamName)
		w.checkNoFiles("| " + reader)
		w.checkUnchanged("| "+reader, before)
	}
}

// TestHangupOfTheCaller closes the terminal of a create: either the NICs are released, or the whole team exists.
func TestHangupOfTheCaller(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	for said := range 4 { // the hangup comes after so many steps
		cmd := w.box.Command(program(t), "create", teamName, "eth1", "eth2", "--mode", "active-backup")
		out, err := cmd.StdoutPipe()
		labtest.Must(t, err)
		labtest.Must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for range said {
			lines.Scan()
		}
		labtest.Must(t, cmd.Process.Signal(unix.SIGHUP))
		for lines.Scan() {
		}
		err = cmd.Wait()
		code := cmd.ProcessState.ExitCode()
		switch {
		case code == 0:
			w.await("a team", isUp)
			w.nicteam("delete", teamName)
		case code == 130 || code == -1 && said == 0: // before it could be told not to die of it
			labtest.Eventually(t, "no process is left", func() bool {
				return len(w.processes(" run "+teamName)) == 0 || w.try("status", teamName).Code == 0
			})
			if len(w.processes(" run "+teamName)) > 0 {
				w.nicteam("delete", teamName)
			}
		default:
			t.Errorf("after %d steps: exit %d, %v", said, code, err)
		}
		w.checkUnchanged(fmt.Sprintf("hangup after %d steps", said), before)
	}
}

// TestHangupOfTheProcess: a detached process reopens its log and goes on.
func TestHangupOfTheProcess(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.create([]string{"eth1", "eth2"}, "--mode", "active-backup")
	pid := w.teamProcess()
	log := w.box.Path("/var/lib/nicteam/" + teamName + ".log")
	labtest.Must(t, os.Rename(log, log+".away"))
	labtest.Must(t, unix.Kill(pid, unix.SIGHUP))
	labtest.Eventually(t, "a new log", func() bool { _, err := os.Stat(log); return err == nil })
	w.set("primary=eth2")
	labtest.Eventually(t, "a line in the new log", func() bool {
		b, _ := os.ReadFile(log)
		return strings.Contains(string(b), "primary=eth2") && strings.Contains(string(b), "uid=0") &&
			strings.Contains(string(b), "program=nicteam")
	})
	if now := w.teamProcess(); now != pid {
		t.Errorf("process %d, was %d", now, pid)
	}
	w.nicteam("delete", teamName)
	labtest.Must(t, os.Remove(log+".away"))
	w.checkNoFiles("after delete")
}

// TestLogReaderGoes: a team in the foreground goes on when its log is closed.
func TestLogReaderGoes(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	cmd := w.box.Command("sh", "-c",
		program(t)+" create "+teamName+" eth1 eth2 --mode active-backup --foreground -v 2>&1 | head -1")
	labtest.Must(t, cmd.Start())
	labtest.Eventually(t, "the team", func() bool { return w.try("status", teamName, "--check").Code == 0 })
	labtest.Must(t, w.cables["eth1"].Cut())
	w.awaitMember("eth1", "down")
	w.nicteam("delete", teamName)
	_ = cmd.Wait()
}

// TestEnvironmentOfTheProcess: the process has nothing of the caller's environment and runs nothing from its PATH.
func TestEnvironmentOfTheProcess(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	evil := t.TempDir()
	ran := filepath.Join(evil, "ran")
	for _, name := range []string{"nft", "iptables", "ip", "tc", "ethtool", "sysctl", "modprobe"} {
		labtest.Must(t, os.WriteFile(filepath.Join(evil, name), []byte("#!/bin/sh\necho $0 >>"+ran+"\nexit 1\n"),
			0o755))
	}
	cmd := w.box.Command(program(t), "create", teamName, "eth1", "eth2", "--mode", "active-backup")
	cmd.Env = append(cmd.Environ(), "PATH="+evil+":"+os.Getenv("PATH"), "AWS_SECRET_ACCESS_KEY=hunter2",
		"LD_PRELOAD=/evil.so", "NICTEAM_HASH=layer2", "GODEBUG=x=y", "NOTIFY_SOCKET=/x")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	_ = os.Remove(ran) // the preflight is the caller's own
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w.teamProcess()))
	labtest.Must(t, err)
	got := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
	slices.Sort(got)
	want := []string{"LISTEN_FDNAMES=keeper", "LISTEN_FDS=1", "NICTEAM_READY_FD=4", "PATH=/usr/local/sbin:",
		"WATCHDOG_USEC=2000000"}
	if !slices.EqualFunc(got, want, strings.HasPrefix) || strings.Contains(got[3], evil) {
		t.Errorf("environment %q", got)
	}
	if h := w.status().Settings.Hash; h != "layer2" {
		t.Errorf("the setting of the environment is lost: hash %s", h)
	}
	w.nicteam("add", teamName, "eth3")
	w.nicteam("remove", teamName, "eth2")
	w.nicteam("delete", teamName)
	if b, err := os.ReadFile(ran); err == nil {
		t.Errorf("the team's process ran %s", b)
	}
}

// TestNICThatLeftIsFree removes a member whose NIC is absent. When it returns with its old ifindex, another team may
// have it.
func TestNICThatLeftIsFree(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.create([]string{"eth1", "eth2"}, "--mode", "active-backup")
	index := link(t, w.box, "eth2").Index
	w.sh("ip netns add elsewhere")
	t.Cleanup(func() { w.sh("ip netns del elsewhere") })
	w.ip("link set eth2 netns elsewhere")
	w.awaitMember("eth2", "absent")
	w.nicteam("remove", teamName, "eth2")
	w.sh(fmt.Sprintf("ip -n elsewhere link set eth2 netns %d", w.teamProcess()))
	if now := link(t, w.box, "eth2").Index; now != index {
		t.Fatalf("index %d, was %d", now, index)
	}
	w.nicteam("create", "team1", "eth2", "eth3", "--mode", "active-backup")
	w.nicteam("delete", "team1")
	w.nicteam("delete", teamName)
}

// TestTeamElsewhere: a team with other directories can take neither a NIC of a team nor its adapter.
func TestTeamElsewhere(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 4, Cables: true})
	before := w.state()
	w.create([]string{"eth1", "eth2"}, "--mode", "active-backup")
	elsewhere := []string{"--mode", "active-backup", "--run-dir", "/run/nicteam/e", "--state-dir",
		"/var/lib/nicteam/e", "--config-dir", "/etc/nicteam/e"}
	other := func(args ...string) result { return w.try(append(args, elsewhere[2:]...)...) }
	checkRefused(t, w.try(append([]string{"create", "team1", "eth2", "eth3"}, elsewhere...)...), 5, "eth2",
		"team team0", "/run/nicteam")
	checkRefused(t, w.try(append([]string{"create", "team1", teamName, "eth3"}, elsewhere...)...), 5,
		"adapter of the team team0")
	if r := w.try(append([]string{"create", "team1", "eth3"}, elsewhere...)...); r.Code != 0 {
		t.Fatalf("%s%s", r.Out, r.Err)
	}
	checkRefused(t, other("add", "team1", "eth2"), 5, "team team0")
	if r := other("add", "team1", "eth4"); r.Code != 0 {
		t.Errorf("%s%s", r.Out, r.Err)
	}
	checkRefused(t, w.try("add", teamName, "eth4"), 5, "team team1", "/run/nicteam/e")
	// What one releases the other may take.
	if r := other("remove", "team1", "eth4"); r.Code != 0 {
		t.Errorf("%s%s", r.Out, r.Err)
	}
	w.nicteam("add", teamName, "eth4")
	w.nicteam("remove", teamName, "eth2")
	if r := other("add", "team1", "eth2"); r.Code != 0 {
		t.Errorf("%s%s", r.Out, r.Err)
	}
	if r := other("delete", "team1"); r.Code != 0 {
		t.Errorf("%s%s", r.Out, r.Err)
	}
	// A killed process resumes with its NICs.
	w.kill(w.teamProcess(), unix.SIGKILL)
	s := w.supervise("--release")
	labtest.Must(t, s.Process.Signal(unix.SIGTERM))
	s.ended(t, "SIGTERM")
	w.checkUnchanged("after all", before)
}

// TestPlacesOfOthers: a directory of another user is refused before anything is changed.
func TestPlacesOfOthers(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	const dir = "/var/lib/nicteam/theirs"
	theirs := w.box.Path(dir)
	labtest.Must(t, os.Mkdir(theirs, 0o755))
	labtest.Must(t, os.Chown(theirs, 65534, 65534))
	labtest.Must(t, os.Symlink("/etc/hostname", theirs+"/"+teamName+".lock"))
	for _, flag := range []string{"--run-dir", "--state-dir", "--config-dir"} {
		checkRefused(t, w.try("create", teamName, "eth1", "eth2", flag, dir), 4, "uid 65534", flag)
		checkRefused(t, w.try("create", teamName, "eth1", "eth2", flag, dir, "--dry-run"), 4,
			"uid 65534", flag)
		checkRefused(t, w.try("create", teamName, "eth1", "eth2", flag, dir+"/below"), 4, "uid 65534", flag)
	}
	w.checkUnchangedSnapshot(before.all)
}

func isUp(s *api.Status) bool { return s.State == "up" }

// TestWarningsThatNobodyWaitsFor: warnings of a team that a service manager starts are in its log and status, and do
// not degrade it.
func TestWarningsThatNobodyWaitsFor(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	labtest.Must(t, os.WriteFile(w.box.Path("/etc/nicteam/"+teamName+".yaml"),
		[]byte("team: "+teamName+"\nmembers: [eth1]\nmode: active-backup\n"), 0o640))
	s := w.supervise("--release")
	st := w.await("the team", isUp)
	if !slices.ContainsFunc(st.Warnings, func(s string) bool { return strings.Contains(s, "only one NIC") }) {
		t.Errorf("status warns of %q", st.Warnings)
	}
	labtest.Must(t, s.Process.Signal(unix.SIGTERM))
	s.ended(t, "SIGTERM")
	if !strings.Contains(s.log.String(), "only one NIC") {
		t.Errorf("the log says\n%s", s.log)
	}
}
