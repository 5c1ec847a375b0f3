// SPDX-License-Identifier: MIT

package relay

import (
	"encoding/binary"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// What comes while the slowReceiver starts is in both sockets, and comes to the control loop once.
func TestSlowFramesComeOnce(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSlots))
	peer, m := g.peerPort(0), g.relay.members[0].Load()
	release := g.held(0)
	m.slow.lacpSeen.Store(true)
	g.relay.filters.schedule()
	n := 0
	labtest.Eventually(t, "the slowReceiver receives", func() bool {
		n++
		peer.send(slowFrame(peerMAC, 1, n))
		time.Sleep(20 * time.Millisecond)
		return len(g.relay.control.frames) > 0
	})
	const more = 5
	for range more {
		n++
		peer.send(slowFrame(peerMAC, 1, n))
	}
	release()
	labtest.Eventually(t, "the slowReceiver is active", m.slow.active.Load)
	n++
	peer.send(slowFrame(peerMAC, 1, n))
	seen := map[uint32]int{}
	for seen[uint32(n)] == 0 {
		seen[binary.BigEndian.Uint32(g.newsOf(team.ControlFrame).Frame[20:])]++
	}
	for i := range uint32(n) {
		if seen[i+1] != 1 {
			t.Errorf("frame %d of %d came %d times", i+1, n, seen[i+1])
		}
	}
	if got := g.counters().Members[0].RX[frame.LACP].Frames; got != uint64(n) {
		t.Errorf("%d are counted, of %d", got, n)
	}
}

// A partner that says the same again is heard again, and one whose frames are old is not mistaken.
func TestSlowTwice(t *testing.T) {
	a, b := []byte("one"), []byte("other")
	const ms = int64(time.Millisecond)
	var twice slowTwice
	for _, c := range []struct {
		name   string
		now    int64
		frame  []byte
		main   bool
		expect bool
	}{
		{"first", 1, a, true, false},
		{"the same by the same socket", 2, a, true, false},
		{"another by the other socket", 3, b, false, false},
		{"the first by the other socket", 4, a, false, true},
		{"the second by the other socket", 5, a, false, true},
		{"a third by the other socket", 6, a, false, false},
		{"the third by the main socket", 7, a, true, true},
		{"the other by the main socket, much later", 501 * ms, b, true, false},
		{"and then by the other one", 502 * ms, b, false, true},
		{"another by the main socket", 503 * ms, a, true, false},
		{"and by the other one, which has received only since then", 504 * ms, a, false, false},
	} {
		if c.now == 504*ms {
			twice.begin(c.now)
		}
		if got := twice.again(c.now, c.frame, c.main); got != c.expect {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
