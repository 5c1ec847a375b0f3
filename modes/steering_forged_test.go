package modes

import (
	"net/netip"
	"testing"
	"time"

	"nicteam/internal/frame"

	"github.com/google/go-cmp/cmp"
)

// neighbourForgeries are what somebody may say in others' names, or in ours.
func neighbourForgeries() map[string][]byte {
	const evil frame.MAC = 0x02dd00000001
	own := member(1).MAC
	from := func(src, sender frame.MAC, op byte, dst frame.MAC, ip, to netip.Addr) []byte {
		b := arpFrom(src, op, dst, ip, to)
		sender.Put(b, 22)
		return b
	}
	return map[string][]byte{
		"our address is elsewhere, gratuitous request": from(evil, evil, request, frame.Broadcast, ours4, ours4),
		"our address is elsewhere, gratuitous reply":   from(evil, evil, reply, frame.Broadcast, ours4, ours4),
		"our address is elsewhere, to us":              from(evil, evil, reply, own, ours4, ours4),
		"a peer is elsewhere, unasked":                 from(evil, evil, reply, own, peer4(1), ours4),
		"a peer is elsewhere, it asks":                 from(evil, evil, request, frame.Broadcast, peer4(1), ours4),
		"a peer is at the adapter":                     from(evil, adapterMAC, reply, own, peer4(1), ours4),
		"a peer is at a member":                        from(evil, own, reply, own, peer4(1), ours4),
		"one asked for is at the adapter":              from(adapterMAC, adapterMAC, reply, own, peer4(9), ours4),
		"one asked for is at a member":                 from(own, own, reply, own, peer4(9), ours4),
		"one asked for is everybody":                   from(frame.Broadcast, frame.Broadcast, reply, own, peer4(9), ours4),
		"one asked for is a group":                     from(0x01005e000001, 0x01005e000001, reply, own, peer4(9), ours4),
		"one asked for is nobody":                      from(0, 0, reply, own, peer4(9), ours4),
		"one asked for is somebody else's frame":       from(evil, evil+1, reply, own, peer4(9), ours4),
		"a member is elsewhere":                        from(own, own, request, frame.Broadcast, peer4(2), peer4(3)),
		"our address is elsewhere, NA":                 frame.UnsolicitedNA(evil, ours6, false, 0),
		"our address is a router's elsewhere, NA":      frame.UnsolicitedNA(evil, ours6, true, 0),
		"our address is elsewhere, NA to us":           frame.UnicastNA(evil, ours6, false, own, ours6, 0),
		"a peer is elsewhere, NA":                      frame.UnicastNA(evil, peer6(1), false, own, ours6, 0),
		"a peer asks from elsewhere, NS":               frame.UnicastNS(evil, peer6(1), own, ours6, 0),
	}
}

// forgedTo is a team of three whose adapter talks to eight peers by each family and asks for a ninth.
func forgedTo(t testing.TB) *rigging {
	r := rig(t, 3)
	for i := range 8 {
		r.sent(answer(i))
		r.sent(frame.UnicastNA(adapterMAC, ours6, false, peerMAC(i), peer6(i), 0))
	}
	r.sent(arp(request, frame.Broadcast, ours4, peer4(9)))
	r.wait(2 * time.Second)
	r.sent(arp(request, frame.Broadcast, ours4, peer4(9))) // which is not repaired for by now
	return r
}

// costs fails if a frame that came by a member has cost anything, and returns what peers are told in the next seconds.
func (r *rigging) costs(b []byte, id int) []telling {
	r.t.Helper()
	plan, before := r.e.Plan(), r.members()
	eff := r.e.Handle(r.now, Received{Member: id, Frame: b})
	if len(eff.Send) > 0 || eff.Tell != 0 || eff.Active || r.e.Plan() != plan {
		r.t.Errorf("it has us do %+v", eff)
	}
	told := r.wait(10 * time.Second)
	after := r.members()
	delete(after, peer4(9).String())
	if d := cmp.Diff(before, after); d != "" {
		r.t.Errorf("peers moved (-was +is):\n%s", d)
	}
	if r.e.Plan() != plan {
		r.t.Errorf("the Plan is another one: %+v", r.e.Plan())
	}
	return told
}

// No frame from outside, whatever it says and in whose name, changes who carries what, or has us send anything.
func TestForgedNeighboursCostNothing(t *testing.T) {
	for name, b := range neighbourForgeries() {
		t.Run(name, func(t *testing.T) {
			for id := range 3 {
				told := forgedTo(t).costs(b, id)
				if d := cmp.Diff(forgedTo(t).wait(10*time.Second), told); d != "" {
					t.Errorf("peers are told (-without +with):\n%s", d)
				}
			}
		})
	}
}

// FuzzForgedNeighbour: the same for any frame, but that an answer to what was asked makes one more peer, who is told its
// member's MAC.
func FuzzForgedNeighbour(f *testing.F) {
	for _, b := range neighbourForgeries() {
		f.Add(b, byte(0))
	}
	f.Add(arpFrom(peerMAC(9), reply, adapterMAC, peer4(9), ours4), byte(1))
	f.Fuzz(func(t *testing.T, b []byte, id byte) {
		r := forgedTo(t)
		without := len(forgedTo(t).wait(10 * time.Second))
		told := r.costs(b, int(id%3))
		if len(told) > without+2 {
			t.Errorf("%d peers are told, %d without that frame", len(told), without)
		}
		for _, p := range told {
			if p.Peer == 0 || p.Peer.Multicast() || p.Peer == adapterMAC || p.Peer == member(p.Member).MAC {
				t.Errorf("%v is told", p.Peer)
			}
		}
	})
}
