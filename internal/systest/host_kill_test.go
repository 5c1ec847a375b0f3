// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// foreignLines returns the lines of a snapshot that a dead process must not leave: programs, filters, nft.
func foreignLines(s lab.Snapshot) []string {
	var out []string
	for _, line := range s {
		if strings.HasPrefix(line, "bpf ") || strings.HasPrefix(line, "filter ") || strings.HasPrefix(line, "nft ") ||
			strings.HasPrefix(line, "qdisc ") && (strings.Contains(line, "clsact") ||
				strings.Contains(line, "ingress")) {
			out = append(out, line)
		}
	}
	return out
}

// TestKilledAndRestored kills the process of an idle team.
func TestKilledAndRestored(t *testing.T) {
	t.Parallel()
	for _, options := range [][]string{nil, {"--address", "none"},
		{"--address", "10.6.0.1/24,fd06::1/64", "--gateway", "10.6.0.254"}, {"--mac", "new"}} {
		t.Run(strings.Join(options, " "), func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{NICs: 3, Cables: true})
			w.configureHost()
			before := w.state()
			w.create(nics(3), append([]string{"--mode", "active-backup"}, options...)...)
			checkRefused(t, w.try("restore", teamName), 5, "runs", "nicteam delete "+teamName)
			if s := w.status(); s.State != "up" {
				t.Errorf("after a restore that was refused the team is %s: %s", s.State, s.Reason)
			}
			w.kill(w.teamProcess(), unix.SIGKILL)
			s, err := lab.TakeSnapshot(w.box)
			labtest.Must(t, err)
			// Without tcx the isolation is a filter, which stays until restore.
			if left := foreignLines(s); len(left) > 0 && !labtest.KernelBefore(t, 6, 6) {
				t.Errorf("the dead process left:\n%s", strings.Join(left, "\n"))
			}
			checkRefused(t, w.try("status", teamName), 8, "nicteam restore "+teamName)
			checkRefused(t, w.try("delete", teamName), 8, "nicteam restore "+teamName)
			checkRefused(t, w.try(append([]string{"create", teamName}, nics(3)...)...), 5, "nicteam restore "+teamName)
			w.nicteam("restore", teamName)
			w.checkUnchanged("after restore", before)
			checkRefused(t, w.try("restore", teamName), 3)
			if out := w.nicteam("restore"); !strings.Contains(strings.ToLower(out), "nothing to restore") {
				t.Errorf("restore of nothing says %q", out)
			}
		})
	}
}

// TestRestoreWhileItDies: a killed process takes a while to close its descriptors. Neither a restore nor the next
// process takes it for a running one.
func TestRestoreWhileItDies(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	w.create(nics(2))
	w.killKeeper()
	labtest.Must(t, unix.Kill(w.teamProcess(), unix.SIGKILL))
	w.nicteam("restore")
	w.checkUnchanged("after restore", before)

	w.create(nics(2))
	w.killKeeper()
	labtest.Must(t, unix.Kill(w.teamProcess(), unix.SIGKILL))
	next := w.supervise("--release", "--config", "/etc/nicteam/"+teamName+".yaml")
	labtest.Must(t, next.Process.Signal(unix.SIGTERM))
	next.ended(t, "SIGTERM")
	w.checkUnchanged("after the end of the next process", before)
}

// TestKilledAtAnyMoment kills the process at changes of the host during create, changes and delete.
func TestKilledAtAnyMoment(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		some    int // moments
		prepare [][]string
		dies    []string
	}{
		{"create", 12, nil, []string{"create", teamName, "eth1", "eth2", "eth3", "--mode", "active-backup"}},
		{"create without addresses", 5, nil, []string{"create", teamName, "eth1", "eth2", "eth3", "--mode",
			"active-backup", "--address", "none"}},
		{"create with addresses", 5, nil, []string{"create", teamName, "eth1", "eth2", "eth3", "--mode",
			"active-backup", "--address", "10.9.0.1/24", "--gateway", "10.9.0.2"}},
		{"add", 6, [][]string{{"create", teamName, "eth1", "--mode", "active-backup"}},
			[]string{"add", teamName, "eth2", "eth3"}},
		{"remove", 5, [][]string{{"create", teamName, "eth1", "eth2", "eth3", "--mode", "active-backup"}},
			[]string{"remove", teamName, "eth2", "eth1"}},
		{"delete", 8, [][]string{{"create", teamName, "eth1", "eth2", "eth3", "--mode", "active-backup"}},
			[]string{"delete", teamName}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{NICs: 3, Cables: true})
			w.configureHost()
			before := w.state()
			prepare := func() {
				for _, c := range tt.prepare {
					w.nicteam(c...)
				}
			}
			doomed := func() result { return w.try(tt.dies...) }
			prepare()
			last := w.countChanges(doomed)
			if tt.name != "delete" {
				w.nicteam("delete", teamName)
			}
			for _, n := range killPoints(t, last, tt.some) {
				prepare()
				died, r := w.killAt(n, doomed)
				if died && r.Code != 0 && (len(errorLines(r)) != 3 ||
					!strings.Contains(r.Err, "nicteam restore "+teamName)) {
					t.Errorf("died at change %d: exit %d and:\n%s", n, r.Code, r.Err)
				}
				if !died {
					t.Logf("change %d of %d did not come", n, last)
					if tt.name != "delete" {
						w.nicteam("delete", teamName)
					}
					continue
				}
				w.nicteam("restore")
				w.checkUnchanged(fmt.Sprintf("died at change %d of %d, restored", n, last), before)
				if t.Failed() {
					return
				}
			}
		})
	}
}

