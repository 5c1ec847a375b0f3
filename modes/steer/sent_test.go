// SPDX-License-Identifier: MIT

package steer

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"

	"github.com/google/go-cmp/cmp"
)

// advertise is what the adapter says when peer i solicited it.
func advertise(i int) []byte {
	return frametest.ND(adapterMAC, peerMAC(i), frametest.Advertisement, ours6, peer6(i), ours6, 0x60, adapterMAC)
}

func tagged(b []byte, tag ...byte) []byte {
	return append(append(bytes.Clone(b[:12]), tag...), b[12:]...)
}

const group6 frame.MAC = 0x3333ff000002

var (
	none4     = netip.IPv4Unspecified()
	none6     = netip.IPv6Unspecified()
	solicited = netip.MustParseAddr("ff02::1:ff00:2")
	everyone  = netip.MustParseAddr("ff02::1")
	vm        = frame.MAC(0x0200000000bb)
	stranger  = frame.MAC(0x0200000000cc)
)

// What our own stack sends: by whom it leaves, and what is learnt from it. Peer 1 and 2 are known before; 2 is
// member 1's, 3 will be member 2's.
func TestSteeringSends(t *testing.T) {
	for _, c := range []struct {
		name   string
		in     []byte
		by     int
		learnt int  // peers known afterwards
		asks   int  // told later on
		same   bool // leaves as it is
	}{
		{"request to all", arp(frametest.Request, frame.Broadcast, ours4, peer4(9)), 0, 2, 2, false},
		{"probe for an address", arp(frametest.Request, frame.Broadcast, none4, ours4), 0, 2, 0, false},
		{"gratuitous request", arp(frametest.Request, frame.Broadcast, ours4, ours4), 0, 2, 2, false},
		{"gratuitous reply", arp(frametest.Reply, frame.Broadcast, ours4, ours4), 0, 2, 2, false},
		{"request to all for another address of ours", arp(frametest.Request, frame.Broadcast, peer4(77), peer4(9)),
			0, 2, 0, false},
		{"reply to a known peer", answer(2), 1, 2, 0, false},
		{"reply to a new peer", answer(3), 2, 3, 0, false},
		{"request to a known peer", arp(frametest.Request, peerMAC(2), ours4, peer4(2)), 1, 2, 0, false},
		{"request to a new peer", arp(frametest.Request, peerMAC(3), ours4, peer4(3)), 2, 3, 0, false},
		{"reply to a known peer in a VLAN", tagged(answer(2), 0x81, 0, 0, 7), 2, 3, 0, false},
		{"reply in two VLANs", tagged(answer(3), 0x88, 0xa8, 0, 7, 0x81, 0, 0, 8), 0, 2, 0, false},
		{"reply to who probes an address", arp(frametest.Reply, peerMAC(3), ours4, none4), 0, 2, 0, false},
		{"gratuitous reply to one new host", arp(frametest.Reply, peerMAC(3), ours4, ours4), 0, 2, 0, false},
		{"gratuitous reply to a known peer", arp(frametest.Reply, peerMAC(2), ours4, ours4), 1, 2, 0, false},
		{"reply on another's behalf", func() []byte { b := answer(3); stranger.Put(b, 22); return b }(), 0, 2,
			0, false},
		{"reply to a member of ours", arp(frametest.Reply, member(2).MAC, ours4, peer4(3)), 0, 2, 0, false},
		{"reply of a VM", frametest.ARP(vm, frametest.Reply, peerMAC(3), ours4, peer4(3)), -1, 2, 0, true},
		{"request of a VM to all", frametest.ARP(vm, frametest.Request, frame.Broadcast, ours4, peer4(3)), -1,
			2, 0, true},
		{"no ARP that we know", func() []byte { b := answer(2); b[21] = 9; return b }(), 0, 2, 0, false},
		{"solicitation", frametest.ND(adapterMAC, group6, frametest.Solicitation, ours6, solicited, peer6(2),
			0, adapterMAC), 0, 2, 0, false},
		{"probe for an IPv6 address", frametest.ND(adapterMAC, group6, frametest.Solicitation, none6, solicited,
			peer6(2), 0, 0), 0, 2, 0, false},
		{"advertisement to a new peer", advertise(3), 2, 3, 0, false},
		{"advertisement to all", frametest.ND(adapterMAC, 0x333300000001, frametest.Advertisement, ours6, everyone,
			ours6, 0x20, adapterMAC), 0, 2, 0, false},
		{"advertisement to a new peer without option", frametest.ND(adapterMAC, peerMAC(3), frametest.Advertisement,
			ours6, peer6(3), ours6, 0x40, 0), 2, 3, 1, false},
		{"advertisement of another's MAC", frametest.ND(adapterMAC, peerMAC(3), frametest.Advertisement, ours6,
			peer6(3), ours6, 0x60, stranger), 0, 2, 0, false},
		{"solicitation of a new peer alone", frametest.ND(adapterMAC, peerMAC(3), frametest.Solicitation, ours6,
			peer6(3), peer6(3), 0, adapterMAC), 2, 3, 0, false},
		{"router solicitation", frametest.ND(adapterMAC, 0x333300000002, 133, ours6, netip.MustParseAddr("ff02::2"),
			none6, 0, adapterMAC), 0, 2, 0, false},
		{"router advertisement to one", frametest.ND(adapterMAC, peerMAC(3), 134, ours6, peer6(3), none6, 0,
			adapterMAC), 2, 3, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig(t, 3)
			r.sent(answer(1))
			r.sent(answer(2))
			if c.by < 0 {
				c.by = r.e.plan.Pin(vm)
			}
			was := bytes.Clone(c.in)
			got := r.sent(c.in)
			if len(got) != 1 || got[0].Member != c.by {
				t.Fatalf("got %v, want member %d", got, c.by)
			}
			b := got[0].Frame
			if bytes.Equal(b, was) != c.same {
				t.Errorf("%x became %x", was, b)
			}
			if mac := adapterMAC.HardwareAddr(); c.name != "no ARP that we know" && bytes.Contains(b, mac) {
				t.Errorf("%x still has the adapter's MAC", b)
			}
			if mac := member(c.by).MAC; !c.same && frame.MACAt(b, 6) != mac {
				t.Errorf("leaves from %v, want %v", frame.MACAt(b, 6), mac)
			}
			if got := len(Peers(r.now, r.e)); got != c.learnt {
				t.Errorf("%d peers, want %d", got, c.learnt)
			}
			told := map[frame.MAC]bool{}
			for _, s := range r.wait(10 * time.Second) {
				told[s.Peer] = true
				if s.Member == 0 {
					t.Errorf("%v is told what it knows", s.Peer)
				}
			}
			want := 0
			switch c.asks {
			case 1: // peer 3 alone
				if want = 1; !told[peerMAC(3)] {
					t.Error("peer 3 was not told")
				}
			case 2: // the known peer that is not the active member's
				if want = 1; !told[peerMAC(2)] {
					t.Error("peer 2 was not told")
				}
			}
			if len(told) != want {
				t.Errorf("told %v", told)
			}
		})
	}
}

