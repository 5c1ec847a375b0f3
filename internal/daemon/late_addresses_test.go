// SPDX-License-Identifier: MIT

package daemon

import (
	"net/netip"
	"testing"
	"time"

	"nicteam/internal/host"
)

var late = host.Arrival{NIC: "eth1", Address: netip.MustParsePrefix("10.9.0.7/24")}

// TestMovesAreDamped: the sixth move in a minute waits until the first is a minute ago. Moves of other addresses and
// NICs count separately.
func TestMovesAreDamped(t *testing.T) {
	var m moveLimiter
	now := time.Unix(1000, 0)
	for i := range 5 {
		if !m.allow(now.Add(time.Duration(i)*time.Second), late) {
			t.Fatalf("move %d is refused", i)
		}
	}
	now = now.Add(10 * time.Second)
	if m.allow(now, late) || len(m.damped) != 1 || !m.retryTime.Equal(time.Unix(1060, 0)) {
		t.Errorf("the sixth moves, held %v, again at %v", m.damped, m.retryTime)
	}
	other := late
	other.NIC = "eth2"
	if !m.allow(now, other) || !m.allow(now, host.Arrival{NIC: "eth3"}) {
		t.Error("another one is held back, too")
	}
	if now = m.retryTime; !m.isDue(now) || !m.allow(now, late) || m.allow(now, late) {
		t.Error("not one a time later")
	}
}

// TestRenewalsAreNotDamped: a client that renews a lease of 16 s every 8 s sets address and route more than 5 times a
// minute. One that sets them every second is damped.
func TestRenewalsAreNotDamped(t *testing.T) {
	var m moveLimiter
	now := time.Unix(1000, 0)
	lease := late
	lease.Left = 16 * time.Second
	for i := range 30 {
		if !m.allow(now, lease) || !m.allow(now.Add(time.Second), host.Arrival{NIC: "eth1"}) {
			t.Fatalf("renewal %d is held back", i)
		}
		now = now.Add(8 * time.Second)
	}
	allowed := 0
	for range 30 {
		if m.allow(now, lease) {
			allowed++
		}
		now = now.Add(time.Second)
	}
	if allowed > maxMoves+1 {
		t.Errorf("%d of 30 in half a minute", allowed)
	}
}

// TestMovesAreForgotten: moves are forgotten when they limit nothing any more, and not before.
func TestMovesAreForgotten(t *testing.T) {
	var m moveLimiter
	begun := time.Unix(1000, 0)
	lease := late
	lease.Left = 2 * moveWindow
	m.allow(begun, late)
	m.allow(begun, lease)
	m.allow(begun, host.Arrival{NIC: "eth1", Address: host.IPv6Enabled})
	sizes := func() [4]int {
		return [4]int{len(m.history), len(m.lastLease), len(m.companionUntil), len(m.ipv6Since)}
	}
	for _, tt := range []struct {
		after time.Duration
		want  [4]int
	}{{0, [4]int{1, 1, 1, 1}}, {moveWindow - 1, [4]int{1, 1, 0, 1}}, {moveWindow, [4]int{0, 1, 0, 0}},
		{2 * moveWindow, [4]int{}}} {
		if m.expire(begun.Add(tt.after)); sizes() != tt.want {
			t.Errorf("after %v: %v are kept, want %v", tt.after, sizes(), tt.want)
		}
	}
}

// TestLateWaits: a move waits until nothing more comes, but not longer than lateMax.
func TestLateWaits(t *testing.T) {
	var m moveLimiter
	begun := time.Unix(1000, 0)
	now := begun
	m.noteArrival(now)
	if m.isDue(now.Add(lateQuiet-1)) || !m.isDue(now.Add(lateQuiet)) || m.isDue(now.Add(time.Hour)) {
		t.Error("not once when it was quiet")
	}
	for !m.isDue(now) {
		m.noteArrival(now)
		now = now.Add(lateQuiet / 2)
		if now.Sub(begun) > 2*lateMax {
			t.Fatal("it waits for ever")
		}
	}
	if now.Sub(begun) < lateMax {
		t.Errorf("moved after %v while things came", now.Sub(begun))
	}
}

// TestIPv6OnMembers: IPv6 that was enabled on a member is disabled after there was time to add an address.
func TestIPv6OnMembers(t *testing.T) {
	var m moveLimiter
	now, on := time.Unix(1000, 0), host.Arrival{NIC: "eth1", Address: host.IPv6Enabled}
	if m.allow(now, on) || len(m.damped) != 0 {
		t.Error("at once")
	}
	if !m.isDue(m.retryTime) || !m.allow(now.Add(lateMax), on) {
		t.Error("not later")
	}
}

func TestLeaseStages(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		left, total time.Duration
		want        leaseStage
		next        time.Duration
	}{
		{100 * time.Second, 100 * time.Second, leaseFresh, 56250 * time.Millisecond},
		{50 * time.Second, 100 * time.Second, leaseFresh, 6250 * time.Millisecond},
		{43 * time.Second, 100 * time.Second, leaseDue, 5500 * time.Millisecond},
		{37 * time.Second, 100 * time.Second, leaseOverdue, 17 * time.Second},
		{19 * time.Second, 100 * time.Second, leaseUrgent, 20 * time.Second},
		{0, 100 * time.Second, leaseUrgent, time.Second},
		{0, 0, leaseUrgent, time.Second},
	} {
		stage, next := stageOf(now, host.Lease{Left: tt.left, Total: tt.total})
		if d := next.Sub(now) - tt.next; stage != tt.want || d.Abs() > time.Millisecond {
			t.Errorf("%v of %v: stage %d until %v, want %d until %v", tt.left, tt.total, stage, next.Sub(now), tt.want,
				tt.next)
		}
	}
}

// TestLeaseThatComesBack: a leased address that comes again and again, and not since it is renewed, stays on its NIC
// too.
func TestLeaseThatComesBack(t *testing.T) {
	lease, second := late, time.Second
	four := []host.Move{host.Shift, host.Shift, host.Shift, host.Shift}
	for name, tt := range map[string]struct {
		every   time.Duration
		watched bool
		left    time.Duration
		want    []host.Move
	}{
		"acquired again": {5 * second, false, 100 * second,
			[]host.Move{host.Shift, host.Shift, host.Share, host.Share}},
		"renewed":  {50 * second, false, 100 * second, four},
		"watched":  {50 * second, true, 100 * second, []host.Move{host.Share, host.Share}},
		"no lease": {5 * second, true, 0, four},
	} {
		m, now := moveLimiter{watched: tt.watched}, time.Unix(1000, 0)
		lease.Left = tt.left
		for i, want := range tt.want {
			if got := m.decide(now, lease); got != want {
				t.Errorf("%s: %d: %v, want %v", name, i, got, want)
			}
			now = now.Add(tt.every)
		}
		m.expire(now.Add(time.Hour))
		if len(m.sharedUntil) > 0 {
			t.Errorf("%s: %v", name, m.sharedUntil)
		}
	}
}
