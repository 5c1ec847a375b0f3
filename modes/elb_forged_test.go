// SPDX-License-Identifier: MIT

package modes

import (
	"net/netip"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"

	"github.com/google/go-cmp/cmp"
)

var (
	ours4 = netip.MustParseAddr("10.9.0.1")
	ours6 = netip.MustParseAddr("fd09::1")
)

func peerMAC(i int) frame.MAC { return 0x020000aa0000 + frame.MAC(i) }
func peer4(i int) netip.Addr  { return netip.AddrFrom4([4]byte{10, 9, 1, byte(i)}) }
func peer6(i int) netip.Addr  { return netip.AddrFrom16([16]byte{0xfd, 9, 11: 1, 15: byte(i)}) }

// A rigging is elb that steers peers.
type rigging struct {
	t   testing.TB
	now time.Time
	e   *elb
}

// rig returns elb with n equal members, the first of them active, and receive_balance on.
func rig(t testing.TB, n int) *rigging {
	st := state(ELB, n)
	st.Settings.ReceiveBalance, st.Settings.Rebalance = true, time.Second
	r := &rigging{t: t, now: t0, e: newELB()}
	r.e.Handle(t0, st)
	return r
}

func (r *rigging) sent(b []byte) { r.e.Handle(r.now, Received{Member: -1, Frame: b}) }

// answer returns what the adapter says when peer i asked.
func answer(i int) []byte {
	return frametest.ARP(adapterMAC, frametest.Reply, peerMAC(i), ours4, peer4(i))
}

type telling struct {
	At     time.Duration
	Member int
	Peer   frame.MAC
}

// wait lets time go by, and returns the ARP and ND frames that are sent meanwhile.
func (r *rigging) wait(d time.Duration) (told []telling) {
	end := r.now.Add(d)
	for at := r.e.Deadline(); !at.IsZero() && !at.After(end); at = r.e.Deadline() {
		if at.After(r.now) {
			r.now = at
		}
		for _, s := range r.e.Handle(r.now, Tick{}).Send {
			if s.Frame[12] != 0x80 || s.Frame[13] != 0x35 { // no learning frame
				told = append(told, telling{r.now.Sub(t0), s.Member, frame.MACAt(s.Frame, 0)})
			}
		}
	}
	r.now = end
	return told
}

func (r *rigging) members() map[string]int {
	out := map[string]int{}
	for _, p := range Peers(r.now, r.e) {
		out[p.Address.String()] = p.Member
	}
	return out
}

// neighbourForgeries are what somebody may say in others' names, or in ours.
func neighbourForgeries() map[string][]byte {
	const evil frame.MAC = 0x02dd00000001
	own := member(1).MAC
	from := func(src, sender frame.MAC, op byte, dst frame.MAC, ip, to netip.Addr) []byte {
		b := frametest.ARP(src, op, dst, ip, to)
		sender.Put(b, 22)
		return b
	}
	return map[string][]byte{
		"our address is elsewhere, gratuitous request": from(evil, evil, frametest.Request, frame.Broadcast,
			ours4, ours4),
		"our address is elsewhere, gratuitous reply": from(evil, evil, frametest.Reply, frame.Broadcast, ours4, ours4),
		"our address is elsewhere, to us":            from(evil, evil, frametest.Reply, own, ours4, ours4),
		"a peer is elsewhere, unasked":               from(evil, evil, frametest.Reply, own, peer4(1), ours4),
		"a peer is elsewhere, it asks": from(evil, evil, frametest.Request, frame.Broadcast, peer4(1),
			ours4),
		"a peer is at the adapter":        from(evil, adapterMAC, frametest.Reply, own, peer4(1), ours4),
		"a peer is at a member":           from(evil, own, frametest.Reply, own, peer4(1), ours4),
		"one asked for is at the adapter": from(adapterMAC, adapterMAC, frametest.Reply, own, peer4(9), ours4),
		"one asked for is at a member":    from(own, own, frametest.Reply, own, peer4(9), ours4),
		"one asked for is everybody": from(frame.Broadcast, frame.Broadcast, frametest.Reply, own,
			peer4(9), ours4),
		"one asked for is a group": from(0x01005e000001, 0x01005e000001, frametest.Reply, own,
			peer4(9), ours4),
		"one asked for is nobody":                from(0, 0, frametest.Reply, own, peer4(9), ours4),
		"one asked for is somebody else's frame": from(evil, evil+1, frametest.Reply, own, peer4(9), ours4),
		"a member is elsewhere": from(own, own, frametest.Request, frame.Broadcast, peer4(2),
			peer4(3)),
		"our address is elsewhere, NA":            frame.UnsolicitedNA(evil, ours6, false, 0),
		"our address is a router's elsewhere, NA": frame.UnsolicitedNA(evil, ours6, true, 0),
		"our address is elsewhere, NA to us":      frame.UnicastNA(evil, ours6, false, own, ours6, 0),
		"a peer is elsewhere, NA":                 frame.UnicastNA(evil, peer6(1), false, own, ours6, 0),
		"a peer asks from elsewhere, NS":          frame.UnicastNS(evil, peer6(1), own, ours6, 0),
	}
}

// forgedTo is a team of three whose adapter talks to eight peers by each family and asks for a ninth.
func forgedTo(t testing.TB) *rigging {
	r := rig(t, 3)
	for i := range 8 {
		r.sent(answer(i))
		r.sent(frame.UnicastNA(adapterMAC, ours6, false, peerMAC(i), peer6(i), 0))
	}
	r.sent(frametest.ARP(adapterMAC, frametest.Request, frame.Broadcast, ours4, peer4(9)))
	r.wait(2 * time.Second)
	// which is not repaired for by now
	r.sent(frametest.ARP(adapterMAC, frametest.Request, frame.Broadcast, ours4, peer4(9)))
	return r
}

// costs fails if a received frame changed anything, and returns the notifications of the next seconds.
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

// FuzzForgedNeighbour: the same for any frame, but that an answer to what was asked makes one more peer, who is told
// its member's MAC.
func FuzzForgedNeighbour(f *testing.F) {
	for _, b := range neighbourForgeries() {
		f.Add(b, byte(0))
	}
	f.Add(frametest.ARP(peerMAC(9), frametest.Reply, adapterMAC, peer4(9), ours4), byte(1))
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
