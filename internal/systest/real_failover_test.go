// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// gapBound bounds the time without frames after a loss of carrier, without machine standstills. Normal are a few
// milliseconds, plus some tens on a busy small machine. It must be far below the second for which the kernel may delay
// the event.
const gapBound = 200 * time.Millisecond

// checkGap checks the gaps, which are only logged without -soak.
func checkGap(t testing.TB, when string, out, in time.Duration) {
	t.Helper()
	t.Logf("gap %s: out %v, in %v", when, out, in)
	if worst := max(out, in); *soak && worst > gapBound {
		t.Errorf("gap %s of %v, want at most %v", when, worst, gapBound)
	}
}

// teams are the modes, each with the network that it is for.
var teams = []struct {
	name, mode string
	world      worldOptions
}{
	{"active-backup, learning switch", "active-backup", worldOptions{NICs: 3}},
	{"active-backup, flooding switch", "active-backup", worldOptions{NICs: 3, Flooding: true}},
	{"xor", "xor", worldOptions{NICs: 3, LAG: true}},
	{"round-robin", "round-robin", worldOptions{NICs: 3, LAG: true, Spread: lab.SpreadFrames}},
	{"broadcast", "broadcast", worldOptions{NICs: 3, LAG: true}},
	{"elb, learning switch", "elb", worldOptions{NICs: 3}},
}

// TestFileSurvivesPulledCables fetches a file through the team while one cable after the other is pulled and plugged
// in.
func TestFileSurvivesPulledCables(t *testing.T) {
	t.Parallel()
	for _, tt := range teams {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			tt.world.Rate = 300e6
			w := newWorld(t, tt.world)
			w.create(nics(3), "--mode", tt.mode)
			files, err := lab.ServeFiles(w.peer, peer4.String())
			labtest.Must(t, err)
			t.Cleanup(func() { labtest.Check(t, files.Close()) })

			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			const step = 8 << 20
			const size = 5 * step
			var at atomic.Int64
			type fetched struct {
				sha  string
				rate lab.Rate
				err  error
			}
			done := make(chan fetched, 1)
			// The reader waits for the script, so that the file does not arrive before the last cable is pulled.
			gate := make(chan struct{}, 8)
			go func() {
				next := int64(step)
				sha, rate, err := files.Fetch(ctx, w.box, 7, size, func(n int64) {
					for at.Store(n); n >= next && n < size; next += step {
						select {
						case <-gate:
						case <-ctx.Done():
						}
					}
				})
				done <- fetched{sha, rate, err}
			}()
			reach := func(n int64) {
				t.Helper()
				labtest.Eventually(t, fmt.Sprintf("%d octets", n), func() bool { return at.Load() >= n })
			}
			reach(step)
			for i, nic := range []string{"eth1", "eth2"} {
				gate <- struct{}{}
				reach(int64(i+1)*step + step/4) // in the middle of it
				labtest.Must(t, w.wires[nic].Cut())
				reach(int64(i+2) * step)
				if s := w.awaitMember(nic, "down"); s.State != "degraded" || s.Active == nic {
					t.Errorf("without %s: state %s, active %s", nic, s.State, s.Active)
				}
				if m := w.member(nic); m.Reason != "carrier lost" || m.Failures != 1 {
					t.Errorf("%s: reason %q, %d failures", nic, m.Reason, m.Failures)
				}
			}
			labtest.Must(t, w.wires["eth1"].Mend())
			w.await("eth1 usable", func(s *api.Status) bool {
				st := memberOf(t, s, "eth1").State
				return st == "up" || st == "standby"
			})
			labtest.Must(t, w.wires["eth3"].Cut())
			for range cap(gate) {
				gate <- struct{}{}
			}
			got := <-done
			labtest.Must(t, got.err)
			if want := files.SHA256(7, size); got.sha != want {
				t.Errorf("SHA-256 %s, want %s", got.sha, want)
			}
			t.Logf("%d MiB in %v", got.rate.Bytes>>20, got.rate.Took)
		})
	}
}

// TestFailoverGap pulls the cable of the active member, and 100 ms later that of its successor: the kernel may delay
// the second event by up to a second.
func TestFailoverGap(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		for _, tt := range teams {
			if path == "relay" && tt.world.LAG && tt.mode != "xor" {
				continue // modes of a static group differ in nothing that the relay does when a NIC dies
			}
			t.Run(tt.name, func(t *testing.T) {
				parallelWithTraffic(t)
				w := newWorld(t, tt.world.on(path))
				w.create(nics(3), "--mode", tt.mode)
				tr := w.traffic(lab.Stream{Rate: 10_000})
				first := time.Now()
				labtest.Must(t, w.wires["eth1"].Cut())
				time.Sleep(100 * time.Millisecond) // the distance is what the test is about
				second := time.Now()
				labtest.Must(t, w.wires["eth2"].Cut())
				s := w.awaitMember("eth2", "down")
				if memberOf(t, s, "eth1").State != "down" || tt.mode == "active-backup" && s.Active != "eth3" {
					t.Errorf("active %q, members %+v", s.Active, s.Members)
				}
				out, in := tr.gap(first)
				secondOut, secondIn := tr.gap(second)
				checkGap(t, "after both", out, in)
				checkGap(t, "after the second", secondOut, secondIn)
				o, i := tr.stop()
				if o.Duplicated != 0 && tt.mode != "broadcast" || i.Duplicated > tt.world.lossBound(i) ||
					o.Corrupt+i.Corrupt != 0 {
					t.Error("frames doubled or corrupt")
				}
			})
		}
	})
}

