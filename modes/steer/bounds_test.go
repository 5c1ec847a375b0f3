// SPDX-License-Identifier: MIT

package steer

import (
	"runtime"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"
)

// fill makes the table full of peers from first on, as fast as it takes them.
func (r *rigging) fill(first int) {
	for i := first; i < first+maxBindings; i++ {
		r.sent(answer(i))
		r.now = r.now.Add(2 * time.Millisecond)
	}
	if n := r.e.b.table.len(); n != maxBindings {
		r.t.Fatalf("%d pairs", n)
	}
}

func TestSteeringForgetsWhoWasNotSeenLongest(t *testing.T) {
	r := rig(t, 2)
	r.fill(0)
	r.sent(answer(0)) // seen again
	r.sent(answer(70_000))
	here := r.members()
	for i, want := range map[int]bool{0: true, 1: false, 2: true, 70_000: true} {
		if _, ok := here[peer4(i).String()]; ok != want {
			t.Errorf("peer %d is known: %v", i, ok)
		}
	}
}

func TestSteeringKeepsWhoSends(t *testing.T) {
	r := rig(t, 2)
	r.fill(0)
	var h spread.RxBytes
	r.hear(&h)
	h[spread.RxClassOf(peerMAC(3), ours4.AsSlice())] += 1000
	r.hear(&h)
	was := r.members()[peer4(3).String()]
	for i := range 2 * maxBindings {
		r.sent(answer(10_000 + i))
		r.now = r.now.Add(2 * time.Millisecond)
	}
	if m, ok := r.members()[peer4(3).String()]; !ok || m != was {
		t.Error("who sends was pushed out")
	}
	// A minute of silence later it may go.
	r.now = r.now.Add(busyTime)
	r.hear(&h)
	for i := range 2 * maxBindings {
		r.sent(answer(20_000 + i))
		r.now = r.now.Add(2 * time.Millisecond)
	}
	if _, ok := r.members()[peer4(3).String()]; ok {
		t.Error("who was silent stayed")
	}
}

func TestSteeringFullOfSenders(t *testing.T) {
	r := rig(t, 2)
	r.fill(0)
	var h spread.RxBytes
	r.hear(&h)
	for i := range h {
		h[i] += 1000
	}
	r.hear(&h)
	if m := by(t, r.sent(answer(70_000))); m != 0 {
		t.Errorf("answered by %d", m)
	}
	if _, ok := r.members()[peer4(70_000).String()]; ok {
		t.Error("a new pair pushed out who sends")
	}
}

func TestSteeringForgetsAfterTenMinutes(t *testing.T) {
	r := rig(t, 2)
	r.sent(answer(0))
	r.sent(answer(1))
	r.now = r.now.Add(bindingAge - 1)
	r.sent(answer(1))
	if n := len(Peers(r.now, r.e)); n != 2 {
		t.Errorf("%d peers", n)
	}
	r.now = r.now.Add(1)
	if n := len(Peers(r.now, r.e)); n != 1 {
		t.Errorf("%d peers are shown", n)
	}
	r.hear(&spread.RxBytes{})
	if n := r.e.b.table.len(); n != 1 {
		t.Errorf("%d pairs are kept", n)
	}
	consistent(t, &r.e.b)
}

func TestSteeringLearnsAThousandASecond(t *testing.T) {
	r := rig(t, 2)
	n := 0
	for i := range 3000 {
		r.sent(answer(i))
		if k := r.e.b.table.len(); k != n {
			n = k
		}
		if i%3 == 0 {
			r.now = r.now.Add(time.Millisecond) // 1 s in all
		}
	}
	if n < 900 || n > 1001 {
		t.Errorf("%d learnt in a second", n)
	}
}

