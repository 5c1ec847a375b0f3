// SPDX-License-Identifier: MIT

package steer

import (
	"net/netip"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
)

var (
	ours4 = netip.MustParseAddr("10.9.0.1")
	ours6 = netip.MustParseAddr("fd09::1")
)

// A rigging is a Balancer in a mode.
type rigging struct {
	t   testing.TB
	now time.Time
	st  State
	e   *mode
}

// rig returns a Balancer for n equal members, the first of them active, with receive_balance on.
func rig(t testing.TB, n int) *rigging {
	r := &rigging{t: t, now: t0, st: state(n), e: newMode()}
	r.st.Settings.ReceiveBalance, r.st.Settings.Rebalance = true, time.Second
	r.handle(r.st)
	return r
}

// handle hands over an event and returns the ARP and ND frames that come of it.
func (r *rigging) handle(ev any) []spread.Send {
	r.t.Helper()
	return r.e.Handle(r.now, ev)
}

func (r *rigging) change(f func(m []Member)) []spread.Send {
	r.st = change(r.st, f)
	return r.handle(r.st)
}

func (r *rigging) sent(b []byte) []spread.Send { return r.handle(Received{Member: -1, Frame: b}) }

// wait lets time go by, and returns what is sent meanwhile, each by when.
func (r *rigging) wait(d time.Duration) (told []telling) {
	end := r.now.Add(d)
	for n := 0; ; n++ {
		if n > 1_000_000 {
			r.t.Fatal("the deadline does not move on")
		}
		at := r.e.Deadline()
		if at.IsZero() || at.After(end) {
			break
		}
		if at.After(r.now) {
			r.now = at
		}
		for _, s := range r.handle(Tick{}) {
			told = append(told, telling{r.now.Sub(t0), s.Member, frame.MACAt(s.Frame, 0)})
		}
	}
	r.now = end
	return told
}

type telling struct {
	At     time.Duration
	Member int
	Peer   frame.MAC
}

func peerMAC(i int) frame.MAC { return 0x020000aa0000 + frame.MAC(i) }

func peer4(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, byte(1 + i>>8), byte(i)}) }

func peer6(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 9, 11: 1, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
}

// arp returns an ARP frame of the adapter.
func arp(op byte, dst frame.MAC, from, to netip.Addr) []byte {
	return frametest.ARP(adapterMAC, op, dst, from, to)
}

// answer is what the adapter says when peer i asked.
func answer(i int) []byte { return arp(frametest.Reply, peerMAC(i), ours4, peer4(i)) }

// by returns the member and checks that the frame gives its MAC everywhere, and the adapter's nowhere.
func by(t testing.TB, s []spread.Send) int {
	t.Helper()
	if len(s) != 1 {
		t.Fatalf("%d frames: %v", len(s), s)
	}
	var n frame.Neighbour
	if !frame.ParseNeighbour(s[0].Frame, &n) {
		t.Fatalf("not a neighbour's frame: %x", s[0].Frame)
	}
	if want := member(s[0].Member).MAC; n.Src != want || n.Sender != want && n.Target != want {
		t.Errorf("leaves by member %d from %v with %v, %v", s[0].Member, n.Src, n.Sender, n.Target)
	}
	return s[0].Member
}

func (r *rigging) members() map[string]int {
	out := map[string]int{}
	for _, p := range Peers(r.now, r.e) {
		out[p.Address.String()] = p.Member
	}
	return out
}

func (r *rigging) counts() []int {
	out := make([]int, len(r.st.Members))
	for _, p := range Peers(r.now, r.e) {
		out[p.Member]++
	}
	return out
}

func TestSteeringSpreadsFreshPeers(t *testing.T) {
	r := rig(t, 4)
	for i := range 8 {
		m := by(t, r.sent(answer(i)))
		if again := by(t, r.sent(answer(i))); again != m {
			t.Errorf("peer %d was answered by %d, then by %d", i, m, again)
		}
	}
	if d := cmp.Diff([]int{2, 2, 2, 2}, r.counts()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if told := r.wait(time.Minute); told != nil {
		t.Errorf("told without need: %v", told)
	}
}

func TestSteeringRepairsAfterOurBroadcast(t *testing.T) {
	r := rig(t, 4)
	for i := range 4 {
		r.sent(answer(i))
	}
	if m := by(t, r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(99)))); m != 0 {
		t.Errorf("asked by member %d", m)
	}
	ms := time.Millisecond
	want := []telling{}
	for _, at := range []time.Duration{50 * ms, 1050 * ms} {
		for i := 1; i < 4; i++ {
			want = append(want, telling{at, i, peerMAC(i)})
		}
	}
	if d := cmp.Diff(want, r.wait(time.Minute)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	for i := 1; i < 4; i++ {
		if p := Peers(r.now, r.e)[i]; p.Notifications != 2 || p.Member != i {
			t.Errorf("%+v", p)
		}
	}
}
