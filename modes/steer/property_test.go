// SPDX-License-Identifier: MIT

package steer

import (
	"bytes"
	"container/list"
	"fmt"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

type failer interface {
	Helper()
	Fatalf(string, ...any)
}

// consistent checks that all parts of a Balancer agree about the bindings.
func consistent(t failer, s *Balancer) {
	t.Helper()
	tab := &s.table
	used, names, macs := 0, 0, 0
	var count [spread.MaxMembers]int
	for b := range tab.all() {
		used++
		count[b.member]++
		names += len(b.names)
		for _, a := range b.names {
			if tab.find(b.addressKey, a, 0) != b {
				t.Fatalf("the binding of %v is not found", a)
			}
		}
		if tab.macs[macKey{b.addressKey, b.mac}] == b {
			macs++
		}
		if _, ok := b.bindings[b]; !ok || tab.addresses[b.addressKey] != b.address {
			t.Fatalf("the binding of %v is not its address's", b.names)
		}
	}
	if used != tab.len() || used > maxBindings || names != len(tab.names) || macs > used || macs < len(tab.macs) {
		t.Fatalf("%d bindings of %d, %d names of %d, %d MACs of %d", used, tab.len(), names, len(tab.names),
			macs, len(tab.macs))
	}
	ofAddresses, listed := 0, 0
	for _, a := range tab.addresses {
		if len(a.bindings) == 0 {
			t.Fatalf("%v has no binding", a.ours)
		}
		ofAddresses += len(a.bindings)
	}
	for _, lru := range []*list.List{&tab.idle, &tab.busy} {
		for e := lru.Front(); e != nil; e = e.Next() {
			b := e.Value.(*binding)
			if listed++; b.recent != e || b.busy != (lru == &tab.busy) {
				t.Fatalf("the binding of %v is in the wrong list", b.names)
			}
			if next := e.Next(); next != nil && b.seen.Before(next.Value.(*binding).seen) && !b.busy {
				t.Fatalf("the binding of %v is out of order", b.names)
			}
		}
	}
	if ofAddresses != used || listed != used {
		t.Fatalf("%d bindings, %d of addresses, %d listed", used, ofAddresses, listed)
	}
	if count != s.load.bindings {
		t.Fatalf("members have %v bindings, not %v", count, s.load.bindings)
	}
	for i, task := range s.schedule {
		gone := task.binding == nil && tab.addresses[task.address.addressKey] != task.address
		if b := task.binding; b != nil {
			_, ok := b.bindings[b]
			gone = !ok
		}
		if gone || task.place != i+1 {
			t.Fatalf("task %d is at %d, gone: %v", task.seq, task.place, gone)
		}
	}
}

// drawEvent draws something that can happen; it returns what makes the event, as frames are changed by who takes them.
func drawEvent(t *rapid.T, st *State, h *spread.RxBytes) func() any {
	frameOf := func(b []byte, m int) func() any {
		return func() any { return Received{Member: m, Frame: bytes.Clone(b)} }
	}
	i, k := rapid.IntRange(0, 5).Draw(t, "peer"), rapid.IntRange(0, 5).Draw(t, "MAC")
	if rapid.IntRange(0, 3).Draw(t, "honest") > 0 {
		k = i
	}
	switch rapid.IntRange(0, 9).Draw(t, "what") {
	case 0:
		return frameOf(arp(frametest.Request, frame.Broadcast, ours4, peer4(i)), -1)
	case 1:
		return frameOf(frametest.ND(adapterMAC, group6, frametest.Solicitation, ours6, solicited, peer6(i), 0,
			adapterMAC), -1)
	case 2:
		return frameOf(frametest.ARP(peerMAC(k), frametest.Reply, member(0).MAC, peer4(i), ours4), 0)
	case 3:
		return frameOf(frametest.ND(peerMAC(k), member(0).MAC, frametest.Advertisement, peer6(i), ours6, peer6(i), 0x60,
			peerMAC(k)), 0)
	case 4, 5:
		return frameOf(arp(frametest.Reply, peerMAC(k), ours4, peer4(i)), -1)
	case 6:
		return frameOf(frametest.ND(adapterMAC, peerMAC(k), frametest.Advertisement, ours6, peer6(i), ours6,
			0x60, adapterMAC), -1)
	case 7:
		m := rapid.IntRange(0, len(st.Members)-1).Draw(t, "member")
		up := rapid.IntRange(0, 2).Draw(t, "usable") > 0
		*st = change(*st, func(ms []Member) { ms[m].Usable = up })
		st.Settings.ReceiveBalance = rapid.IntRange(0, 4).Draw(t, "on") > 0
		now := *st
		return func() any { return now }
	case 8:
		h[spread.RxClassOf(peerMAC(i), ours4.AsSlice())] += uint64(rapid.IntRange(0, 1e8).Draw(t, "bytes"))
		now := *h
		return func() any { return Measured{RxBytes: &now} }
	default:
		return func() any { return Announced{} }
	}
}

// Whatever happens: steering stays sound, does the same each time, has nothing to do before its deadline and
// always something at it, and never sends by a member that may not, or from a MAC that is not its member's.
func TestSteeringStaysSound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := state(3)
		st.Settings.ReceiveBalance, st.Settings.Rebalance = true, time.Second
		a, b := newMode(), newMode()
		var h spread.RxBytes
		now := t0
		handle := func(make func() any) []spread.Send {
			sends := a.Handle(now, make())
			if d := cmp.Diff(sends, b.Handle(now, make())); d != "" {
				t.Fatalf("not the same twice:\n%s", d)
			}
			consistent(t, &a.b)
			for _, s := range sends {
				if !a.plan.Distributing.Has(s.Member) {
					t.Fatalf("sent by member %d", s.Member)
				}
				var n frame.Neighbour
				if frame.ParseNeighbour(s.Frame, &n) && n.Src != member(s.Member).MAC {
					t.Fatalf("sent by member %d from %v", s.Member, n.Src)
				}
			}
			return sends
		}
		first := st
		handle(func() any { return first })
		tick := func() any { return Tick{} }
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			end := now.Add(time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond)
			for n := 0; ; n++ {
				at := a.Deadline()
				if at.IsZero() || at.After(end) {
					break
				}
				if n > 1000 {
					t.Fatalf("the deadline does not move on from %v", at.Sub(t0))
				}
				if early := at.Add(-1); early.After(now) {
					now = early
					if s := handle(tick); s != nil {
						t.Fatalf("sent %v before the deadline", s)
					}
				}
				if at.After(now) {
					now = at
				}
				before := a.Deadline()
				handle(tick)
				if d := a.Deadline(); d.Equal(before) {
					t.Fatalf("nothing was done at %v", d.Sub(t0))
				}
			}
			now = end
			handle(drawEvent(t, &st, &h))
		}
	})
}

