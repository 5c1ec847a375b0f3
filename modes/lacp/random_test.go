// SPDX-License-Identifier: MIT

package lacp

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWhateverHappensTwoSystemsComeTogether lets anything happen to two systems for a while. At each moment the ports
// are consistent in themselves; and when it is over, both soon use the same ports, and go on to.
func TestWhateverHappensTwoSystemsComeTogether(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(r, "ports")
		w, a, b := linked(t, n, func(a, b *side) {
			for _, s := range []*side{a, b} {
				s.config.Fast = rapid.Bool().Draw(r, "fast")
				s.config.Select = rapid.SampledFrom(Selects()).Draw(r, "select")
			}
			a.config.Passive = rapid.Bool().Draw(r, "passive")
			for i := range n {
				g := rapid.SampledFrom([]uint64{1, 1, 10}).Draw(r, "speed") * 1e9
				a.ports[i].SpeedBps, b.ports[i].SpeedBps = g, g
			}
		})
		w.delay = time.Duration(rapid.IntRange(1, 200).Draw(r, "delay")) * time.Millisecond
		w.after = func() {
			for _, s := range []*side{a, b} {
				consistent(r, s)
			}
		}
		lossy := 0
		w.drop = func(from, port int, _ []byte) bool { return lossy>>(2*port+from)&1 != 0 }
		for range rapid.IntRange(0, 12).Draw(r, "events") {
			s := rapid.SampledFrom([]*side{a, b}).Draw(r, "side")
			i := rapid.IntRange(0, n-1).Draw(r, "port")
			switch rapid.IntRange(0, 6).Draw(r, "event") {
			case 0:
				w.carrier(i, !s.ports[i].Up)
			case 1:
				s.ports[i].Up = !s.ports[i].Up
				s.apply()
			case 2:
				lossy ^= 1 << (2*i + s.index)
			case 3:
				s.restart(nil)
			case 4:
				s.restart(kept(t, s.System))
			case 5:
				s.ports[i].Standby = !s.ports[i].Standby
				s.apply()
			case 6:
				s.ports[i].Leaving = !s.ports[i].Leaving
				s.apply()
			}
			w.run(time.Duration(rapid.IntRange(0, 5000).Draw(r, "pause")) * time.Millisecond)
		}
		lossy = 0
		for i := range n {
			for _, s := range []*side{a, b} {
				s.ports[i].Up, s.ports[i].Standby, s.ports[i].Leaving = true, false, false
			}
		}
		a.apply()
		b.apply()
		same := func() bool {
			x, y := distributing(a.System), distributing(b.System)
			return len(x) > 0 && slices.Equal(x, y)
		}
		if took := w.until(100*time.Second, same); took > 100*time.Second {
			r.Fatalf("%v and %v\n%+v\n%+v", distributing(a.System), distributing(b.System), a.Status(), b.Status())
		}
		w.run(30 * time.Second)
		was := distributing(a.System)
		if !same() {
			r.Fatalf("it did not last: %v and %v", distributing(a.System), distributing(b.System))
		}
		w.run(2 * time.Minute)
		if !same() || !slices.Equal(was, distributing(a.System)) {
			r.Fatalf("after %v: %v and %v", was, distributing(a.System), distributing(b.System))
		}
	})
}

// consistent fails if a system contradicts itself.
func consistent(r *rapid.T, s *side) {
	st := s.Status()
	for i := range st.Ports {
		p := &st.Ports[i]
		use := p.Actor.State & (Synchronization | Collecting | Distributing)
		switch {
		case p.Mux >= MuxCollecting &&
			!(p.Selected == InUse && p.Partner.State.Has(Synchronization) && use.Has(Synchronization|Collecting)),
			p.Distributing() && !(p.Partner.State.Has(Collecting) && use.Has(Distributing)),
			p.Selected != InUse && use != 0,
			p.Selected == InUse && !p.Heard,
			p.Receive != ReceiveCurrent && use != 0,
			(p.Aggregator == 0) != (p.Mux == MuxDetached),
			p.Distributing() != (p.Why == ""):
			r.Fatalf("end %d: %+v of %+v", s.index, *p, st)
		}
		for j := range st.Ports[:i] {
			q := &st.Ports[j]
			if p.Aggregator != 0 && p.Aggregator == q.Aggregator && (p.Actor.Key != q.Actor.Key ||
				p.Partner.System != q.Partner.System || p.Partner.Key != q.Partner.Key) {
				r.Fatalf("end %d: %+v and %+v in one aggregator", s.index, *p, *q)
			}
		}
	}
}
