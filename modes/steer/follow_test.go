// SPDX-License-Identifier: MIT

package steer

import (
	"maps"
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"

	"github.com/google/go-cmp/cmp"
)

// told returns the member by which each peer is notified, and checks the MACs.
func told(t testing.TB, sends []spread.Send) map[frame.MAC]int {
	t.Helper()
	out := map[frame.MAC]int{}
	for i := range sends {
		out[frame.MACAt(sends[i].Frame, 0)] = by(t, sends[i:i+1])
	}
	return out
}

func TestSteeringMovesPairsOfTheDead(t *testing.T) {
	for name, change := range map[string]func(m *Member){
		"dead":    func(m *Member) { m.Usable = false },
		"leaving": func(m *Member) { m.Draining = true },
	} {
		t.Run(name, func(t *testing.T) {
			r := rig(t, 4)
			for i := range 12 {
				r.sent(answer(i))
			}
			was := r.members()
			got := told(t, r.change(func(m []Member) { change(&m[2]) }))
			if d := cmp.Diff([]int{4, 4, 0, 4}, r.counts()); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			for i := range 12 {
				a := peer4(i).String()
				by, ok := got[peerMAC(i)]
				if now := r.members()[a]; ok != (was[a] == 2) || was[a] != 2 && now != was[a] || ok && by != now {
					t.Errorf("peer %d was %d's, is %d's, told %v by %d", i, was[a], now, ok, by)
				}
			}
			// Once more, as an unasked answer can get lost; then silence.
			if n := len(r.wait(time.Minute)); n != 3 {
				t.Errorf("%d told later on", n)
			}

			before := r.members()
			back := told(t, r.change(func(m []Member) { m[2] = member(2) }))
			if d := cmp.Diff([]int{3, 3, 3, 3}, r.counts()); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
			if len(back) != 3 {
				t.Errorf("%d told, want the surplus", len(back))
			}
			for a, m := range r.members() {
				if m != before[a] && m != 2 {
					t.Errorf("%s went from %d to %d", a, before[a], m)
				}
			}
		})
	}
}

func TestSteeringWithOneMemberLeft(t *testing.T) {
	r := rig(t, 2)
	for i := range 4 {
		r.sent(answer(i))
	}
	r.change(func(m []Member) { m[0].Usable = false })
	if d := cmp.Diff([]int{0, 4}, r.counts()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	r.change(func(m []Member) { m[1].Usable = false })
	r.wait(time.Minute)
	r.change(func(m []Member) { m[0].Usable = true })
	if d := cmp.Diff([]int{4, 0}, r.counts()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if n := len(r.wait(time.Minute)); n != 4 {
		t.Errorf("%d told once more", n)
	}
}

func TestSteeringIgnoresWhoIsActive(t *testing.T) {
	r := rig(t, 3)
	for i := range 6 {
		r.sent(answer(i))
	}
	was := r.members()
	r.st.Settings.Active = "eth2"
	if got := r.handle(r.st); got != nil {
		t.Errorf("sent %v", got)
	}
	if d := cmp.Diff(was, r.members()); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if m := by(t, r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(99)))); m != 2 {
		t.Errorf("asked by %d", m)
	}
	// Now the first member's peers need a notification, and the third's do not.
	for _, s := range r.wait(time.Minute) {
		if s.Member == 2 {
			t.Errorf("told %v", s)
		}
	}
}

func TestSteeringTellsANewMAC(t *testing.T) {
	r := rig(t, 2)
	r.sent(answer(0))
	r.sent(answer(1))
	sends := r.change(func(m []Member) { m[1].MAC = stranger })
	if len(sends) != 1 || sends[0].Member != 1 || frame.MACAt(sends[0].Frame, 6) != stranger ||
		frame.MACAt(sends[0].Frame, 0) != peerMAC(1) {
		t.Errorf("got %v", sends)
	}
}

func TestSteeringWeighsRates(t *testing.T) {
	r := rig(t, 2)
	r.change(func(m []Member) { m[0].SpeedBps, m[1].SpeedBps = 1e8, 5e8 })
	for i := range 12 {
		r.sent(answer(i))
	}
	if d := cmp.Diff([]int{2, 10}, r.counts()); d != "" {
		t.Errorf("by speed: -want +got\n%s", d)
	}

	r = rig(t, 3)
	r.change(func(m []Member) { m[0].Weight = 4; m[1].Weight = 2 })
	for i := range 14 {
		r.sent(answer(i))
	}
	if d := cmp.Diff([]int{8, 4, 2}, r.counts()); d != "" {
		t.Errorf("by weight: -want +got\n%s", d)
	}
}

