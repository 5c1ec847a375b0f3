// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"fmt"
	"math"
	"net"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// sharesSent returns what each member has sent since an earlier status, in frames or bytes, and the sum.
func (w *world) sharesSent(since *api.Status, measure func(frame.Count) uint64) (by map[string]float64, sum float64) {
	w.t.Helper()
	by = map[string]float64{}
	for _, m := range w.status().Members {
		n := float64(measure(m.TX.Count) - measure(memberOf(w.t, since, m.Name).TX.Count))
		by[m.Name] = n
		sum += n
	}
	return by, sum
}

func inFrames(c frame.Count) uint64 { return c.Frames }
func inOctets(c frame.Count) uint64 { return c.Bytes }

// TestRoundRobinSurvivorsShareEvenly: one of six members is dead, and no neighbour of it gets its share.
func TestRoundRobinSurvivorsShareEvenly(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{NICs: 6, LAG: true, Spread: lab.SpreadFrames}.on(path))
		w.create(nics(6), "--mode", "round-robin")
		labtest.Must(t, w.wires["eth3"].Cut())
		w.awaitMember("eth3", "down")
		r := labtest.Start(t, lab.Stream{From: w.box, To: w.peer, Address: peer4, Rate: 10_000})
		labtest.Eventually(t, "traffic", func() bool { return r.Received() > 0 })
		before := w.status()
		labtest.Eventually(t, "10000 frames", func() bool { return r.Received() > 10_000 })
		by, sum := w.sharesSent(before, inFrames)
		for nic, n := range by {
			want := 20.0
			if nic == "eth3" {
				want = 0
			}
			if share := 100 * n / sum; math.Abs(share-want) > 1 {
				t.Errorf("%s sent %.2f %% of the frames, want %.0f", nic, share, want)
			}
		}
		t.Log(by)
	})
}

// TestRoundRobinByWeight sends large and small frames alternately: weights count bytes, not frames.
func TestRoundRobinByWeight(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{LAG: true, Spread: lab.SpreadFrames}.on(path))
		w.create(nics(2), "--mode", "round-robin", "--weight", "eth2=3")
		for _, size := range []int{100, 1200} {
			labtest.Start(t, lab.Stream{From: w.box, To: w.peer, Address: peer4, Rate: 4000, Size: size})
		}
		before := w.status()
		labtest.Eventually(t, "traffic", func() bool { return w.status().TX.Frames-before.TX.Frames > 8000 })
		by, sum := w.sharesSent(before, inOctets)
		if share := 100 * by["eth2"] / sum; math.Abs(share-75) > 1 {
			t.Errorf("eth2 sent %.2f %% of the octets, want 75: %v", share, by)
		}
		t.Logf("%v octets", by)
	})
}

// TestOneConnectionOverTwoNICs: round-robin carries one TCP connection over both NICs, faster than one of them could.
func TestOneConnectionOverTwoNICs(t *testing.T) {
	const rate, size = 200e6, 24 << 20
	w := newWorld(t, worldOptions{LAG: true, Spread: lab.SpreadFrames, Rate: rate})
	w.create(nics(2), "--mode", "round-robin")
	ctx, cancel := context.WithTimeout(t.Context(), 2*labtest.Patience)
	defer cancel()
	speed := func(octets int64) float64 {
		r, err := lab.Transfer(ctx, w.box, w.peer, peer4.String(), octets)
		labtest.Must(t, err)
		return r.BitsPerSecond()
	}
	labtest.Eventually(t, "one and a half times what a NIC can", func() bool {
		two := speed(2 * size)
		t.Logf("two NICs %.0f Mbit/s", two/1e6)
		return two >= 1.5*rate
	})
	w.set("balance=off")
	if one := speed(size); one > 1.1*rate {
		t.Errorf("one NIC carries %.0f Mbit/s of %.0f", one/1e6, rate/1e6)
	}
}

// TestExplainNamesTheMember compares `explain` with what the NICs of box send.
func TestExplainNamesTheMember(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		const count = 50
		// Without offload, so that the kernel's counters count frames on the wire.
		w := newWorld(t, worldOptions{NICs: 4, LAG: true, NoOffload: true}.on(path))
		w.create(nics(4), "--mode", "xor")
		sink, err := w.peer.ListenPacket("udp", net.JoinHostPort(peer4.String(), "0"))
		labtest.Must(t, err)
		t.Cleanup(func() { sink.Close() })
		to := sink.LocalAddr().(*net.UDPAddr)
		sent := func(nic string) uint64 { return link(t, w.box, nic).Statistics.TxPackets }
		named := map[string]int{}
		for i := range 16 {
			from := firstPort + i*portStep
			e := w.explain(udpFlow(from, to.Port))
			if e.Why == "" || e.Next == "" || e.Next == e.Member {
				t.Errorf("flow from port %d: %+v", from, e)
			}
			named[e.Member]++
			before := map[string]uint64{}
			for _, nic := range nics(4) {
				before[nic] = sent(nic)
			}
			labtest.Must(t, w.box.Do(func() error {
				c, err := net.DialUDP("udp4", &net.UDPAddr{Port: from}, to)
				if err != nil {
					return err
				}
				defer c.Close()
				for range count {
					if _, err := c.Write([]byte("which way?")); err != nil {
						return err
					}
				}
				return nil
			}))
			labtest.Eventually(t, fmt.Sprintf("%d frames by %s", count, e.Member), func() bool {
				return sent(e.Member)-before[e.Member] >= count
			})
			for _, nic := range nics(4) {
				// Now and then a host asks for a neighbour.
				if n := sent(nic) - before[nic]; nic != e.Member && n >= count/2 {
					t.Errorf("flow from port %d is on %s, and %s sent %d frames", from, e.Member, nic, n)
				}
			}
		}
		t.Logf("16 flows: %v", named)
		if len(named) < 2 {
			t.Error("all flows are on one member")
		}
	})
}

// TestXORSharesEvenly has flows such as clients make: even source ports in sequence.
func TestXORSharesEvenly(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		const flows, members = 512, 4
		w := newWorld(t, worldOptions{NICs: members, LAG: true}.on(path))
		w.create(nics(members), "--mode", "xor")
		r := labtest.Start(t, lab.Stream{From: w.box, To: w.peer, Address: peer4, Rate: 10_000, Flows: flows,
			FirstPort: firstPort, PortStep: portStep})
		labtest.Eventually(t, "traffic", func() bool { return r.Received() > 0 })
		before := w.status()
		labtest.Eventually(t, "ten frames a flow", func() bool { return r.Received() > 10*flows })
		by, sum := w.sharesSent(before, inFrames)
		for nic, n := range by {
			// 9.6 points are five standard deviations of a fair draw.
			if share := 100 * n / sum; math.Abs(share-100/members) > 10 {
				t.Errorf("%s sent %.1f %% of the frames, want about 25", nic, share)
			}
		}
		t.Log(by)
	})
}
