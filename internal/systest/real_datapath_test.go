// SPDX-License-Identifier: MIT

package systest

import (
	"flag"
	"strings"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

var datapathChanges = flag.Int("datapath-changes", 200, "with -soak: how often the data path changes there and back")

// on makes the world create teams on that data path.
func (o worldOptions) on(path string) worldOptions {
	o.Datapath = path
	return o
}

// eachPath runs a scenario with the relay and with the fast path.
func eachPath(t *testing.T, scenario func(t *testing.T, path string)) {
	for _, path := range []string{"relay", "fastpath"} {
		t.Run(path, func(t *testing.T) { scenario(t, path) })
	}
}

// eachPathWithTraffic is eachPath for scenarios without subtests, with both at the same time.
func eachPathWithTraffic(t *testing.T, scenario func(t *testing.T, path string)) {
	eachPath(t, func(t *testing.T, path string) {
		parallelWithTraffic(t)
		scenario(t, path)
	})
}

// pathAndSwitch is a data path and a switch without a LAG.
type pathAndSwitch struct {
	name, path string
	flooding   bool
}

// pathsAndSwitches pairs the learning switch with this data path and the flooding one with the other.
func pathsAndSwitches(learning string) []pathAndSwitch {
	flooding := "relay"
	if learning == flooding {
		flooding = "fastpath"
	}
	return []pathAndSwitch{
		{learning + ", learning switch", learning, false},
		{flooding + ", flooding switch", flooding, true},
	}
}

// TestDatapathChangesLive changes between relay and fast path under numbered frames both ways and with an open
// connection.
func TestDatapathChangesLive(t *testing.T) {
	for _, mode := range []string{"elb", "active-backup"} {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, worldOptions{Cables: true, Datapath: "relay"})
			w.create(nics(2), "--mode", mode)
			before, conn := w.identity(), w.startEcho()
			tr := w.traffic(lab.Stream{Rate: 20000, Batch: 20})
			tr.awaitFrames(2000)
			changes := []struct{ wish, path, why string }{
				{"fastpath", "fastpath", "eBPF"}, {"relay", "relay", "datapath=relay"},
				{"fastpath", "fastpath", "eBPF"},
				{"relay", "relay", "datapath=relay"}, {"auto", "fastpath", "eBPF"},
			}
			for _, c := range changes {
				w.set("datapath=" + c.wish)
				s := w.status()
				if s.Datapath != c.path || !strings.Contains(s.DatapathReason, c.why) ||
					s.Settings.Datapath != c.wish || s.State != "up" {
					t.Errorf("after datapath=%s status says %q (%s), wished %q, %s", c.wish, s.Datapath,
						s.DatapathReason, s.Settings.Datapath, s.State)
				}
				conn.check("with datapath=" + c.wish)
				tr.awaitFrames(4000)
			}
			out, in := tr.stop()
			for name, r := range map[string]lab.Report{"out": out, "in": in} {
				if r.Lost > 20*uint64(len(changes)) || r.Duplicated+r.Reordered+r.Corrupt != 0 {
					t.Errorf("%s: lost %d, doubled %d, overtaken %d, corrupt %d", name, r.Lost, r.Duplicated,
						r.Reordered, r.Corrupt)
				}
			}
			if got := w.identity(); got != before {
				t.Errorf("the adapter is %s, was %s", got, before)
			}
		})
	}
}

// TestDatapathChangesLoseNothing changes there and back again and again, at 20 000 frames a second both ways.
func TestDatapathChangesLoseNothing(t *testing.T) {
	soakOnly(t)
	w := newWorld(t, worldOptions{Cables: true, Datapath: "relay"})
	w.create(nics(2), "--mode", "active-backup")
	tr := w.traffic(lab.Stream{Rate: 20000, Batch: 20})
	for range *datapathChanges {
		for _, path := range []string{"fastpath", "relay"} {
			w.set("datapath=" + path)
			w.awaitDatapath(path)
			tr.awaitFrames(2000)
		}
	}
	out, in := tr.stop()
	t.Logf("%d changes there and back: out %.0f frames/s, in %.0f frames/s", *datapathChanges,
		float64(out.Sent)/out.Took.Seconds(), float64(in.Sent)/in.Took.Seconds())
	for name, r := range map[string]lab.Report{"out": out, "in": in} {
		if !r.Clean() {
			t.Errorf("%s: %v", name, r)
		}
	}
}

// TestDatapathChangesUnderLoad changes the data path while connections send at full speed both ways.
func TestDatapathChangesUnderLoad(t *testing.T) {
	w := newWorld(t, worldOptions{Cables: true, Datapath: "relay"})
	w.create(nics(2))
	conn := w.startEcho()
	out, err := lab.Load{From: w.box, To: w.peer, Address: peer4, Flows: 4}.Start(t.Context())
	labtest.Must(t, err)
	t.Cleanup(func() { out.Stop() })
	in, err := lab.Load{From: w.peer, To: w.box, Address: box4, Flows: 4}.Start(t.Context())
	labtest.Must(t, err)
	t.Cleanup(func() { in.Stop() })
	for _, path := range []string{"fastpath", "relay", "fastpath", "relay"} {
		w.set("datapath=" + path)
		w.awaitDatapath(path)
		for name, l := range map[string]*lab.RunningLoad{"out": out, "in": in} {
			before := l.Rate()
			labtest.Eventually(t, "16 MiB "+name+" by "+path, func() bool {
				return l.Rate().Bytes-before.Bytes > 16<<20
			})
		}
		conn.check("with datapath=" + path)
	}
}
