// SPDX-License-Identifier: MIT

package lab_test

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// wired returns two hosts joined by a wire whose NICs take no super-frames, so a filter sees each frame.
func wired(t *testing.T) (a, b *lab.Host, w *lab.Wire) {
	t.Helper()
	a, b = labtest.Host(t, "a"), labtest.Host(t, "b")
	w, err := lab.NewWire(a, "eth0", b, "eth0", lab.WireOptions{NoOffload: true})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, w.Close()) })
	labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24", "fd09::1/64"))
	labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24", "fd09::2/64"))
	return a, b, w
}

var addresses = map[string]netip.Addr{"IPv4": netip.MustParseAddr("10.9.0.2"), "IPv6": netip.MustParseAddr("fd09::2")}

func TestStreamClean(t *testing.T) {
	a, b, _ := wired(t)
	for name, to := range addresses {
		t.Run(name, func(t *testing.T) {
			r, err := lab.Stream{From: a, To: b, Address: to, Rate: 10_000, FirstPort: 20_000, PortStep: 2}.Start()
			labtest.Must(t, err)
			labtest.Eventually(t, "1000 frames", func() bool { return r.Received() >= 1000 })
			got, err := r.Stop()
			labtest.Must(t, err)
			t.Log(got)
			if !got.Clean() {
				t.Error("not clean")
			}
			// What the sender missed in a standstill it does not make up for: never is one early.
			if least := time.Duration(got.Sent-1) * 100 * time.Microsecond; got.Sent < 1000 || got.Took < least {
				t.Errorf("%d frames in %v, want at least %v", got.Sent, got.Took, least)
			}
			if len(got.Flows) != 8 || got.Flows[3].SourcePort != 20_006 {
				t.Errorf("flows %+v", got.Flows)
			}
			if again, _ := r.Stop(); again.Sent != got.Sent {
				t.Error("the second Stop differs")
			}
		})
	}
}

// udp reports whether a frame is one of the stream's.
func udp(frame []byte) bool {
	return len(frame) > 200 && (frame[12] == 0x08 && frame[23] == 17 || frame[12] == 0x86 && frame[20] == 17)
}

func TestStreamSeesFaults(t *testing.T) {
	a, b, w := wired(t)
	for name, to := range addresses {
		for _, tt := range []struct {
			name   string
			fault  func(frame []byte) int
			figure func(lab.Report) uint64
		}{
			{"loss", func([]byte) int { return 0 }, func(r lab.Report) uint64 { return r.Lost }},
			{"duplication", func([]byte) int { return 2 }, func(r lab.Report) uint64 { return r.Duplicated }},
		} {
			t.Run(name+" "+tt.name, func(t *testing.T) {
				var seen, hit atomic.Uint64
				w.A.Filter(func(frame []byte) int {
					if udp(frame) && seen.Add(1)%100 == 0 {
						hit.Add(1)
						return tt.fault(frame)
					}
					return 1
				})
				r, err := lab.Stream{From: a, To: b, Address: to}.Start()
				labtest.Must(t, err)
				labtest.Eventually(t, "20 faults", func() bool { return hit.Load() >= 20 })
				got, err := r.Stop()
				labtest.Must(t, err)
				w.A.Filter(nil)
				if tt.figure(got) != hit.Load() {
					t.Errorf("%v; want %d of %s", got, hit.Load(), tt.name)
				}
				if got.Corrupt != 0 || got.Reordered != 0 || got.Lost != 0 && tt.name != "loss" {
					t.Errorf("%v", got)
				}
			})
		}
	}
}

func TestStreamSeesCorruption(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	// With offload the checksum is the receiver's host's word only, so a changed octet gets through.
	w, err := lab.NewWire(a, "eth0", b, "eth0", lab.WireOptions{})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, w.Close()) })
	labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24"))
	labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24"))
	var seen, hit atomic.Uint64
	w.A.Filter(func(frame []byte) int {
		if udp(frame) && seen.Add(1)%100 == 0 {
			hit.Add(1)
			frame[len(frame)-1] ^= 4
		}
		return 1
	})
	r, err := lab.Stream{From: a, To: b, Address: addresses["IPv4"]}.Start()
	labtest.Must(t, err)
	labtest.Eventually(t, "5 faults", func() bool { return hit.Load() >= 5 })
	got, err := r.Stop()
	labtest.Must(t, err)
	if got.Corrupt != hit.Load() {
		t.Errorf("%v; want %d corrupt", got, hit.Load())
	}
}