// A million senders that do not exist take no memory, and who sends stays where it is.
func TestSteeringAMillionForgedSenders(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	r := rig(t, 4)
	for i := range 8 {
		r.sent(answer(i))
	}
	var h spread.RxBytes
	r.hear(&h, mega, mega, mega, mega, mega, mega, mega, mega)
	r.hear(&h, mega, mega, mega, mega, mega, mega, mega, mega)
	was := r.members()
	r.fill(1000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	b, template := make([]byte, 60), answer(0)
	start := time.Now()
	for i := range n {
		copy(b, template)
		peerMAC(1000+i).Put(b, 0)
		peerMAC(1000+i).Put(b, 32)
		b[39], b[40], b[41] = byte(i>>16), byte(i>>8), byte(i)
		r.e.Handle(r.now, Received{Member: -1, Frame: b})
		r.now = r.now.Add(20 * time.Microsecond)
	}
	took := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	consistent(t, &r.e.b)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
		t.Errorf("memory grew by %d", grown)
	}
	now := r.members()
	for a, m := range was {
		if got, ok := now[a]; !ok || got != m {
			t.Errorf("%s went from %d to %d, known: %v", a, m, got, ok)
		}
	}
	t.Logf("%v a frame, %d KiB in all", took/time.Duration(n), after.HeapAlloc>>10)
}

// Questions of ours are remembered within bounds, too.
func TestSteeringScansANetwork(t *testing.T) {
	r := rig(t, 2)
	for i := range 100_000 {
		r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(i%5000)))
		r.now = r.now.Add(10 * time.Microsecond)
		if p := &r.e.b.requests; p.at.Len() > maxRequests || len(p.index) != p.at.Len() {
			t.Fatalf("%d requests, %d indexed", p.at.Len(), len(p.index))
		}
	}
	r.handle(Received{Frame: frametest.ARP(peerMAC(1), frametest.Reply, member(0).MAC, peer4(4999), ours4)})
	if len(Peers(r.now, r.e)) != 1 {
		t.Error("the last question was forgotten")
	}
}

// At most a thousand are notified in any second, and all are in the end.
func TestSteeringTellsAThousandASecond(t *testing.T) {
	r := rig(t, 2)
	r.fill(0)
	var at []telling
	for _, s := range r.change(func(m []Member) { m[0].Usable = false }) {
		at = append(at, telling{r.now.Sub(t0), s.Member, frame.MACAt(s.Frame, 0)})
	}
	r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(99_999)))
	at = append(at, r.wait(time.Minute)...)
	last := map[frame.MAC]time.Duration{}
	for i, s := range at {
		if i >= 1000 && s.At-at[i-1000].At < time.Second {
			t.Fatalf("more than 1000 in the second before %v", s.At)
		}
		if was, ok := last[s.Peer]; ok && s.At-was < time.Second {
			t.Fatalf("%v was told at %v and %v", s.Peer, was, s.At)
		}
		last[s.Peer] = s.At
	}
	if len(last) != maxBindings/2 {
		t.Errorf("%d were told", len(last))
	}
	if end := at[len(at)-1].At - at[0].At; end > 8*time.Second {
		t.Errorf("it took %v", end)
	}
	for _, m := range r.members() {
		if m != 1 {
			t.Fatal("somebody is at a dead member")
		}
	}
}

func BenchmarkSteeringSent(b *testing.B) {
	for _, c := range []struct {
		name   string
		pairs  int
		forged bool
	}{{"few", 8, false}, {"full", maxBindings, false}, {"forged", maxBindings, true}} {
		b.Run(c.name, func(b *testing.B) {
			r := rig(b, 4)
			for i := range c.pairs {
				r.sent(answer(i))
				r.now = r.now.Add(2 * time.Millisecond)
			}
			f, template := make([]byte, 60), answer(0)
			i := 0
			for b.Loop() {
				copy(f, template)
				who := i % c.pairs
				if c.forged {
					who = 10_000 + i
				}
				peerMAC(who).Put(f, 0)
				peerMAC(who).Put(f, 32)
				copy(f[38:], peer4(who).AsSlice())
				r.now = r.now.Add(time.Millisecond)
				r.e.Handle(r.now, Received{Member: -1, Frame: f})
				i++
			}
		})
	}
}
