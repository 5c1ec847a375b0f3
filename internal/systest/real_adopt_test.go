// SPDX-License-Identifier: MIT

package systest

import (
	"os"
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
			labtest.Must(t, os.WriteFile(w.box.Path("/etc/nicteam/"+teamName+".yaml"),
				[]byte("team: "+teamName+"\nmembers: [eth1, eth2]\ndatapath: "+path+"\n"), 0o640))
			w.supervise()
			was := w.await("the data path "+path, func(s *api.Status) bool { return s.Datapath == path && s.State == "up" })
			rate := 4000
			if *soak {
				rate = 20_000
			}
			c := w.startEcho()
			tr := w.traffic(lab.Stream{Rate: rate})
			for i := range adoptRounds() {
				w.restart()
				s := w.status()
				if x := s.Supervisor; s.Datapath != path || s.Adapter.Index != was.Adapter.Index || x.LastStart != "warm" {
					t.Fatalf("restart %d: data path %s (%s), adapter %d, supervisor %+v", i, s.Datapath,
						s.DatapathReason, s.Adapter.Index, x)
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
		})
	}
}
