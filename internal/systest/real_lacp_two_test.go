// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// newTwoTeams connects box and peer by cables only.
func newTwoTeams(t testing.TB, n int, path string) *world {
	t.Helper()
	labtest.Root(t)
	w := &world{t: t, box: labtest.Host(t, "box"), peer: labtest.Host(t, "peer"),
		wires: map[string]*lab.Wire{}, cables: map[string]*lab.Cable{}, datapath: path}
	for _, nic := range nics(n) {
		w.cables[nic] = labtest.Cable(t, w.box, nic, w.peer, nic, lab.CableOptions{EagerCarrier: true})
	}
	labtest.Must(t, w.box.SetAddr("eth1", "10.9.0.1/24", "fd09::1/64"))
	labtest.Must(t, w.peer.SetAddr("eth1", "10.9.0.2/24", "fd09::2/64"))
	t.Cleanup(w.showLog)
	return w
}

// runOnPeer runs the binary on peer, for teams on that data path, and ends the test unless it succeeds.
func (w *world) runOnPeer(path string, args ...string) {
	w.t.Helper()
	if r := run(w.t, w.peer, []string{"NICTEAM_DATAPATH=" + path}, args...); r.Code != 0 {
		w.t.Fatalf("nicteam %v in peer: exit %d\n%s%s", args, r.Code, r.Out, r.Err)
	}
}

// agree waits until both hosts send by exactly these NICs.
func (w *world) agree(nics ...string) {
	w.t.Helper()
	labtest.Eventually(w.t, fmt.Sprintf("both send by %v", nics), func() bool {
		return slices.Equal(w.agreed().distributing(), nics) && slices.Equal(agreedIn(w.t, w.peer).distributing(), nics)
	})
}

// TestLACPBetweenTwo has two teams agree over few and many cables. One cable leaves and returns under traffic: nothing
// is lost, no flow is reordered.
func TestLACPBetweenTwo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cables    int
		path, far string
	}{{2, "fastpath", "relay"}, {4, "relay", "fastpath"}, {8, "fastpath", "fastpath"}} {
		t.Run(fmt.Sprintf("%d cables, %s", tt.cables, tt.path), func(t *testing.T) {
			parallelWithTimers(t)
			w, all := newTwoTeams(t, tt.cables, tt.path), nics(tt.cables)
			create := append(append([]string{"create", teamName}, all...), "--mode", "802.3ad", "--lacp-rate", "fast")
			w.nicteam(create...)
			w.runOnPeer(tt.far, create...)
			w.agree(all...)
			for _, nic := range all {
				labtest.Must(t, w.cables[nic].Cut())
			}
			w.agree()
			for _, nic := range all {
				labtest.Must(t, w.cables[nic].Mend())
			}
			plugged := time.Now()
			w.agree(all...)
			t.Logf("agreed after %v", time.Since(plugged).Round(time.Millisecond))
			a, b := w.agreed(), agreedIn(t, w.peer)
			if a.LACP.Partner != b.LACP.Actor || b.LACP.Partner != a.LACP.Actor || a.State != "up" || b.State != "up" {
				t.Errorf("%s %+v and %s %+v", a.State, a.LACP, b.State, b.LACP)
			}
			if tt.cables == 8 {
				return
			}

			tr := w.traffic(lab.Stream{Rate: 4000, Flows: 64})
			w.checkSpread("at first", all...)
			last := all[tt.cables-1]
			w.nicteam("remove", teamName, last)
			w.agree(all[:tt.cables-1]...)
			tr.awaitFrames(1000)
			w.nicteam("add", teamName, last)
			w.agree(all...)
			tr.awaitFrames(2000)
			w.checkSpread("at last", all...)
			out, in := tr.stop()
			for way, r := range map[string]lab.Report{"out": out, "in": in} {
				late := reorderBound(r)
				if (way == "out") == (tt.far == "relay") {
					// Where the process that receives was not let run for a while, frames wait in all members' sockets,
					// and those of one are taken in before those of the next.
					late = reorderedBound(r)
				}
				if r.Lost+r.Duplicated+r.Corrupt != 0 || r.Reordered > late {
					t.Errorf("%s: lost %d, doubled %d, overtaken %d, corrupt %d", way, r.Lost, r.Duplicated,
						r.Reordered, r.Corrupt)
				}
			}
		})
	}
}
