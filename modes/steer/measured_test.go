// SPDX-License-Identifier: MIT

package steer

import (
	"math/rand/v2"
	"testing"
	"time"

	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
)

// hear lets a second go by in which peer i sent bytes[i] to ours4, and returns who was told.
func (r *rigging) hear(h *spread.RxBytes, bits ...uint64) []spread.Send {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	for i, n := range bits {
		h[spread.RxClassOf(peerMAC(i), ours4.AsSlice())] += n / 8
	}
	return r.handle(Measured{RxBytes: h})
}

const mega = 1_000_000

func TestSteeringEvensOut(t *testing.T) {
	for _, c := range []struct {
		name  string
		bits  []uint64 // what peer i sends, Mbit/s; they come in turn to 2 members
		moves int
		after []uint64 // what members get then, in tens of Mbit/s
	}{
		{"already even", []uint64{300, 300, 300, 300}, 0, []uint64{60, 60}},
		{"two big ones on one member", []uint64{400, 0, 400, 0}, 1, []uint64{40, 40}},
		{"a big one and small ones", []uint64{500, 0, 100, 0, 100, 0}, 2, []uint64{50, 20}},
		{"one big one stays", []uint64{500, 100, 0, 0}, 0, []uint64{50, 10}},
		{"nothing much", []uint64{10, 0, 9, 0}, 0, []uint64{1, 0}},
		{"little to be won", []uint64{300, 290, 20, 0}, 0, []uint64{32, 29}},
		{"silence", []uint64{0, 0, 0, 0}, 0, []uint64{0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig(t, 2)
			for i := range c.bits {
				r.sent(answer(i))
			}
			for i := range c.bits {
				c.bits[i] *= mega
			}
			var h spread.RxBytes
			moves := 0
			for range 8 {
				for _, s := range r.hear(&h, c.bits...) {
					moves++
					by(t, []spread.Send{s})
				}
				r.wait(0)
			}
			for _, s := range r.wait(time.Minute) {
				_ = s
				moves++
			}
			if moves != 2*c.moves { // two notifications each
				t.Errorf("told %d, want %d", moves, 2*c.moves)
			}
			got := make([]uint64, 2)
			for _, p := range Peers(r.now, r.e) {
				got[p.Member] += c.bits[p.Address.As4()[3]]
			}
			for i := range got {
				got[i] /= 10 * mega
			}
			if d := cmp.Diff(c.after, got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

func TestSteeringLetsWhatMovedRest(t *testing.T) {
	r := rig(t, 2)
	for i := range 8 {
		r.sent(answer(i))
	}
	var h spread.RxBytes
	at := map[string]int{}
	moved := map[string][]int{}
	all := 0
	for n := range 60 {
		bits := make([]uint64, 8) // of which some send for a while
		for i := range bits {
			bits[i] = rand.NewPCG(uint64(n/3), uint64(i)).Uint64() % 2 * 400 * mega
		}
		r.hear(&h, bits...)
		for a, m := range r.members() {
			if was, ok := at[a]; ok && was != m {
				moved[a] = append(moved[a], n)
				all++
			}
			at[a] = m
		}
		r.wait(0)
	}
	for a, at := range moved {
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] < holdIntervals {
				t.Errorf("%s moved at %v", a, at)
			}
		}
	}
	if all < 4 {
		t.Fatalf("only %d moves", all)
	}
}

func TestSteeringRebalanceOff(t *testing.T) {
	r := rig(t, 2)
	r.st.Settings.Rebalance = 0
	r.handle(r.st)
	for i := range 4 {
		r.sent(answer(i))
	}
	var h spread.RxBytes
	for range 8 {
		if got := r.hear(&h, 400*mega, 0, 400*mega, 0); got != nil {
			t.Fatalf("told %v", got)
		}
	}
}

// Members carry what their queues were seen to, whatever the links say.
func TestSteeringBelievesMeasuredRates(t *testing.T) {
	r := rig(t, 2)
	var h spread.RxBytes
	f := &spread.FlowTable{}
	f.Members[0].Rate, f.Members[1].Rate = 100*mega, 300*mega
	for range 3 {
		r.now = r.now.Add(time.Second)
		r.handle(Measured{RxBytes: &h, Flows: f})
	}
	for i := range 8 {
		r.sent(answer(i))
	}
	if d := cmp.Diff([]int{2, 6}, r.counts()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestPeersShowWhatTheySend(t *testing.T) {
	r := rig(t, 2)
	r.sent(answer(0))
	var h spread.RxBytes
	for range 12 {
		r.hear(&h, 80*mega)
	}
	p := Peers(r.now, r.e)[0]
	if p.RxBps < 79*mega || p.RxBps > 80*mega || !p.Seen.Equal(r.now) || !p.Since.Equal(t0) {
		t.Errorf("%+v", p)
	}
	// Nobody measures while nothing moves.
	r.now = r.now.Add(20 * time.Second)
	if p := Peers(r.now, r.e)[0]; p.RxBps > mega {
		t.Errorf("%+v", p)
	}
	// Counters that begin anew are no traffic of the past.
	h = spread.RxBytes{}
	r.hear(&h, 8*mega)
	if p := Peers(r.now, r.e)[0]; p.RxBps > 80*mega {
		t.Errorf("%+v", p)
	}
}

// New bindings, not measured yet, do not all go to the member with the least load.
func TestSteeringTakesNewPairsForAverageOnes(t *testing.T) {
	r := rig(t, 4)
	for i := range 4 {
		r.sent(answer(i))
	}
	var h spread.RxBytes
	for range 5 {
		r.hear(&h, 100*mega, 100*mega, 100*mega, 50*mega)
	}
	for i := 4; i < 20; i++ {
		r.sent(answer(i))
	}
	for m, n := range r.counts() {
		if n < 4 || n > 6 {
			t.Errorf("member %d has %d pairs", m, n)
		}
	}
}

// Bytes of one class are shared among its peers, not counted twice.
func TestPeersShareWhatCannotBeToldApart(t *testing.T) {
	r := rig(t, 2)
	other := 1
	for spread.RxClassOf(peerMAC(other), ours4.AsSlice()) != spread.RxClassOf(peerMAC(0), ours4.AsSlice()) {
		other++
	}
	r.sent(answer(0))
	r.sent(answer(other))
	var h spread.RxBytes
	for range 12 {
		r.hear(&h, 80*mega)
	}
	for _, p := range Peers(r.now, r.e) {
		if p.RxBps < 39*mega || p.RxBps > 41*mega {
			t.Errorf("%+v", p)
		}
	}
}

// sums returns what members get, in Mbit/s, of what peers send.
func (r *rigging) sums(bits ...uint64) []uint64 {
	out := make([]uint64, len(r.st.Members))
	for _, p := range Peers(r.now, r.e) {
		out[p.Member] += bits[p.Address.As4()[3]] / mega
	}
	return out
}

// Whoever dies leaves even work behind, and whoever comes back takes work, not numbers.
func TestSteeringSharesWork(t *testing.T) {
	r := rig(t, 3)
	for i := range 9 {
		r.sent(answer(i)) // 0, 3 and 6 are member 0's
	}
	bits := []uint64{100 * mega, 0, 0, 100 * mega, 0, 0, 200 * mega, 0, 0}
	r.st.Settings.Rebalance = 0
	r.handle(r.st)
	var h spread.RxBytes
	for range 12 {
		r.hear(&h, bits...)
	}
	if d := cmp.Diff([]uint64{400, 0, 0}, r.sums(bits...)); d != "" {
		t.Fatalf("-want +got\n%s", d)
	}
	r.change(func(m []Member) { m[0].Usable = false })
	if d := cmp.Diff([]uint64{0, 200, 200}, r.sums(bits...)); d != "" {
		t.Errorf("after a death: -want +got\n%s", d)
	}

	r = rig(t, 2)
	r.st.Settings.Rebalance = 0
	r.change(func(m []Member) { m[0].Usable = false })
	bits = []uint64{100 * mega, 100 * mega, 600 * mega, 100 * mega}
	for i := range bits {
		r.sent(answer(i))
	}
	for range 12 {
		r.hear(&h, bits...)
	}
	r.change(func(m []Member) { m[0].Usable = true })
	if d := cmp.Diff([]uint64{600, 300}, r.sums(bits...)); d != "" {
		t.Errorf("after a return: -want +got\n%s", d)
	}
}
