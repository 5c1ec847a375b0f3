// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// otherDirs do not exist before the binary makes them.
const otherDirs = " --run-dir /run/nicteam/r --state-dir /var/lib/nicteam/s --config-dir /etc/nicteam/c "

// TestProcessIsDetached creates a team from a shell whose streams are pipes, and ends the shell.
func TestProcessIsDetached(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	nicteam := program(t)
	in, callerIn, err := os.Pipe()
	labtest.Must(t, err)
	callerOut, out, err := os.Pipe()
	labtest.Must(t, err)
	for _, f := range []*os.File{in, callerIn, callerOut, out} {
		defer f.Close()
	}
	// The caller has its own session, which ends as when a terminal is closed: SIGHUP to all of it.
	cmd := w.box.Command("setsid", "sh", "-c",
		nicteam+" create team0 eth1 eth2 --mode active-backup 2>&1 | cat; echo done; kill -HUP 0; sleep 100")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, out
	labtest.Must(t, cmd.Start())
	out.Close()
	said := make(chan []byte, 1)
	go func() { b, _ := io.ReadAll(callerOut); said <- b }()
	within(t, labtest.Patience, "create in a pipe returns and leaves no pipe open", func() {
		if b := <-said; !bytes.Contains(b, []byte("done")) {
			t.Errorf("said %q", b)
		}
	})
	_ = cmd.Wait()

	pid := w.teamProcess()
	if s := w.status(); s.State != "up" || s.PID != pid {
		t.Errorf("status %s, process %d, want %d", s.State, s.PID, pid)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	labtest.Must(t, err)
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // state, ppid, pgrp, session, tty
	if fields[2] != strconv.Itoa(pid) || fields[3] != strconv.Itoa(pid) || fields[4] != "0" {
		t.Errorf("process group %s, session %s, terminal %s of process %d", fields[2], fields[3], fields[4], pid)
	}
	if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); cwd != "/" {
		t.Errorf("it works in %s", cwd)
	}
	mine := map[string]bool{}
	for _, f := range []*os.File{in, callerIn, callerOut} {
		name, _ := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
		mine[name] = true
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	labtest.Must(t, err)
	for _, fd := range fds {
		target, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		if mine[target] || strings.HasPrefix(target, "/dev/pts") || strings.HasPrefix(target, "pipe:") {
			t.Errorf("descriptor %s is %s", fd.Name(), target)
		}
		if fd.Name() == "0" && target != "/dev/null" || (fd.Name() == "1" || fd.Name() == "2") &&
			!strings.HasSuffix(target, "/team0.log") {
			t.Errorf("stream %s is %s", fd.Name(), target)
		}
	}
	w.nicteam("delete", teamName)
}

// TestRunDirectoryEmptied removes socket and locks of a running team, as cleaners of temporary files do: it is found
// again, maybe in its next process, and neither it nor its keeper can be started twice.
func TestRunDirectoryEmptied(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3})
	w.sh("umask 777; " + program(t) + " create team0 eth1 eth2" + otherDirs)
	w.sh("rm -r /run/nicteam/r")
	labtest.Eventually(t, "socket and lock are there again", func() bool {
		return w.box.Command("sh", "-c",
			"cd /run/nicteam/r && test -S team0.sock -a -s team0.lock -a -s team0.keeper").Run() == nil
	})
	labtest.Eventually(t, "the next process answers", func() bool {
		out, err := w.box.Command("sh", "-c", program(t)+" status team0 --json"+otherDirs).Output()
		return err == nil && bytes.Contains(out, []byte(`"state":"up"`)) &&
			bytes.Contains(out, fmt.Appendf(nil, `"pid":%d,`, w.teamProcess()))
	})
	for _, args := range []string{"create team0 eth1 eth3", "run team0", "restore team0"} {
		if out, err := w.box.Command("sh", "-c", program(t)+" "+args+otherDirs).CombinedOutput(); err == nil ||
			!bytes.Contains(out, []byte("run")) {
			t.Errorf("%s: %v, %s", args, err, out)
		}
	}
	w.sh(program(t) + " delete team0" + otherDirs)
	if left := w.sh("find /run/nicteam/r /var/lib/nicteam/s /etc/nicteam/c -type f -o -type s"); left != "" {
		t.Errorf("left: %s", left)
	}
}

// TestCreateKilled kills the caller of create: the team exists or not, and restore or delete puts everything back.
func TestCreateKilled(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	create := []string{"create", teamName, "eth1", "eth2", "eth3", "--mode", "active-backup"}
	for _, at := range []int{1, 20, 60} {
		c := w.changes(changeGroups)
		cmd := w.box.Command(program(t), create...)
		labtest.Must(t, cmd.Start())
		c.await(t, at)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = c.f.Close()
		labtest.Eventually(t, "the team forwards without its caller", func() bool {
			return w.try("status", teamName, "--check", "-q").Code == 0
		})
		w.nicteam("delete", teamName)
		w.checkUnchanged(fmt.Sprintf("caller killed at change %d, deleted", at), before)
		if t.Failed() {
			return
		}
	}
}

