package daemon_test

import (
	"testing"

	"nicteam/internal/lab"
)

// on has teams made on a data path.
func (o worldOptions) on(path string) worldOptions {
	o.Datapath = path
	return o
}

// bothPaths runs a scenario where the relay moves the frames, and where programs in the kernel do.
func bothPaths(t *testing.T, scenario func(t *testing.T, path string)) {
	for _, path := range []string{"relay", "fastpath"} {
		t.Run(path, func(t *testing.T) { scenario(t, path) })
	}
}

// TestDatapathChangesLive goes from the relay to the programs and back under numbered frames both ways and with a
// connection at work.
func TestDatapathChangesLive(t *testing.T) {
	for _, mode := range []string{"elb", "active-backup"} {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, worldOptions{Datapath: "relay"})
			w.create(nics(2), "--mode", mode)
			before, conn := w.identity(), w.lifeline()
			tr := w.traffic(lab.Stream{Rate: 20000})
			tr.flows(2000)
			for _, path := range []string{"fastpath", "relay", "fastpath", "relay", "auto"} {
				w.set("datapath=" + path)
				want := path
				if path == "auto" {
					want = "fastpath"
				}
				s := w.status()
				if s.Datapath != want || s.DatapathReason == "" || s.Settings.Datapath != path || s.State != "up" {
					t.Errorf("after datapath=%s status says %q (%s), wished %q, %s", path, s.Datapath, s.DatapathReason, s.Settings.Datapath, s.State)
				}
				conn.works("with datapath=" + path)
				tr.flows(4000)
			}
			out, in := tr.stop()
			for name, r := range map[string]lab.Report{"out": out, "in": in} {
				if r.Lost > 20 || r.Duplicated+r.Reordered+r.Corrupt != 0 {
					t.Errorf("%s: lost %d, doubled %d, overtaken %d, corrupt %d", name, r.Lost, r.Duplicated, r.Reordered, r.Corrupt)
				}
			}
			if got := w.identity(); got != before {
				t.Errorf("the adapter is %s, was %s", got, before)
			}
		})
	}
}