// TestCableComesBack lets the primary return under traffic, a planned change: nothing is lost.
func TestCableComesBack(t *testing.T) {
	t.Parallel()
	for _, tt := range teams {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, tt.world)
			more := []string{"--mode", tt.mode}
			if tt.mode == "active-backup" {
				more = append(more, "--primary", "eth1", "--up-delay", "500ms")
			}
			w.create(nics(3), more...)
			conn := w.startEcho()
			labtest.Must(t, w.wires["eth1"].Cut())
			w.awaitMember("eth1", "down")
			tr := w.traffic(lab.Stream{Rate: 5000})
			labtest.Must(t, w.wires["eth1"].Mend())
			s := w.awaitMember("eth1", "up")
			if s.State != "up" || tt.mode == "active-backup" && s.Active != "eth1" {
				t.Errorf("state %s, active %q", s.State, s.Active)
			}
			conn.check("after the cable came back")
			tr.awaitFrames(1000)
			out, in := tr.stop()
			if out.Lost != 0 || out.Duplicated != 0 && tt.mode != "broadcast" ||
				in.Lost+in.Duplicated > tt.world.lossBound(in) {
				t.Error("frames lost or doubled")
			}
		})
	}
}

// TestNICUnplugged unplugs the NIC of the active member and plugs it in.
func TestNICUnplugged(t *testing.T) {
	t.Parallel()
	for _, tt := range teams {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, tt.world)
			w.create(nics(3), "--mode", tt.mode)
			before, conn := w.identity(), w.startEcho()
			tr := w.traffic(lab.Stream{Rate: 5000})
			pulled, index := time.Now(), w.member("eth1").Index
			labtest.Must(t, w.wires["eth1"].A.Unplug())
			if s := w.awaitMember("eth1", "absent"); s.State != "degraded" {
				t.Errorf("state %s", s.State)
			}
			out, in := tr.gap(pulled)
			checkGap(t, "without eth1", out, in)
			conn.check("without eth1")
			labtest.Must(t, w.wires["eth1"].A.Replug())
			s := w.await("eth1 usable", func(s *api.Status) bool {
				st := memberOf(t, s, "eth1").State
				return s.State == "up" && (st == "up" || st == "standby")
			})
			if got := memberOf(t, s, "eth1").Index; got == index || got != link(t, w.box, "eth1").Index {
				t.Errorf("eth1 has index %d, had %d", got, index)
			}
			// It carries everything.
			labtest.Must(t, w.wires["eth2"].Cut())
			labtest.Must(t, w.wires["eth3"].Cut())
			w.awaitMember("eth3", "down")
			tr.awaitFrames(1000)
			conn.check("by eth1 alone")
			o, i := tr.stop()
			// From a NIC's return until the team has isolated it, box receives its frames directly.
			if o.Duplicated != 0 && tt.mode != "broadcast" || i.Duplicated > i.Sent/20 {
				t.Error("frames doubled")
			}
			if after := w.identity(); after != before {
				t.Errorf("adapter is %s, was %s", after, before)
			}
		})
	}
}

// TestNICSetDown sets a member down and up (ip link).
func TestNICSetDown(t *testing.T) {
	t.Parallel()
	for _, tt := range teams[:3] {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, tt.world)
			w.create(nics(3), "--mode", tt.mode)
			conn := w.startEcho()
			labtest.Must(t, w.box.Down("eth1"))
			s := w.awaitMember("eth1", "down")
			if m := memberOf(t, s, "eth1"); m.Reason == "" || m.Link {
				t.Errorf("%+v", m)
			}
			if tt.world.LAG {
				// The switch does not see what box did: its port has a link still.
				labtest.Must(t, w.wires["eth1"].B.SetCarrier(false))
			}
			conn.check("while eth1 is down")
			labtest.Must(t, w.box.Up("eth1"))
			labtest.Must(t, w.wires["eth1"].B.SetCarrier(true))
			w.await("eth1 usable", func(s *api.Status) bool {
				st := memberOf(t, s, "eth1").State
				return s.State == "up" && (st == "up" || st == "standby")
			})
			labtest.Must(t, w.wires["eth2"].Cut())
			labtest.Must(t, w.wires["eth3"].Cut())
			w.awaitMember("eth3", "down")
			conn.check("by eth1 alone")
			if w.identity() == "" || len(w.status().Adapter.Addresses) < 2 {
				t.Error("addresses are gone")
			}
		})
	}
}