// TestKilledWhileRestoring kills the process, kills restore, then restores.
func TestKilledWhileRestoring(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	orphan := func() {
		w.create(nics(3), "--mode", "active-backup")
		w.kill(w.teamProcess(), unix.SIGKILL)
	}
	restore := func() result { return w.try("restore", teamName) }
	orphan()
	last := w.countChanges(restore)
	for _, n := range killPoints(t, last, 7) {
		orphan()
		w.killAt(n, restore)
		w.nicteam("restore")
		w.checkUnchanged(fmt.Sprintf("restore died at change %d of %d, restored", n, last), before)
		if t.Failed() {
			return
		}
	}
}

// TestRunGoesOnAfterDeathInCreate resumes a team whose process died in create, then deletes it.
func TestRunGoesOnAfterDeathInCreate(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	create := func() result {
		return w.try(append(append([]string{"create", teamName}, nics(3)...), "--mode", "active-backup")...)
	}
	last := w.countChanges(create)
	had := w.status().Adapter.Addresses
	w.nicteam("delete", teamName)
	for _, n := range killPoints(t, last, 8) {
		if died, _ := w.killAt(n, create); !died {
			w.nicteam("delete", teamName)
			continue
		}
		s := w.supervise("--config", "/run/nicteam/"+teamName+".yaml")
		a := w.status().Adapter
		if a.Addresses = slices.DeleteFunc(a.Addresses, linkLocal); !sameMembers(a.Addresses,
			slices.DeleteFunc(slices.Clone(had), linkLocal)) {
			t.Errorf("died at change %d of %d: the adapter has %v, want %v", n, last, a.Addresses, had)
		}
		w.nicteam("delete", teamName)
		s.ended(t, "delete")
		w.checkUnchanged(fmt.Sprintf("died at change %d of %d, went on, deleted", n, last), before)
		if t.Failed() {
			return
		}
	}
}

func linkLocal(prefix string) bool { return strings.HasPrefix(prefix, "fe80:") }

func sameMembers(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// TestKilledWhileGoingOn kills the process, kills the next one while it resumes, then restores.
func TestKilledWhileGoingOn(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	for _, n := range []int{1, 2, 3, 99} {
		w.create(nics(3), "--mode", "active-backup")
		w.kill(w.teamProcess(), unix.SIGKILL)
		died, _ := w.killAt(n, func() result {
			cmd := w.box.Command(program(t), "run", teamName)
			labtest.Must(t, cmd.Start())
			ended := make(chan struct{})
			go func() { _ = cmd.Wait(); close(ended) }()
			labtest.Eventually(t, "the process answers or ends", func() bool {
				select {
				case <-ended:
					return true
				default:
					_, err := tryAsk(w.box, teamName, (*control.Client).Status)
					return err == nil
				}
			})
			_ = cmd.Process.Kill()
			<-ended
			return result{}
		})
		t.Logf("died at change %d: %v", n, died)
		w.nicteam("restore", teamName)
		w.checkUnchanged(fmt.Sprintf("died at change %d of going on, restored", n), before)
		if t.Failed() {
			return
		}
	}
}

// TestRunWithoutANIC starts a team while one of its NICs is absent: it works with the others, warns of the missing one,
// and joins it when it appears or forgets it on remove.
func TestRunWithoutANIC(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3})
	w.create(nics(3), "--mode", "active-backup", "--weight", "eth2=3")
	was := w.status().Adapter.Index
	w.kill(w.teamProcess(), unix.SIGKILL)
	labtest.Must(t, w.wires["eth2"].A.Unplug())
	s := w.supervise()
	st := w.awaitMember("eth1", "up")
	if st.Adapter.Index != was || st.State != "degraded" || len(st.Members) != 2 ||
		!strings.Contains(strings.Join(st.Warnings, "\n"), "eth2 is configured but absent") {
		t.Errorf("without eth2: %+v", st)
	}

	labtest.Must(t, w.wires["eth2"].A.Replug())
	w.await("eth2 is in", func(st *api.Status) bool {
		return len(st.Members) == 3 && st.State == "up" && len(st.Warnings) == 0
	})
	if m := w.member("eth2"); m.Weight != 3 {
		t.Errorf("eth2 has weight %v", m.Weight)
	}

	labtest.Must(t, s.Process.Signal(unix.SIGTERM))
	s.ended(t, "SIGTERM")
	labtest.Must(t, w.wires["eth3"].A.Unplug())
	s = w.supervise()
	w.nicteam("remove", teamName, "eth3")
	if st := w.await("eth3 is forgotten",
		func(st *api.Status) bool { return st.State == "up" }); len(st.Members) != 2 || len(st.Warnings) != 0 {
		t.Errorf("without eth3: %+v", st)
	}
	labtest.Must(t, s.Process.Signal(unix.SIGTERM))
	s.ended(t, "SIGTERM")
	w.supervise()
	if st := w.status(); len(st.Members) != 2 || len(st.Warnings) != 0 {
		t.Errorf("started without eth3: %+v", st)
	}
	w.nicteam("delete", teamName)
	w.checkNoFiles("deleted")
}