// Forged ARP and ND for one peer move no other one: whoever is not named keeps member and MAC.
func TestSteeringForgersMoveNobodyElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		st := state(4)
		st.Settings.ReceiveBalance, st.Settings.Rebalance = true, time.Second
		e := newMode()
		now := t0
		e.Handle(now, st)
		send := func(b []byte) { e.Handle(now, Received{Member: -1, Frame: b}) }
		const honest = 6
		for i := range honest {
			send(answer(i))
			send(advertise(i))
		}
		who := func() map[string]string {
			out := map[string]string{}
			for _, p := range Peers(now, e) {
				out[p.Address.String()] = fmt.Sprint(p.Member, p.MAC)
			}
			return out
		}
		victim := rapid.IntRange(0, honest-1).Draw(t, "victim")
		was := who()
		for range rapid.IntRange(1, 50).Draw(t, "forged") {
			now = now.Add(time.Duration(rapid.IntRange(0, 500).Draw(t, "ms")) * time.Millisecond)
			mac := peerMAC(rapid.IntRange(0, 2*honest).Draw(t, "MAC"))
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0: // our stack answers whom the forger makes it believe to ask
				send(arp(frametest.Reply, mac, ours4, peer4(victim)))
			case 1:
				send(frametest.ND(adapterMAC, mac, frametest.Advertisement, ours6, peer6(victim), ours6, 0x60,
					adapterMAC))
			case 2: // the forger answers our question
				send(arp(frametest.Request, frame.Broadcast, ours4, peer4(victim)))
				e.Handle(now, Received{Member: 0, Frame: frametest.ARP(mac, frametest.Reply, member(0).MAC,
					peer4(victim), ours4)})
			case 3: // the forger says so by itself
				e.Handle(now, Received{Member: 0, Frame: frametest.ARP(mac, frametest.Reply, member(0).MAC,
					peer4(victim), ours4)})
			case 4:
				e.Handle(now, Tick{})
			}
		}
		consistent(t, &e.b)
		for a, m := range who() {
			if a == peer4(victim).String() || a == peer6(victim).String() {
				m = m[:1] // its MAC is what the forger says, for us as for the kernel
				was[a] = was[a][:1]
			}
			if m != was[a] {
				t.Fatalf("%s went from %s to %s", a, was[a], m)
			}
		}
		// The victim gets the answers that it got before.
		was = who()
		send(answer(victim))
		if got := who()[peer4(victim).String()]; got[:1] != was[peer4(victim).String()][:1] {
			t.Fatalf("the victim was moved")
		}
	})
}
