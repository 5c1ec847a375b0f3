// SPDX-License-Identifier: MIT

package systest

import (
	"flag"
	"os"
	"os/exec"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// successions is how often a process follows another one in the tests of this file, which only run with -soak.
var successions = flag.Int("successions", 200, "with -soak: how often a process of a team follows another")

// fullTraffic is what the tests of this file have each way, beside 8 connections.
var fullTraffic = lab.Stream{Rate: 20_000}

// TestRestartsLoseNothing restarts a team under traffic.
func TestRestartsLoseNothing(t *testing.T) {
	soakOnly(t)
	for _, path := range []string{"fastpath", "relay"} {
		t.Run(path, func(t *testing.T) {
			w := newWorld(t, worldOptions{Cables: true, Datapath: path})
			w.create(nics(2))
			w.follow(path, func(int) { w.restart() })
		})
	}
}

func soakOnly(t *testing.T) {
	if !*soak {
		t.Skip("needs an otherwise idle machine: only with -soak")
	}
}

// TestRestartIntoAnotherLayout restarts a team into a build whose programs cannot use the maps of the one before, and
// back. The relay takes all frames in between.
func TestRestartIntoAnotherLayout(t *testing.T) {
	soakOnly(t)
	w := newWorld(t, worldOptions{Cables: true})
	other := w.box.Path("/run/nicteam-other")
	cmd := exec.Command("go", "build", "-trimpath", "-o", other, "-ldflags",
		"-X nicteam/internal/fastpath.layoutVersion=other", "nicteam/cmd/nicteam")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	w.sh("cp " + program(t) + " /run/nicteam-one; cp /run/nicteam-one /run/nicteam-program")
	labtest.Must(t, os.WriteFile(w.box.Path("/etc/nicteam/"+teamName+".yaml"),
		[]byte("team: "+teamName+"\nmembers: [eth1, eth2]\n"), 0o640))
	w.superviseFile("/run/nicteam-program")
	w.follow("fastpath", func(i int) {
		w.sh("cp " + []string{"/run/nicteam-other", "/run/nicteam-one"}[i%2] + " /run/nicteam-new; " +
			"mv /run/nicteam-new /run/nicteam-program")
		w.restart()
	})
}

// follow makes one process follow another under traffic, again and again.
func (w *world) follow(path string, next func(round int)) {
	t := w.t
	was := w.await("the data path "+path, func(s *api.Status) bool { return s.Datapath == path && s.State == "up" })
	var connections []*echoConnection
	for range 8 {
		connections = append(connections, w.startEcho())
	}
	tr := w.traffic(fullTraffic)
	for i := range *successions {
		next(i)
		s := w.status()
		if x := s.Supervisor; s.Datapath != path || s.Adapter.Index != was.Adapter.Index || x.LastStart != "warm" {
			t.Fatalf("round %d: data path %s (%s), adapter %d, supervisor %+v", i, s.Datapath, s.DatapathReason,
				s.Adapter.Index, x)
		}
		tr.awaitFrames(200)
	}
	for _, c := range connections {
		c.check("at the end")
	}
	out, in := tr.stop()
	for way, r := range map[string]lab.Report{"out": out, "in": in} {
		if r.Lost > 0 || r.Duplicated > 0 || r.Corrupt > 0 || r.Reordered > 0 {
			t.Errorf("%s: %v", way, r)
		}
	}
}