func TestSteeringAnswersToUs(t *testing.T) {
	arpAnswer := func(from frame.MAC, sender, target netip.Addr) []byte {
		return frametest.ARP(from, frametest.Reply, member(0).MAC, sender, target)
	}
	ask4 := arp(frametest.Request, frame.Broadcast, ours4, peer4(1))
	ask6 := frametest.ND(adapterMAC, group6, frametest.Solicitation, ours6, solicited, peer6(1), 0, adapterMAC)
	na := func(flags byte, option frame.MAC) []byte {
		return frametest.ND(peerMAC(1), member(0).MAC, frametest.Advertisement, peer6(1), ours6, peer6(1), flags,
			option)
	}
	for _, c := range []struct {
		name   string
		ask    []byte // nil: nothing
		after  time.Duration
		answer []byte
		learnt bool
	}{
		{"reply", ask4, time.Millisecond, arpAnswer(peerMAC(1), peer4(1), ours4), true},
		{"reply late, but not too late", ask4, 3*time.Second - 1, arpAnswer(peerMAC(1), peer4(1), ours4), true},
		{"reply too late", ask4, 3 * time.Second, arpAnswer(peerMAC(1), peer4(1), ours4), false},
		{"reply that nobody asked for", nil, 0, arpAnswer(peerMAC(1), peer4(1), ours4), false},
		{"reply of another", ask4, 0, arpAnswer(peerMAC(1), peer4(2), ours4), false},
		{"reply to another address", ask4, 0, arpAnswer(peerMAC(1), peer4(1), peer4(5)), false},
		{"gratuitous", ask4, 0, arpAnswer(peerMAC(1), peer4(1), peer4(1)), false},
		{"reply in a VLAN", ask4, 0, tagged(arpAnswer(peerMAC(1), peer4(1), ours4), 0x81, 0, 0, 7), false},
		{"reply in the same VLAN", tagged(ask4, 0x81, 0, 0, 7),
			0, tagged(arpAnswer(peerMAC(1), peer4(1), ours4), 0x81, 0, 0, 7), true},
		{"reply from one of us", ask4, 0, arpAnswer(member(1).MAC, peer4(1), ours4), false},
		{"reply on another's behalf", ask4, 0, func() []byte {
			b := arpAnswer(peerMAC(1), peer4(1), ours4)
			stranger.Put(b, 22)
			return b
		}(), false},
		{"request", ask4, 0, frametest.ARP(peerMAC(1), frametest.Request, member(0).MAC, peer4(1), ours4), false},
		{"advertisement", ask6, 0, na(0x60, peerMAC(1)), true},
		{"advertisement without option", ask6, 0, na(0x40, 0), true},
		{"advertisement that says it is unsolicited", ask6, 0, na(0x20, peerMAC(1)), false},
		{"advertisement that nobody asked for", nil, 0, na(0x60, peerMAC(1)), false},
		{"advertisement of another's MAC", ask6, 0, na(0x60, stranger), false},
		{"rubbish", ask4, 0, []byte{1, 2, 3}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig(t, 2)
			r.sent(answer(7)) // the active member's, so that the next is another's
			if c.ask != nil {
				r.sent(bytes.Clone(c.ask))
			}
			told := r.wait(c.after)
			r.handle(Received{Member: 0, Frame: c.answer})
			// Only the first answer counts.
			if late := bytes.Clone(c.answer); c.learnt {
				stranger.Put(late, 6)
				if late[12] == 8 {
					stranger.Put(late, 22)
				} else if len(late) > 80 {
					stranger.Put(late, 80)
				}
				r.handle(Received{Member: 0, Frame: late})
			}
			told = append(told, r.wait(10*time.Second)...)
			if got := len(Peers(r.now, r.e)) == 2; got != c.learnt {
				t.Fatalf("learnt: %v", got)
			}
			if !c.learnt {
				if told != nil {
					t.Errorf("told %v", told)
				}
				return
			}
			for _, p := range Peers(r.now, r.e) {
				if p.MAC == stranger {
					t.Errorf("a second answer counts: %+v", p)
				}
			}
			at := max(50*time.Millisecond, c.after)
			want := []telling{{at, 1, peerMAC(1)}, {at + time.Second, 1, peerMAC(1)}}
			if d := cmp.Diff(want, told); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			// The answer is used up.
			r.handle(Received{Member: 0, Frame: c.answer})
			if told := r.wait(10 * time.Second); told != nil {
				t.Errorf("a second answer has us tell %v", told)
			}
		})
	}
}