// TestInterruptedCreate sends SIGINT to create: nothing of the team is left.
func TestInterruptedCreate(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	moments := []int{1, 50, 90, 97}
	if *soak {
		moments = []int{1, 10, 20, 35, 50, 65, 80, 85, 90, 94, 97}
	}
	for _, at := range moments {
		c := w.changes(changeGroups)
		cmd := w.box.Command(program(t), "create", teamName, "eth1", "eth2", "eth3", "--mode", "active-backup")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		labtest.Must(t, cmd.Start())
		c.await(t, at)
		_ = cmd.Process.Signal(unix.SIGINT)
		_ = cmd.Wait()
		_ = c.f.Close()
		if code := cmd.ProcessState.ExitCode(); code == 0 {
			t.Logf("at change %d the interrupt came too late", at)
			w.nicteam("delete", teamName)
		} else {
			checkRefused(t, result{Code: code, Err: stderr.String()}, 130)
		}
		w.checkUnchanged(fmt.Sprintf("interrupted at change %d", at), before)
		w.checkNoFiles("interrupted")
		if t.Failed() {
			return
		}
	}
}

// TestOneProcessATeam: a second process is refused, and a lock file that nobody holds is ignored.
func TestOneProcessATeam(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	labtest.Must(t, os.WriteFile(w.box.Path("/run/nicteam/team0.lock"), []byte("99999\n"), 0o640))
	labtest.Must(t, os.WriteFile(w.box.Path("/run/nicteam/team0.yaml"), []byte("what is this"), 0o640))
	l, err := w.box.Listen("unix", w.box.Path("/run/nicteam/team0.sock"))
	labtest.Must(t, err)
	l.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false)
	labtest.Must(t, l.Close())
	w.create(nics(2), "--mode", "active-backup")
	pid := w.teamProcess()
	checkRefused(t, w.try("create", teamName, "eth3", "--mode", "active-backup"), 5, "runs")
	checkRefused(t, w.try("run", teamName), 5, "running", strconv.Itoa(pid))
	checkRefused(t, w.try("create", teamName, "eth3", "--mode", "active-backup", "--foreground"), 5)
	if w.teamProcess() != pid || w.status().State != "up" {
		t.Error("the team was disturbed")
	}
	w.nicteam("delete", teamName)
	w.checkNoFiles("after delete")
}

// TestPrivileges reads the capabilities of each thread of a running team, and the modes of its files.
func TestPrivileges(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	old := unix.Umask(0) // of this process, and so of the program
	defer unix.Umask(old)
	w.sh(program(t) + " create team0 eth1 eth2 --mode active-backup" + otherDirs)
	pid := w.teamProcess()
	const kept = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW | 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	labtest.Must(t, err)
	for _, task := range tasks {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/status", pid, task.Name()))
		labtest.Must(t, err)
		for line := range strings.Lines(string(b)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), ":\t")
			switch key {
			case "CapEff", "CapPrm":
				if n, err := strconv.ParseUint(value, 16, 64); err != nil || n != kept {
					t.Errorf("thread %s: %s %s, want %x", task.Name(), key, value, uint64(kept))
				}
			case "CapInh", "CapAmb":
				if strings.Trim(value, "0") != "" {
					t.Errorf("thread %s: %s %s", task.Name(), key, value)
				}
			case "NoNewPrivs":
				if value != "1" {
					t.Errorf("thread %s: %s %s", task.Name(), key, value)
				}
			}
		}
	}
	// Changes of the host work with these capabilities.
	w.sh(program(t) + " add team0 eth3" + otherDirs)
	w.sh(program(t) + " set team0 mtu=1400 mode=xor" + otherDirs)
	w.sh(program(t) + " set team0 datapath=relay" + otherDirs)
	w.sh(program(t) + " set team0 datapath=fastpath" + otherDirs)
	w.sh(program(t) + " remove team0 eth3" + otherDirs)

	for _, dir := range []string{"/run/nicteam/r", "/var/lib/nicteam/s", "/etc/nicteam/c"} {
		labtest.Must(t, filepath.WalkDir(w.box.Path(dir), func(path string, e fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			st, err := e.Info()
			if err != nil {
				return err
			}
			want := fs.FileMode(0o640)
			switch {
			case st.IsDir():
				want = 0o750
			case strings.HasSuffix(e.Name(), ".lock"), strings.HasSuffix(e.Name(), ".keeper"):
				want = 0o600 // who can read a lock can hold it
			case st.Mode()&fs.ModeSocket != 0:
				want = 0o660
			}
			if st.Mode().Perm() != want {
				t.Errorf("%s/%s is %v, want %v", dir, e.Name(), st.Mode().Perm(), want)
			}
			return nil
		}))
	}
	w.sh(program(t) + " delete team0" + otherDirs)
}