func TestSteeringSwitchedOffAndOn(t *testing.T) {
	r := rig(t, 3)
	for i := range 6 {
		r.sent(answer(i))
	}
	r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(99)))
	r.st.Settings.ReceiveBalance = false
	got := told(t, r.handle(r.st))
	want := map[frame.MAC]int{peerMAC(1): 0, peerMAC(2): 0, peerMAC(4): 0, peerMAC(5): 0}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if later := r.wait(time.Minute); later != nil || len(Peers(r.now, r.e)) != 0 {
		t.Errorf("told %v, %d peers", later, len(Peers(r.now, r.e)))
	}
	for i := range 8 {
		if m := by(t, r.sent(answer(i))); m != 0 {
			t.Errorf("peer %d was answered by %d", i, m)
		}
	}
	if m := by(t, r.sent(frametest.ND(adapterMAC, peerMAC(3), frametest.Advertisement, ours6, peer6(3), ours6,
		0x40, adapterMAC))); m != 0 {
		t.Errorf("answered by %d", m)
	}
	r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(1)))
	r.handle(Received{Frame: frametest.ARP(peerMAC(1), frametest.Reply, member(0).MAC, peer4(1), ours4)})
	if told := r.wait(time.Minute); told != nil {
		t.Errorf("told %v", told)
	}
	consistent(t, &r.e.b)
	r.st.Settings.Active = "eth1"
	if got := append(r.handle(r.st), r.handle(r.st)...); got != nil {
		t.Errorf("told %v of another active member", got)
	}
	r.st.Settings.Active = "eth0"
	r.handle(r.st)

	// Whoever asked meanwhile need not ask again: hosts that talk all the time never do.
	r.st.Settings.ReceiveBalance = true
	if n := len(r.handle(r.st)); n != 6 {
		t.Errorf("%d told", n)
	}
	if d := cmp.Diff([]int{3, 3, 3}, r.counts()); d != "" {
		t.Errorf("on again: -want +got\n%s", d)
	}
}

// The active member dies while those it does not have are still being told of the one that was active.
func TestSteeringSwitchedOffWhileTheActiveDies(t *testing.T) {
	r := rig(t, 3)
	for i := range 3 {
		r.sent(answer(i))
	}
	r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(99)))
	r.wait(60 * time.Millisecond) // notified: the next notification has to wait a second
	r.st.Settings.ReceiveBalance = false
	r.handle(r.st)
	r.change(func(m []Member) { m[0].Usable = false })
	var macs []frame.MAC
	for _, s := range r.wait(time.Minute) {
		if s.Member != 1 {
			t.Errorf("told %v", s)
		}
		macs = append(macs, s.Peer)
	}
	slices.Sort(macs)
	if d := cmp.Diff([]frame.MAC{peerMAC(1), peerMAC(2)}, macs); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestSteeringRepairsAfterAnnouncements(t *testing.T) {
	r := rig(t, 2)
	r.sent(answer(0))
	r.sent(answer(1))
	r.sent(advertise(2))
	r.sent(advertise(3))
	r.handle(Announced{})
	at := map[frame.MAC]int{}
	for _, s := range r.wait(time.Minute) {
		at[s.Peer]++
	}
	want := map[frame.MAC]int{peerMAC(1): 2, peerMAC(3): 2}
	if d := cmp.Diff(want, at, cmp.Transformer("sorted", func(m map[frame.MAC]int) []frame.MAC {
		return slices.Sorted(maps.Keys(m))
	})); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

// Linux asks three times, a second apart, for a host that is not there. What each has done is repaired in 50 ms; one
// that asks without a rest does not have all told more often than five times a second.
func TestSteeringRepairsEveryBroadcast(t *testing.T) {
	for _, c := range []struct {
		every time.Duration
		asks  int
		want  []time.Duration
	}{
		{time.Second, 3, []time.Duration{50 * time.Millisecond, 1050 * time.Millisecond, 2050 * time.Millisecond,
			3050 * time.Millisecond}},
		{50 * time.Millisecond, 10, []time.Duration{50 * time.Millisecond, 250 * time.Millisecond,
			450 * time.Millisecond, 650 * time.Millisecond, 1650 * time.Millisecond}},
	} {
		r := rig(t, 2)
		r.sent(answer(0))
		r.sent(answer(1))
		var at []time.Duration
		for range c.asks {
			r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(99)))
			for _, s := range r.wait(c.every) {
				at = append(at, s.At)
			}
		}
		for _, s := range r.wait(time.Minute) {
			at = append(at, s.At)
		}
		if d := cmp.Diff(c.want, at); d != "" {
			t.Errorf("every %v, -want +got\n%s", c.every, d)
		}
	}
}

func TestSteeringRepairsAfterARest(t *testing.T) {
	r := rig(t, 2)
	r.sent(answer(0))
	r.sent(answer(1))
	r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(99)))
	r.wait(time.Minute)
	r.now = r.now.Add(time.Minute)
	r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(99)))
	if s := r.wait(time.Minute); len(s) != 2 {
		t.Errorf("after a rest: %v", s)
	}
}

// Whoever goes on asking does not put the repair off.
func TestSteeringRepairsMeanwhile(t *testing.T) {
	r := rig(t, 2)
	r.sent(answer(0))
	r.sent(answer(1))
	var at []telling
	for range 5 {
		r.sent(arp(frametest.Request, frame.Broadcast, ours4, peer4(99)))
		at = append(at, r.wait(40*time.Millisecond)...)
	}
	if d := cmp.Diff([]telling{{50 * time.Millisecond, 1, peerMAC(1)}}, at); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
}

func TestSteeringTellsInTheVLAN(t *testing.T) {
	r := rig(t, 2)
	tag := []byte{0x81, 0, 0x60, 7}
	r.sent(answer(0))
	r.sent(answer(1))
	r.sent(tagged(answer(2), tag...))
	r.sent(tagged(answer(3), tag...))
	r.sent(tagged(arp(frametest.Request, frame.Broadcast, ours4, peer4(99)), tag...))
	r.now = r.e.Deadline()
	s := r.handle(Tick{})
	if by(t, s) != 1 || frame.MACAt(s[0].Frame, 0) != peerMAC(3) || s[0].Frame[12] != 0x81 || s[0].Frame[15] != 7 {
		t.Errorf("told %x", s[0].Frame)
	}
}
