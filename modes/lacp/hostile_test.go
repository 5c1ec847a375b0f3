// SPDX-License-Identifier: MIT

package lacp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"nicteam/internal/frame"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// attack is a kind of traffic by which a port of a system in good order is flooded.
type attack struct {
	name    string
	harmful bool // to the port it comes by, since it could as well be true
	frame   func(w *world, r *rand.Rand) []byte
}

var attacks = []attack{
	{"own actor echoed", false, func(w *world, _ *rand.Rand) []byte {
		p := PDU{Version: 1, Actor: w.systems[0].Status().Ports[0].Actor}
		p.Partner = p.Actor
		return p.Frame(portMAC)
	}},
	{"own system, other port", false, func(w *world, r *rand.Rand) []byte {
		p := PDU{Version: 1, Actor: w.systems[0].Status().Ports[0].Actor}
		p.Actor.Port, p.Actor.State = uint16(r.Uint32()), State(r.Uint32())
		return p.Frame(portMAC)
	}},
	{"lengths wrong", false, func(w *world, r *rand.Rand) []byte {
		p := PDU{Version: 1, Actor: w.systems[1].Status().Ports[0].Actor}
		b := p.Frame(portMAC)
		b[[...]int{17, 37, 57, 73}[r.IntN(4)]] += byte(1 + r.IntN(255))
		return b
	}},
	{"cut short", false, func(w *world, r *rand.Rand) []byte {
		p := PDU{Version: 1, Actor: w.systems[1].Status().Ports[0].Actor}
		return p.Frame(portMAC)[:r.IntN(FrameLen)]
	}},
	{"noise", false, func(_ *world, r *rand.Rand) []byte {
		b := make([]byte, FrameLen)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		Group.Put(b, 0)
		put16(b[12:], frame.TypeSlow)
		b[atSubtype], b[atActor+1] = byte(r.IntN(4)), 0
		return b
	}},
	{"markers", true, func(_ *world, r *rand.Rand) []byte {
		m := Marker{Response: r.IntN(2) == 0, Port: uint16(r.Uint32()), System: frame.MAC(r.Uint64()) & 0xffffffffffff,
			Transaction: r.Uint32()}
		return m.Frame(portMAC)
	}},
	{"random partners", false, func(_ *world, r *rand.Rand) []byte {
		p := PDU{Version: 1, Actor: randomInfo(r), Partner: randomInfo(r)}
		return p.Frame(portMAC)
	}},
	{"random states of the partner", false, func(w *world, r *rand.Rand) []byte {
		p := PDU{Version: 1, Actor: w.systems[1].Status().Ports[0].Actor, Partner: w.systems[0].Status().Ports[0].Actor}
		p.Actor.State, p.Partner.State = State(r.Uint32()), State(r.Uint32())
		return p.Frame(portMAC)
	}},
	{"who is at the other port", false, func(w *world, r *rand.Rand) []byte {
		p := PDU{Version: 1, Actor: w.systems[1].Status().Ports[1].Actor, Partner: w.systems[0].Status().Ports[1].Actor}
		p.Actor.State = State(r.Uint32())
		return p.Frame(portMAC)
	}},
}

func randomInfo(r *rand.Rand) Info {
	return Info{System: SystemID{Priority: uint16(r.Uint32()), MAC: frame.MAC(r.Uint64()) & 0xffffffffffff},
		Key:          uint16(r.Uint32()),
		PortPriority: uint16(r.Uint32()), Port: uint16(r.Uint32()), State: State(r.Uint32())}
}

// agreedPair is two systems with two cables that have agreed.
func agreedPair(t testing.TB) (*plan, *world) {
	t.Helper()
	p := &plan{systems: []Config{
		{System: SystemID{Priority: 65535, MAC: 0x020000000010}, Fast: true},
		{System: SystemID{Priority: 65535, MAC: 0x020000000020}, Fast: true},
	}, cables: [][2]plug{{{0, 0}, {1, 0}}, {{0, 1}, {1, 1}}}}
	w := p.begin()
	for until := w.now.Add(6 * time.Second); w.now.Before(until); {
		p.apply(w, w.next())
	}
	if !w.all() {
		t.Fatalf("no agreement:\n%s", w)
	}
	return p, w
}

