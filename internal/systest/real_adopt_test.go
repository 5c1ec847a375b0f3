// SPDX-License-Identifier: MIT

package systest

import (
	"os"
	"os/exec"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// adoptRounds is how often a process follows another one.
func adoptRounds() int {
	if *soak {
		return 200
	}
	return 2
}

// TestRestartLosesNothing restarts a team under traffic each way, in both data paths: no frame is lost, doubled or
// reordered, and the adapter never loses its carrier.
func TestRestartLosesNothing(t *testing.T) {
	for _, path := range []string{"fastpath", "relay"} {
		t.Run(path, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{Cables: true})
			w.restartUnderTraffic(path, program(t), func(int) {})
		})
	}
}

// TestRestartIntoAnotherLayout restarts a team into a build whose programs cannot use the maps of the one before, and
// back. The relay takes all frames in between.
func TestRestartIntoAnotherLayout(t *testing.T) {
	if !*soak {
		t.Skip("builds the program twice: only with -soak")
	}
	w := newWorld(t, worldOptions{Cables: true})
	other := w.box.Path("/run/nicteam-other")
	cmd := exec.Command("go", "build", "-trimpath", "-o", other, "-ldflags",
		"-X nicteam/internal/fastpath.layoutVersion=other", "nicteam/cmd/nicteam")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	w.sh("cp " + program(t) + " /run/nicteam-one; cp /run/nicteam-one /run/nicteam-program")
	w.restartUnderTraffic("fastpath", "/run/nicteam-program", func(i int) {
		w.sh("cp " + []string{"/run/nicteam-other", "/run/nicteam-one"}[i%2] + " /run/nicteam-new; " +
			"mv /run/nicteam-new /run/nicteam-program")
	})
}

// restartUnderTraffic restarts a team, whose process is run by a file, again and again. before is called before each.
func (w *world) restartUnderTraffic(path, file string, before func(round int)) {
	t := w.t
	labtest.Must(t, os.WriteFile(w.box.Path("/etc/nicteam/"+teamName+".yaml"),
		[]byte("team: "+teamName+"\nmembers: [eth1, eth2]\ndatapath: "+path+"\n"), 0o640))
	w.superviseFile(file)
	was := w.await("the data path "+path, func(s *api.Status) bool { return s.Datapath == path && s.State == "up" })
	rate := 4000
	if *soak {
		rate = 20_000
	}
	c := w.startEcho()
	tr := w.traffic(lab.Stream{Rate: rate})
	for i := range adoptRounds() {
		before(i)
		w.restart()
		s := w.status()
		if x := s.Supervisor; s.Datapath != path || s.Adapter.Index != was.Adapter.Index || x.LastStart != "warm" {
			t.Fatalf("restart %d: data path %s (%s), adapter %d, supervisor %+v", i, s.Datapath, s.DatapathReason,
				s.Adapter.Index, x)
		}
		tr.awaitFrames(200)
	}
	out, in := tr.stop()
	for way, r := range map[string]lab.Report{"out": out, "in": in} {
		if r.Lost > 0 || r.Duplicated > 0 || r.Corrupt > 0 || r.Reordered > 0 {
			t.Errorf("%s: %v", way, r)
		}
	}
	c.check("after the restarts")
}