// An advertisement that denies being a router takes a route away, so none is sent before we know.
func TestSteeringTellsTheTruthAboutRouters(t *testing.T) {
	told := func(r *rigging) frame.Neighbour {
		var n frame.Neighbour
		r.now = r.e.Deadline()
		s := r.handle(Tick{})
		if by(t, s) != 1 || !frame.ParseNeighbour(s[0].Frame, &n) || n.Dst != peerMAC(1) || n.To != peer6(1) ||
			n.From != ours6 {
			t.Fatalf("told %v, %+v", s, n)
		}
		return n
	}
	learn := func(flags byte) *rigging {
		r := rig(t, 2)
		if flags != 0 {
			r.sent(frametest.ND(adapterMAC, peerMAC(7), frametest.Advertisement, ours6, peer6(7), ours6, flags,
				adapterMAC))
		} else {
			r.sent(frametest.ND(adapterMAC, peerMAC(7), frametest.Solicitation, ours6, peer6(7), peer6(7), 0,
				adapterMAC))
		}
		r.sent(frametest.ND(adapterMAC, group6, frametest.Solicitation, ours6, solicited, peer6(1), 0, adapterMAC))
		r.handle(Received{Frame: frametest.ND(peerMAC(1), member(0).MAC, frametest.Advertisement, peer6(1), ours6,
			peer6(1), 0x60, peerMAC(1))})
		return r
	}
	if n := told(learn(0)); n.Op != frame.NeighbourSolicitation || n.Sender != member(1).MAC || n.About != peer6(1) {
		t.Errorf("told by %+v before anything is known", n)
	}
	if n := told(learn(0x60)); n.Op != frame.NeighbourAdvertisement || n.Router || n.Solicited || !n.Override ||
		n.About != ours6 {
		t.Errorf("a host tells %+v", n)
	}
	if n := told(learn(0xe0)); n.Op != frame.NeighbourAdvertisement || !n.Router {
		t.Errorf("a router tells %+v", n)
	}
	// It began to forward since it last told where it is.
	r := learn(0x60)
	r.sent(frametest.ND(adapterMAC, 0x333300000001, 134, ours6, netip.MustParseAddr("ff02::1"), netip.IPv6Unspecified(),
		0, adapterMAC))
	if n := told(r); n.Op != frame.NeighbourAdvertisement || !n.Router {
		t.Errorf("who has become a router tells %+v", n)
	}
}

