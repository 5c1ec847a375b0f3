// SPDX-License-Identifier: MIT

package relay

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// toGroup is a frame of one of many flows, which layer2 tells apart.
func toGroup(flow, n, length int) []byte {
	b := testFrame(frame.MAC(0x030000000000+uint64(flow)), adapterMAC, n)
	return append(b, make([]byte, max(0, length-len(b)))...)
}

// flowOf tells what toGroup put into a frame.
func flowOf(b []byte) (flow, n int) { return int(frame.MACAt(b, 0) & 0xff), number(b) }

// moving has all slots go from member 0 to member 1.
func (g *rig) moving(id uint64, pause time.Duration) *spread.Plan {
	pl := g.plan(spread.RuleSlots)
	pl.Hash.Policy = spread.Layer2
	pl.Slots = &spread.SlotTable{Members: slices.Repeat([]uint8{1}, spread.SlotCount),
		Migration: &spread.Migration{From: make([]uint8, spread.SlotCount), ID: id, Mark: 1, Pause: pause}}
	return pl
}

// withMigration returns pl with another migration, nil for none.
func withMigration(pl *spread.Plan, m *spread.Migration) *spread.Plan {
	next := *pl
	next.Slots = &spread.SlotTable{Members: pl.Slots.Members, Migration: m}
	return &next
}

// Member 0 has a queue of some 30 ms and member 1 none, and slots go from the one to the other: those that pause, and
// no frame overtakes one of its own flow.
func TestSlotsMigrateInOrder(t *testing.T) {
	const (
		full, steady, pausing = 0, 1, 2
		skew                  = 100 * time.Millisecond
	)
	g := newRig(t, 2)
	g.bridge()
	labtest.Must(t, g.host.Shape("m0", 20e6))
	labtest.Must(t, g.relay.SetBacklog(0, 128<<10))
	before := g.moving(0, 0)
	before.Slots = &spread.SlotTable{Members: before.Slots.Migration.From}
	g.apply(before)
	all, late, host := g.port(g.peer, "br0", nil), g.peerPort(1), g.teamPort()
	// Queued is what the adapter's stack sends in a moment: one flow that fills member 0, one that never pauses, one
	// that does.
	ns := [3]int{}
	send := func(flow, length int) {
		host.socket.Queue(append(make([]byte, frame.VnetLen), toGroup(flow, ns[flow], length)...))
		ns[flow]++
	}
	var longest time.Duration
	last := time.Now()
	run := func(d time.Duration) {
		sent := time.Duration(0)
		for began := time.Now(); time.Since(began) < d; time.Sleep(time.Millisecond) {
			// As many in all however late it wakes: more than the member can send.
			for ; sent <= time.Since(began); sent += time.Millisecond {
				for range 6 {
					send(full, 1400)
				}
				send(steady, 100)
				host.socket.Flush()
			}
			longest = max(longest, time.Since(last))
			last = time.Now()
		}
	}
	burst := func() {
		for range 3 {
			send(pausing, 100)
		}
		host.socket.Flush()
	}
	run(60 * time.Millisecond)
	burst()
	longest = 0
	going := g.moving(1, skew)
	g.apply(going)
	run(30 * time.Millisecond)
	burst()
	run(150 * time.Millisecond)
	burst()
	run(20 * time.Millisecond)
	moved := map[int]bool{}
	drain := func(p *port, f func(flow, n int)) {
		for len(p.seen) > 0 {
			f(flowOf((<-p.seen)[frame.VnetLen:]))
		}
	}
	drain(late, func(flow, _ int) { moved[flow] = true })
	switch {
	case longest > skew/2:
		t.Logf("the sender stood still for %v: that was a pause", longest)
	case moved[full] || moved[steady] || !moved[pausing]:
		t.Errorf("gone over: %v, want the one that pauses only", moved)
	}
	time.Sleep(skew / 2) // so that the force costs no order either
	g.apply(withMigration(going, nil))
	run(20 * time.Millisecond)
	time.Sleep(skew / 2)
	if drain(late, func(flow, _ int) { moved[flow] = true }); !moved[full] || !moved[steady] {
		t.Errorf("gone over by force: %v", moved)
	}
	next, seen := map[int]int{}, 0
	drain(all, func(flow, n int) {
		if n < next[flow] {
			t.Errorf("frame %d of flow %d comes after %d", n, flow, next[flow]-1)
		}
		next[flow] = n + 1
		seen++
	})
	if c := g.counters(); c.Members[0].TXDrop[team.DropBacklog] == 0 || seen < 300 {
		t.Errorf("%d frames came and %d found no room: member 0 had no queue", seen,
			c.Members[0].TXDrop[team.DropBacklog])
	}
}

// A slot of which all has arrived need not pause, nor one whose member may send no more.
func TestSlotsMigrateAtOnce(t *testing.T) {
	g := newRig(t, 2)
	host, peers := g.teamPort(), []*port{g.peerPort(0), g.peerPort(1)}
	by := func(member, flow, n int) {
		t.Helper()
		b := toGroup(flow, n, 60)
		host.send(b)
		if got := peers[member].next(); !bytes.Equal(got, b) {
			t.Errorf("member %d sent %x, want %x", member, got, b)
		}
	}
	pl := g.moving(1, time.Hour)
	g.apply(pl)
	by(0, 1, 0)
	by(0, 2, 0)
	m := *pl.Slots.Migration
	m.Mark = 2
	g.apply(withMigration(pl, &m))
	by(0, 2, 1)
	cleared := m
	cleared.Mark, cleared.Cleared[0] = 3, 2
	answered := withMigration(pl, &cleared)
	g.apply(answered)
	by(1, 1, 1)
	by(0, 2, 2) // it has sent since
	dead := *answered
	dead.Distributing = 2
	g.apply(&dead)
	by(1, 2, 3)
	by(1, 3, 0)
	g.apply(answered)
	by(1, 2, 4)

	// A member that refuses for want of a link is no reason to wait either.
	again := g.moving(2, time.Hour)
	g.apply(again)
	by(0, 2, 5)
	labtest.Must(t, g.host.Down("m0"))
	by(1, 2, 6)
}

// The pause is counted from when the Plan came, not from the first frame after it.
func TestMigrationStartsWithItsPlan(t *testing.T) {
	g := newRig(t, 2)
	host, peer := g.teamPort(), g.peerPort(1)
	for turn := range uint64(3) {
		g.apply(g.moving(turn+1, 20*time.Millisecond))
		labtest.Must(t, g.relay.DoWithPicker(func(p *spread.Picker, _ int64) {}))
		time.Sleep(25 * time.Millisecond)
		b := toGroup(1, int(turn), 60)
		host.send(b)
		peer.expect(b)
	}
}
