// SPDX-License-Identifier: MIT

package steer

import (
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
)

// TestSteeringForgetsAddressesThatLeft: no peer is notified of an address that this host no longer has, whatever
// was due; those who talk to others are.
func TestSteeringForgetsAddressesThatLeft(t *testing.T) {
	r := rig(t, 2)
	for i := range 4 {
		r.sent(answer(i))
	}
	if n := len(r.members()); n != 4 {
		t.Fatalf("%d peers", n)
	}
	r.handle(AddressLeft{IP: ours4.Next()})
	if n := len(r.members()); n != 4 {
		t.Fatalf("%d peers after another one left", n)
	}
	r.handle(AddressLeft{IP: ours4, VLAN: 7})
	if n := len(r.members()); n != 4 {
		t.Fatalf("%d peers after it left in a VLAN", n)
	}
	r.handle(AddressLeft{IP: ours4})
	if n := len(r.members()); n != 0 {
		t.Errorf("%d peers are left", n)
	}
	if told := r.change(func(m []Member) { m[0].Usable = false }); len(told) != 0 {
		t.Errorf("%d frames tell of it when a member dies", len(told))
	}
	if told := r.wait(time.Minute); len(told) != 0 {
		t.Errorf("%d frames tell of it later", len(told))
	}
	// An answer that was on its way makes nobody a peer.
	ask := func() { r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(1))) } // which is changed as it leaves
	late := frametest.ARP(peerMAC(1), frametest.Reply, adapterMAC, peer4(1), ours4)
	ask()
	r.handle(AddressLeft{IP: ours4})
	r.handle(Received{Member: 1, Frame: late})
	if n := len(r.members()); n != 0 {
		t.Errorf("%d peers by a late answer", n)
	}
	r.handle(AddressHeld{IP: ours4})
	ask()
	r.handle(Received{Member: 1, Frame: late})
	if n := len(r.members()); n != 1 {
		t.Errorf("%d peers by an answer that was asked for", n)
	}
	r.handle(AddressLeft{IP: ours4})
	// A frame from before, which has waited in the adapter's queue.
	r.sent(answer(3))
	if n := len(r.members()); n != 0 {
		t.Errorf("%d peers by a late frame of this host", n)
	}
	// It comes back.
	r.handle(AddressHeld{IP: ours4})
	r.sent(answer(2))
	if n := len(r.members()); n != 1 {
		t.Errorf("%d peers after it is back", n)
	}
	// Others whose address leaves for good are learnt by what this host still says for them, as a proxy does.
	r.handle(AddressLeft{IP: ours4})
	r.wait(leftTime)
	r.sent(answer(2))
	if n := len(r.members()); n != 1 {
		t.Errorf("%d peers of an address that this host speaks for and does not have", n)
	}
}

// TestClaimedAddressUnbinds: once another host claims an address, the team tells nobody of it by itself. Those who ask
// this host are bound as before, and peers of other addresses stay bound.
func TestClaimedAddressUnbinds(t *testing.T) {
	for _, c := range []struct {
		name  string
		claim AddressClaimed
		left  int
	}{
		{"another address", AddressClaimed{IP: ours4.Next()}, 4},
		{"in another VLAN", AddressClaimed{IP: ours4, VLAN: 7}, 4},
		{"this one", AddressClaimed{IP: ours4}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig(t, 2)
			for i := range 4 {
				r.sent(answer(i))
			}
			r.handle(c.claim)
			if n := len(r.members()); n != c.left {
				t.Fatalf("%d peers, want %d", n, c.left)
			}
			told := len(r.change(func(m []Member) { m[0].Usable = false })) + len(r.wait(time.Minute))
			if (told > 0) != (c.left > 0) {
				t.Errorf("%d frames tell peers of it", told)
			}
			r.sent(answer(1))
			if n := len(r.members()); n == 0 {
				t.Error("who asks is not bound")
			}
		})
	}
}

// What members still carry does not depend on the order in which the bindings of an address that left are removed.
func TestAddressLeavesInOrder(t *testing.T) {
	left := func() float64 {
		var s Balancer
		for i := range 32 {
			b := s.table.create(addressKey{ours: ours4}, t0)
			b.member, b.weight = 0, 1/float64(i+3)
			s.load.addBinding(b)
		}
		s.ForgetAddress(t0, 0, ours4)
		return s.load.bps[0]
	}
	want := left()
	for range 50 {
		if got := left(); got != want {
			t.Fatalf("%v is left, before %v", got, want)
		}
	}
}
