// SPDX-License-Identifier: MIT

package systest

import (
	"slices"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestELBUsesEveryMember has eight connections over four slow NICs whose links claim more: all four carry about the
// same, and each is found to be slow.
func TestELBUsesEveryMember(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		const rate, flows = 30e6, 8
		for _, tt := range switches {
			t.Run(tt.name, func(t *testing.T) {
				parallelWithTraffic(t)
				w := newWorld(t, worldOptions{NICs: 4, Flooding: tt.flooding, Rate: rate}.on(path))
				w.create(nics(4))
				load, err := lab.Load{From: w.box, To: w.peer, Address: peer4, Flows: flows, FirstPort: firstPort,
					PortStep: portStep}.Start(t.Context())
				labtest.Must(t, err)
				t.Cleanup(func() { load.Stop() })
				labtest.Eventually(t, "four members that share evenly", func() bool {
					before := w.status()
					sum := uint64(0)
					labtest.Eventually(t, "6 MiB", func() bool {
						sum = w.status().TX.Bytes - before.TX.Bytes
						return sum > 6<<20
					})
					by, all := w.sharesSent(before, inOctets)
					for _, n := range by {
						if n < all/4*0.7 || n > all/4*1.3 {
							return false
						}
					}
					return len(by) == 4
				})
				labtest.Eventually(t, "rates as measured", func() bool {
					for _, m := range w.status().Members {
						if !nearRate(m, rate, path) {
							return false
						}
					}
					return true
				})
			})
		}
	})
}

// nearRate reports whether the measured rate of a member is within a factor of two. On the fast path TCP's own limits
// keep queues short, so a rate that is assumed too high may not be found out for long.
func nearRate(m api.Member, rate uint64, path string) bool {
	most := 2 * rate
	if path == "fastpath" {
		most = 4 * rate
	}
	return m.RateSource == "measured" && m.RateBps > rate/2 && m.RateBps < most
}

// TestELBKnowsUnequalNICs has one NIC a quarter as fast as the other, with links that claim the same: the load is
// shared as they can carry it.
func TestELBKnowsUnequalNICs(t *testing.T) {
	eachPath(t, func(t *testing.T, path string) {
		const slow, fast = 40e6, 160e6
		w := newWorld(t, worldOptions{}.on(path))
		labtest.Must(t, w.wires["eth1"].Shape(slow))
		labtest.Must(t, w.wires["eth2"].Shape(fast))
		w.create(nics(2))
		load, err := lab.Load{From: w.box, To: w.peer, Address: peer4, Flows: 12}.Start(t.Context())
		labtest.Must(t, err)
		t.Cleanup(func() { load.Stop() })
		labtest.Eventually(t, "a measured rate of both, within a factor of two", func() bool {
			return nearRate(w.member("eth1"), slow, path) && nearRate(w.member("eth2"), fast, path)
		})
		// Without measured rates, twice the slower one would be carried.
		labtest.Eventually(t, "three times what the slower one carries, over 16 MiB", func() bool {
			before := load.Rate()
			labtest.Eventually(t, "16 MiB", func() bool { return load.Rate().Bytes-before.Bytes > 16<<20 })
			got := load.Rate().Less(before).BitsPerSecond()
			t.Logf("%.0f Mbit/s by both; %+v", got/1e6, *w.status().FlowMoves)
			return got >= 3*slow
		})
	})
}

// reorderBound is how many frames may be reordered while flows may move. The wires are goroutines, and on a busy
// machine one of them stops for longer than path delays differ. Spreading by frame would reorder a tenth.
func reorderBound(r lab.Report) uint64 { return r.Sent/200 + stalled(r) }

// TestELBKeepsOrder sends numbered frames while nothing changes, and then while NICs come and go.
func TestELBKeepsOrder(t *testing.T) {
	t.Parallel()
	for _, tt := range pathsAndSwitches("fastpath") {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: 4, Flooding: tt.flooding}.on(tt.path))
			heard := w.tapWires()
			w.create(nics(4))
			before, conn := w.identity(), w.startEcho()
			heard.reset()

			quiet := w.traffic(lab.Stream{Rate: 2000, Flows: 32})
			used := w.membersUsed(50, func() { quiet.awaitFrames(1500) })
			if !slices.Equal(used, nics(4)) {
				t.Errorf("32 flows use %v", used)
			}
			if out, in := quiet.stop(); out.Reordered > reorderBound(out) ||
				out.Lost+out.Refused+out.Duplicated+out.Corrupt != 0 || !in.Clean() {
				t.Error("frames lost, doubled or overtaken while nothing happened")
			}

			tr := w.traffic(lab.Stream{Rate: 2000, Flows: 32})
			labtest.Must(t, w.wires["eth2"].Cut())
			w.awaitMember("eth2", "down")
			if used := w.membersUsed(1, func() { tr.awaitFrames(500) }); slices.Contains(used, "eth2") {
				t.Errorf("without eth2 frames left by %v", used)
			}
			conn.check("without eth2")
			labtest.Must(t, w.wires["eth2"].Mend())
			w.await("all up", func(s *api.Status) bool { return s.State == "up" })
			// Flows without a reason to move stay; new ones use every member, and more and more of them eth2.
			labtest.Eventually(t, "eth2 in use again", func() bool {
				fresh := w.traffic(lab.Stream{Rate: 2000, Flows: 32})
				defer fresh.stop()
				return slices.Contains(w.membersUsed(50, func() { fresh.awaitFrames(500) }), "eth2")
			})
			if out, in := tr.stop(); out.Duplicated+out.Corrupt+in.Corrupt != 0 || in.Duplicated > in.Sent/100 {
				t.Error("frames doubled or corrupt when a NIC died and came back")
			}

			planned := w.traffic(lab.Stream{Rate: 2000, Flows: 32})
			w.nicteam("remove", teamName, "eth3")
			if used := w.membersUsed(1, func() { planned.awaitFrames(500) }); !slices.Equal(used,
				[]string{"eth1", "eth2", "eth4"}) {
				t.Errorf("without eth3 frames left by %v", used)
			}
			w.nicteam("add", teamName, "eth3")
			again := w.traffic(lab.Stream{Rate: 2000, Flows: 32})
			labtest.Eventually(t, "eth3 in use again", func() bool {
				return slices.Contains(w.membersUsed(50, func() { again.awaitFrames(500) }), "eth3")
			})
			again.stop()
			conn.check("after remove and add")
			out, in := planned.stop()
			if out.Lost+out.Refused+out.Duplicated+out.Corrupt != 0 || out.Reordered > reorderBound(out) {
				t.Errorf("out, remove and add: %v", out)
			}
			if in.Duplicated+in.Corrupt != 0 || in.Lost > in.Sent/100 {
				t.Errorf("in, remove and add: %v", in)
			}
			if after := w.identity(); after != before {
				t.Errorf("adapter is %s, was %s", after, before)
			}
			if !tt.flooding {
				w.awaitLearnt()
			}
		})
	}
}
