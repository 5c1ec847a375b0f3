// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// runAtOnce runs several commands concurrently.
func (w *world) runAtOnce(commands ...[]string) []result {
	w.t.Helper()
	program(w.t)
	results := make([]result, len(commands))
	var wait sync.WaitGroup
	for i, c := range commands {
		wait.Go(func() { results[i] = w.try(c...) })
	}
	wait.Wait()
	return results
}

// checkOneWins returns which of two commands succeeded; the other must have been refused.
func checkOneWins(t testing.TB, r []result) int {
	t.Helper()
	if r[0].Code == 0 {
		checkRefused(t, r[1], 5)
		return 0
	}
	checkRefused(t, r[0], 5)
	if r[1].Code != 0 {
		t.Errorf("both were refused: %s%s", r[0].Err, r[1].Err)
	}
	return 1
}

// TestRivals runs two commands concurrently that want what only one can have.
func TestRivals(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 5, Cables: true})
	before := w.state()
	rounds := 2
	if *soak {
		rounds = 20
	}
	t.Run("one name", func(t *testing.T) {
		for range rounds {
			want := [][]string{{"eth1", "eth2"}, {"eth3"}}
			won := checkOneWins(t, w.runAtOnce([]string{"create", teamName, "eth1", "eth2", "--mode", "active-backup"},
				[]string{"create", teamName, "eth3", "--mode", "active-backup"}))
			s := w.status()
			if s.State != "up" || len(s.Members) != len(want[won]) || s.Members[0].Name != want[won][0] {
				t.Errorf("%d won, and the team is %+v", won, s)
			}
			w.nicteam("delete", teamName)
			w.checkNoFiles("after delete")
		}
	})
	t.Run("one NIC", func(t *testing.T) {
		for range rounds {
			won := checkOneWins(t, w.runAtOnce([]string{"create", "team1", "eth1", "eth2", "--mode", "active-backup"},
				[]string{"create", "team2", "eth2", "eth3", "--mode", "active-backup"}))
			w.nicteam("delete", fmt.Sprintf("team%d", won+1))
			w.checkNoFiles("after delete")
		}
	})
	t.Run("one more NIC", func(t *testing.T) {
		w.nicteam("create", "team1", "eth1", "--mode", "active-backup")
		w.nicteam("create", "team2", "eth2", "--mode", "active-backup")
		for range rounds {
			won := checkOneWins(t, w.runAtOnce([]string{"add", "team1", "eth3"},
				[]string{"add", "team2", "eth3", "eth4"}))
			w.nicteam("remove", fmt.Sprintf("team%d", won+1), "eth3")
			if won == 1 {
				w.nicteam("remove", "team2", "eth4")
			}
		}
		w.runAtOnce([]string{"delete", "team1"}, []string{"delete", "team2"})
		w.checkNoFiles("after delete")
	})
	t.Run("changes of one team", func(t *testing.T) {
		w.nicteam("create", teamName, "eth1", "eth2", "eth3", "--mode", "active-backup")
		for range rounds {
			for _, r := range w.runAtOnce([]string{"add", teamName, "eth4"}, []string{"remove", teamName, "eth2"},
				[]string{"set", teamName, "mode=xor"}, []string{"status", teamName}) {
				if r.Code != 0 {
					t.Errorf("exit %d: %s", r.Code, r.Err)
				}
			}
			w.nicteam("remove", teamName, "eth4")
			w.nicteam("add", teamName, "eth2")
			w.nicteam("set", teamName, "mode=active-backup")
		}
		if r := w.runAtOnce([]string{"delete", teamName}, []string{"delete", teamName}); r[0].Code != 0 &&
			r[1].Code != 0 {
			t.Errorf("nobody deleted it: %s%s", r[0].Err, r[1].Err)
		}
		w.checkNoFiles("after delete")
	})
	w.checkUnchanged("after all", before)
}

// TestForeground creates a team in the foreground; it ends with its process.
func TestForeground(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM} {
		cmd := w.box.Command(program(t), "create", teamName, "eth1", "eth2", "eth3", "--mode", "active-backup",
			"--foreground")
		labtest.Must(t, cmd.Start())
		labtest.Eventually(t, "the team is up", func() bool {
			return w.try("status", teamName, "--check", "-q").Code == 0
		})
		labtest.Must(t, cmd.Process.Signal(sig))
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v", sig, err)
		}
		w.checkUnchanged(sig.String(), before)
		w.checkNoFiles(sig.String())
	}
}

// TestSignalsReleaseTheNICs: whoever started the process, SIGTERM and SIGINT to it put the host back.
func TestSignalsReleaseTheNICs(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	w.create(nics(3), "--mode", "active-backup")
	w.kill(w.teamProcess(), unix.SIGTERM)
	w.checkUnchanged("create, then SIGTERM", before)
	if r := w.try("status", teamName); r.Code != 3 {
		t.Errorf("status after SIGTERM: exit %d: %s", r.Code, r.Err)
	}
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		s := w.supervise()
		labtest.Must(t, s.Process.Signal(sig))
		labtest.Must(t, s.Process.Signal(sig))
		s.ended(t, sig.String())
		w.checkUnchanged("run, then "+sig.String(), before)
	}
}

// TestSignalDuringTheStart: SIGTERM to a starting process puts the host back, and is no failure.
func TestSignalDuringTheStart(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	before := w.state()
	labtest.Must(t, os.WriteFile(w.box.Path("/etc/nicteam/"+teamName+".yaml"),
		[]byte("team: "+teamName+"\nmembers: [eth1, eth2, eth3]\nmode: active-backup\n"), 0o640))
	for _, after := range []time.Duration{0, 20, 50, 100} {
		cmd := w.box.Command(program(t), "run", teamName)
		labtest.Must(t, cmd.Start())
		labtest.Eventually(t, "the process has its lock", func() bool {
			st, err := os.Stat(w.box.Path("/run/nicteam/" + teamName + ".lock"))
			return err == nil && st.Size() > 0
		})
		time.Sleep(after * time.Millisecond) // wherever the start is by then
		labtest.Must(t, cmd.Process.Signal(unix.SIGTERM))
		if err := cmd.Wait(); err != nil {
			t.Errorf("SIGTERM after %d ms: %v", after, err)
		}
		w.checkUnchanged(fmt.Sprintf("SIGTERM after %d ms", after), before)
	}
}

// TestDeleteWithoutANIC deletes a team while one of its NICs is absent, and plugs that in later.
func TestDeleteWithoutANIC(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3})
	before := w.sh("ip -br addr show dev eth1; ip route; ip -6 route show default")
	w.create(nics(3), "--mode", "active-backup")
	labtest.Must(t, w.wires["eth3"].A.Unplug())
	w.await("eth3 absent", func(s *api.Status) bool { return memberOf(t, s, "eth3").State == "absent" })
	w.nicteam("delete", teamName)
	if after := w.sh("ip -br addr show dev eth1; ip route; ip -6 route show default"); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
	w.checkNoFiles("after delete")
	labtest.Must(t, w.wires["eth3"].A.Replug())
	w.create(nics(3), "--mode", "active-backup")
	w.nicteam("delete", teamName)
}