// 10^5 frames a second come by a port for some seconds: the other port is as it was all the time, little is sent,
// and the port itself is only changed by what could be true.
func TestFloodChangesNothingElsewhere(t *testing.T) {
	const perSecond, seconds, perStep = 100_000, 4, 100
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			p, w := agreedPair(t)
			r := rand.New(rand.NewPCG(1, 2))
			before, began := w.systems[0].Status(), w.now
			var frames [][]byte
			for range 1000 {
				frames = append(frames, a.frame(w, r))
			}
			var sent sentRates
			n, refused := 0, 0
			for step := range seconds * perSecond / perStep {
				now := began.Add(time.Duration(step) * time.Second * perStep / perSecond)
				for w.runsUntil(now) {
					p.apply(w, w.next())
				}
				w.now = now
				for range perStep {
					b := frames[n%len(frames)]
					out := w.systems[0].Receive(now, 0, b)
					n++
					if k := subtype(b); k == subtypeLACP || k == subtypeMarker {
						refused++
					}
					sent.add(t, now, out)
					w.send(0, out)
				}
				if step%100 == 99 {
					checkUnharmed(t, &a, before, w.systems[0].Status())
				}
				if t.Failed() {
					t.Fatalf("after %v:\n%s", now.Sub(began), w)
				}
			}
			if bad := w.systems[0].Status().Ports[0].Counters.Bad; bad < uint64(refused)*9/10 {
				t.Errorf("%d of %d counted bad", bad, refused)
			}
		})
	}
}

// runsUntil reports whether something happens in a world before a moment.
func (w *world) runsUntil(t time.Time) bool {
	due := w.due()
	return !w.quiet() || !due.IsZero() && !due.After(t)
}

func checkUnharmed(t *testing.T, a *attack, before, got Status) {
	t.Helper()
	opts := cmp.Options{cmpopts.IgnoreTypes(Counters{})}
	if diff := cmp.Diff(before.Ports[1], got.Ports[1], opts); diff != "" {
		t.Errorf("the other port -before +after:\n%s", diff)
	}
	if before.Active != got.Active || before.Partner.System != got.Partner.System {
		t.Errorf("aggregator %d with %v became %d with %v", before.Active, before.Partner.System, got.Active,
			got.Partner.System)
	}
	if a.harmful {
		return
	}
	if diff := cmp.Diff(before.Ports[0], got.Ports[0], opts); diff != "" {
		t.Errorf("the port itself -before +after:\n%s", diff)
	}
}

func TestWhatIsRefusedAllocatesNothing(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			_, w := agreedPair(t)
			r := rand.New(rand.NewPCG(1, 2))
			b := a.frame(w, r)
			for range 100 { // what is told once, and what may be processed in this second
				w.systems[0].Receive(w.now, 0, b)
			}
			if n := testing.AllocsPerRun(1000, func() { w.systems[0].Receive(w.now, 0, b) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// BenchmarkReceiveFlood is what a frame costs of which 10^5 come in a second.
func BenchmarkReceiveFlood(b *testing.B) {
	for _, a := range attacks {
		b.Run(fmt.Sprint(a.name), func(b *testing.B) {
			p, w := agreedPair(b)
			r := rand.New(rand.NewPCG(1, 2))
			var frames [][]byte
			for range 1000 {
				frames = append(frames, a.frame(w, r))
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				w.now = w.now.Add(10 * time.Microsecond)
				w.send(0, w.systems[0].Receive(w.now, 0, frames[i%len(frames)]))
				for w.runsUntil(w.now) {
					p.apply(w, w.next())
				}
				i++
			}
		})
	}
}