// TestRunGoesOn restarts the process in every way: adapter, addresses and connections stay.
func TestRunGoesOn(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	w.create(nics(3), "--mode", "active-backup")
	was := w.status().Adapter
	c := w.startEcho()
	check := func(when string) {
		t.Helper()
		a := w.status().Adapter
		if a.Index != was.Index || a.MAC != was.MAC || a.MTU != was.MTU || !sameMembers(a.Addresses, was.Addresses) {
			t.Errorf("%s: the adapter was %+v and is %+v", when, was, a)
		}
		c.check(when)
	}
	held := func(when string) {
		t.Helper()
		if l := link(t, w.box, teamName); l.Index != was.Index || l.HardwareAddr.String() != was.MAC {
			t.Errorf("%s: the adapter is %d %v", when, l.Index, l.HardwareAddr)
		}
		if shown := w.sh("ip addr show dev " + teamName); !strings.Contains(shown, "10.9.0.1/24") {
			t.Errorf("%s: the adapter has lost its address:\n%s", when, shown)
		}
	}

	w.kill(w.teamProcess(), unix.SIGKILL)
	held("killed")
	s := w.supervise()
	check("killed and run")
	checkRefused(t, w.try("run", teamName), 5, "running")

	w.nicteam("restart", teamName)
	check("restarted")

	labtest.Must(t, s.Process.Kill())
	<-s.done
	held("killed again")
	checkRefused(t, w.try("restart", teamName), 8, "nicteam restore "+teamName)
	if list := w.nicteam("list"); !strings.Contains(list, "not running") || !strings.Contains(list, "team "+teamName) {
		t.Errorf("the list of a host whose team was killed:\n%s", list)
	}
	s = w.supervise()
	check("killed again and run")

	labtest.Must(t, s.Process.Kill())
	<-s.done
	s = w.supervise("--config", "/run/nicteam/"+teamName+".yaml")
	check("killed again and run from its own settings")

	w.nicteam("delete", teamName)
	s.ended(t, "delete")
	c.check("after delete")
	w.checkUnchanged("after delete", before)
	w.checkNoFiles("after delete")
}

// TestForgetWhatIsNotKept: --forget of a NIC that is not in the journal is refused before anything is restored; one
// that is present is restored, and there is nothing to forget.
func TestForgetWhatIsNotKept(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	before := w.state()
	w.create(nics(2), "--mode", "active-backup")
	w.kill(w.teamProcess(), unix.SIGKILL)
	checkRefused(t, w.try("restore", teamName, "--forget", "eth9"), 3, "eth9", "has nothing for it")
	if !w.shows("addr show dev "+teamName, "10.9.0.1") {
		t.Error("it was given back all the same")
	}
	if said := w.nicteam("restore", teamName, "--forget", "eth2"); !strings.Contains(said, "released: eth1, eth2") ||
		!strings.Contains(said, "nothing to forget of eth2") {
		t.Errorf("said %q", said)
	}
	w.checkUnchanged("after restore", before)
	if said := w.nicteam("list"); strings.Contains(said, "not running") {
		t.Errorf("there still is\n%s", said)
	}
}