// TestOthersReadOnly connects as a user who is neither root nor the user of the team.
func TestOthersReadOnly(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "setpriv", "util-linux")
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.create(nics(2), "--mode", "active-backup")
	asNobody := func(args ...string) result {
		t.Helper()
		cmd := w.box.Command("setpriv", append([]string{"--reuid", "65534", "--regid", "65534", "--clear-groups",
			program(t)}, args...)...)
		var out, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &stderr
		_ = cmd.Run()
		return result{out.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	}
	checkRefused(t, asNobody("status", teamName), 4, "sudo")
	// A user who can open the socket may read.
	labtest.Must(t, os.Chmod(w.box.Path("/run/nicteam/team0.sock"), 0o666))
	for _, args := range [][]string{{"status", teamName}, {"status", teamName, "--json"},
		{"explain", teamName, "tcp 10.9.0.1:1 10.9.0.2:2"}, {"events", teamName}, {"list"}} {
		if r := asNobody(args...); r.Code != 0 {
			t.Errorf("%v: exit %d: %s", args, r.Code, r.Err)
		}
	}
	for _, args := range [][]string{{"set", teamName, "mode=xor"}, {"add", teamName, "eth3"},
		{"remove", teamName, "eth2"}, {"delete", teamName},
		{"create", "team1", "eth3", "--mode", "active-backup"}, {"restore", teamName}} {
		checkRefused(t, asNobody(args...), 4)
	}
	if s := w.status(); s.State != "up" || s.Mode != "active-backup" || len(s.Members) != 2 {
		t.Errorf("a stranger changed the team: %+v", s)
	}
	w.nicteam("delete", teamName)
}

// Limits of an idle team.
const (
	idleShare = 0.01 // of a CPU; the goal is half of it, which a busy machine can double
	idleRSS   = 40 << 20
	idleTime  = 1500 * time.Millisecond
)

// TestIdle measures an idle team. The first moments do not count, and a busy machine may spoil others.
func TestIdle(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.create(nics(3), "--mode", "active-backup")
	pid := w.teamProcess()
	best := 1.0
	for try := 0; try < 5 && best > idleShare; try++ {
		begin, used := time.Now(), cpuTime(t, pid)
		time.Sleep(idleTime) // what it uses in a time is what is asked
		best = min(best, float64(cpuTime(t, pid)-used)/float64(time.Since(begin)))
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	labtest.Must(t, err)
	pages, _ := strconv.Atoi(strings.Fields(string(b))[1])
	rss := pages * os.Getpagesize()
	t.Logf("at rest: %.2f %% of a CPU, %.1f MB resident", best*100, float64(rss)/1e6)
	if best > idleShare || rss > idleRSS {
		t.Errorf("at rest it takes more than %.1f %% of a CPU or %d MB", idleShare*100, idleRSS>>20)
	}
	w.nicteam("delete", teamName)
}

// cpuTime returns the CPU time of all threads.
func cpuTime(t testing.TB, pid int) (sum time.Duration) {
	t.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	labtest.Must(t, err)
	for _, task := range tasks {
		if b, err := os.ReadFile(task); err == nil {
			ns, _ := strconv.ParseInt(strings.Fields(string(b))[0], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// TestTwoTeams runs two teams in a host. They share only the knowledge of whose NIC is whose.
func TestTwoTeams(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 5, Cables: true})
	w.sh("ip addr add 10.8.0.1/24 dev eth3")
	before := w.state()
	w.create(nics(2), "--mode", "active-backup")
	w.nicteam("create", "team1", "eth3", "eth4", "--mode", "xor")
	list := w.nicteam("list")
	for _, want := range []string{"team0", "team1"} {
		if !strings.Contains(list, want) {
			t.Errorf("no %s in:\n%s", want, list)
		}
	}
	checkRefused(t, w.try("add", "team1", "eth1"), 5, "team0")
	checkRefused(t, w.try("add", "team0", "eth4"), 5, "team1")
	checkRefused(t, w.try("create", "team2", "eth5", "eth3", "--mode", "xor"), 5, "team1")
	checkRefused(t, w.try("create", "team2", "eth5", "team1", "--mode", "xor"), 5, "team1")
	checkRefused(t, w.try("restore", "team1"), 5)
	w.nicteam("set", "team1", "mode=active-backup")
	w.nicteam("delete", "team1")
	if s := w.status(); s.State != "up" || s.Mode != "active-backup" || len(s.Members) != 2 {
		t.Errorf("team0 was disturbed: %+v", s)
	}
	w.nicteam("add", "team0", "eth4")
	w.nicteam("delete", "team0")
	w.checkUnchanged("after both are deleted", before)
	w.checkNoFiles("after both are deleted")
}

// TestNICsOfADeadTeam: NICs of a team whose process is dead belong to it until restore.
func TestNICsOfADeadTeam(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	before := w.state()
	w.create(nics(2), "--mode", "active-backup")
	w.kill(w.teamProcess(), unix.SIGKILL)
	checkRefused(t, w.try("create", "team1", "eth2", "eth3", "--mode", "active-backup"), 5, "team0",
		"nicteam restore team0")
	w.nicteam("create", "team1", "eth3", "--mode", "active-backup", "--address", "none")
	checkRefused(t, w.try("add", "team1", "eth2"), 5, "team0", "nicteam restore team0")
	w.nicteam("delete", "team1")
	w.nicteam("restore", "team0")
	w.checkUnchanged("after restore", before)
}