// A host is one cache entry, whatever addresses of its own it asks from, and whatever MAC it has.
func TestSteeringKnowsHosts(t *testing.T) {
	r := rig(t, 4)
	local := netip.MustParseAddr("fe80::2")
	to := func(mac frame.MAC, peer netip.Addr) int {
		return by(t, r.sent(frametest.ND(adapterMAC, mac, frametest.Advertisement, ours6, peer, ours6, 0x60,
			adapterMAC)))
	}
	by(t, r.sent(advertise(1)))
	m := by(t, r.sent(advertise(2)))
	for _, c := range []struct {
		name string
		mac  frame.MAC
		peer netip.Addr
	}{
		{"its link-local address", peerMAC(2), local},
		{"another MAC", peerMAC(200), local},
		{"that MAC and the first address", peerMAC(200), peer6(2)},
		{"a third MAC", peerMAC(201), peer6(2)},
	} {
		if got := to(c.mac, c.peer); got != m {
			t.Errorf("%s: answered by %d, before by %d", c.name, got, m)
		}
	}
	to(peerMAC(201), local)
	peers := Peers(r.now, r.e)
	if len(peers) != 2 || peers[1].Address != peer6(2) || peers[1].MAC != peerMAC(201) {
		t.Errorf("%+v", peers)
	}
	for i := range 100 {
		if got := to(peerMAC(201), peer6(1000+i)); got != m {
			t.Errorf("address %d: answered by %d, before by %d", i, got, m)
		}
	}
	if n := len(r.e.b.table.names); n > 1+maxNames {
		t.Errorf("%d addresses are remembered", n)
	}
	consistent(t, &r.e.b)
}

// A host that claims another's MAC, or address, does not become that host.
func TestSteeringDoesNotMixUpHosts(t *testing.T) {
	r := rig(t, 4)
	var was [3]int
	for i := range was {
		was[i] = by(t, r.sent(answer(i)))
	}
	r.sent(arp(frametest.Reply, peerMAC(1), ours4, peer4(2))) // who is at 1 says that it is 2
	if m := by(t, r.sent(arp(frametest.Reply, peerMAC(1), ours4, peer4(50)))); m != was[1] {
		t.Errorf("who was answered by %d is answered by %d", was[1], m)
	}
	if m := by(t, r.sent(answer(2))); m != was[2] {
		t.Errorf("who was answered by %d is answered by %d", was[2], m)
	}
	consistent(t, &r.e.b)
	// Whose MAC it was is nobody's.
	r.sent(arp(frametest.Reply, peerMAC(60), ours4, peer4(0)))
	if m := by(t, r.sent(arp(frametest.Reply, peerMAC(0), ours4, peer4(61)))); m == was[0] {
		t.Error("a host is taken for another that had its MAC")
	}
}

func TestSteeringSendsNothingWithoutMembers(t *testing.T) {
	r := rig(t, 2)
	r.sent(answer(1))
	r.sent(answer(2))
	r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(9)))
	r.change(func(m []Member) { m[0].Usable, m[1].Usable = false, false })
	if got := r.sent(answer(3)); got != nil {
		t.Errorf("sent %v", got)
	}
	if told := r.wait(time.Minute); told != nil {
		t.Errorf("told %v", told)
	}
	r.sent([]byte{1, 2, 3})
}