// TestStreamWaitsForTheLate has frames under way when a stream ends, as on a machine that lets nobody run for a while.
func TestStreamWaitsForTheLate(t *testing.T) {
	a, b, w := wired(t)
	var seen atomic.Uint64
	var ends, held atomic.Bool
	w.A.Filter(func(frame []byte) int {
		switch {
		case !udp(frame):
		case seen.Add(1) == 200:
			time.Sleep(300 * time.Millisecond)
		case ends.Load() && !held.Swap(true):
			time.Sleep(900 * time.Millisecond)
		}
		return 1
	})
	r, err := lab.Stream{From: a, To: b, Address: addresses["IPv4"]}.Start()
	labtest.Must(t, err)
	labtest.Eventually(t, "traffic", func() bool { return r.Received() >= 500 })
	ends.Store(true)
	labtest.Eventually(t, "a frame that is late", held.Load)
	got, err := r.Stop()
	labtest.Must(t, err)
	if got.Lost != 0 {
		t.Error(got)
	}
}

func TestStreamMeasuresGap(t *testing.T) {
	a, b, w := wired(t)
	r, err := lab.Stream{From: a, To: b, Address: addresses["IPv4"]}.Start()
	labtest.Must(t, err)
	received := func(n uint64) func() bool { return func() bool { return r.Report().Received >= n } }
	labtest.Eventually(t, "traffic", received(1000))
	start := time.Now()
	w.A.SwallowTx(true)
	time.Sleep(50 * time.Millisecond)
	w.A.SwallowTx(false)
	took := time.Since(start)
	labtest.Eventually(t, "traffic again", received(r.Report().Received+1000))
	all, flow := r.GapWithin(start, start.Add(took))
	got, err := r.Stop()
	labtest.Must(t, err)
	t.Logf("hole of %v: gap %v, of a flow %v; %v", took, all, flow, got)
	if all.Length < 49*time.Millisecond || all.Length > took+20*time.Millisecond || all.Net > all.Length ||
		flow.Length < all.Length {
		t.Errorf("gap %v, of a flow %v, want about %v", all, flow, took)
	}
	if got.Lost == 0 || got.Duplicated+got.Corrupt != 0 {
		t.Errorf("%v", got)
	}
}

func TestStreamFast(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	c, err := lab.NewCable(a, "eth0", b, "eth0", lab.CableOptions{})
	labtest.Must(t, err)
	t.Cleanup(func() { labtest.Check(t, c.Close()) })
	labtest.Must(t, a.SetAddr("eth0", "10.9.0.1/24"))
	labtest.Must(t, b.SetAddr("eth0", "10.9.0.2/24"))
	r, err := lab.Stream{From: a, To: b, Address: addresses["IPv4"], Rate: 50_000, Size: 64}.Start()
	labtest.Must(t, err)
	labtest.Eventually(t, "10000 frames", func() bool { return r.Received() >= 10_000 })
	got, err := r.Stop()
	labtest.Must(t, err)
	t.Logf("%.0f frames/s: %v", float64(got.Sent)/got.Took.Seconds(), got)
	if got.Duplicated+got.Reordered+got.Corrupt != 0 {
		t.Error("a cable does not do that")
	}
}

// A stream of batches counts as any other, and makes up for what it was late.
func TestStreamOfBatches(t *testing.T) {
	a, b, w := wired(t)
	var seen, lost, doubled atomic.Uint64
	var counts atomic.Bool // frames before a stream do not
	w.A.Filter(func(frame []byte) int {
		switch n := seen.Add(1); {
		case !udp(frame), !counts.Load():
		case n%100 == 0:
			lost.Add(1)
			return 0
		case n%100 == 50:
			doubled.Add(1)
			return 2
		}
		return 1
	})
	r, err := lab.Stream{From: a, To: b, Address: addresses["IPv4"], Rate: 20_000, Batch: 20, Flows: 3}.Start()
	labtest.Must(t, err)
	labtest.Eventually(t, "frames", func() bool { return r.Received() > 0 })
	counts.Store(true)
	labtest.Eventually(t, "4000 frames", func() bool { return r.Received() >= 4000 })
	got, err := r.Stop()
	labtest.Must(t, err)
	w.A.Filter(nil)
	t.Logf("%.0f frames/s: %v", float64(got.Sent)/got.Took.Seconds(), got)
	if got.Lost != lost.Load() || got.Duplicated != doubled.Load() || got.Reordered+got.Corrupt+got.Refused != 0 {
		t.Errorf("%v; %d were lost and %d doubled", got, lost.Load(), doubled.Load())
	}
	if got.Sent%20 != 0 || len(got.Flows) != 3 || got.Flows[2].Sent == 0 {
		t.Errorf("%+v", got.Flows)
	}
}
