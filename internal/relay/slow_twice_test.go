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
	const second = int64(time.Second)
	var twice slowTwice
	for _, c := range []struct {
		name         string
		now          int64
		frame        []byte
		main, expect bool
		first        func(now int64) // called before
	}{
		{"first", 1, a, true, false, nil},
		{"the same by the same socket", 2, a, true, false, nil},
		{"another by the other socket", 3, b, false, false, nil},
		{"the first by the other socket", 4, a, false, true, nil},
		{"the second by the other socket", 5, a, false, true, nil},
		{"a third by the other socket", 6, a, false, false, nil},
		{"the third by the main socket", 7, a, true, true, nil},
		{"the other by the main socket, much later", 6 * second, b, true, false, nil},
		{"and then by the other one", 6*second + 1, b, false, true, nil},
		{"another by the main socket", 7 * second, a, true, false, nil},
		{"and by the slowReceiver, which has just started", 7*second + 1, a, false, false, twice.starts},
		{"and by the main socket, which has just skipped the latter", 7*second + 2, a, true, false, twice.ends},
	} {
		if c.first != nil {
			c.first(c.now)
		}
		if got := twice.again(c.now, c.frame, c.main); got != c.expect {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
