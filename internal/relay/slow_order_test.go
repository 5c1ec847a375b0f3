// SPDX-License-Identifier: MIT

package relay

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
	"nicteam/team"
)

// held has the member's goroutine stand still until the function that it returns is called.
func (g *rig) held(id int) (release func()) {
	g.Helper()
	m := g.relay.members[id].Load()
	stands, goOn, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(over)
		m.between.do(func() { close(stands); <-goOn }, m.socket.Wake)
	}()
	<-stands
	return func() { close(goOn); <-over }
}

// receivedByStack is how many frames the adapter's stack was given.
func (g *rig) receivedByStack() uint64 {
	g.Helper()
	l, err := g.host.Handle().LinkByName("team0")
	labtest.Must(g, err)
	return l.Attrs().Statistics.RxPackets
}

func question() []byte {
	m := lacp.Marker{Port: 7, System: peerMAC, Transaction: 1}
	return m.Frame(peerMAC)
}

// enableSlow enables the slowReceiver of member id, as after an LACPDU.
func (g *rig) enableSlow(id int) {
	g.Helper()
	m := g.relay.members[id].Load()
	m.slow.lacpSeen.Store(true)
	g.relay.filters.schedule()
	labtest.Eventually(g, "the slowReceiver is active", m.slow.active.Load)
}

// A partner asks whether all has arrived that it sent before, so that what it sends next may come by another member.
// What waits for the member's goroutine has not.
func TestMarkersDoNotOvertakeTheBacklog(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSlots))
	peer := g.peerPort(0)
	g.enableSlow(0)
	release, before := g.held(0), g.receivedByStack()
	const n = 100
	for i := range n {
		peer.send(testFrame(adapterMAC, peerMAC, i))
	}
	marker, pdu := question(), slowFrame(peerMAC, 1, 5)
	peer.send(marker)
	peer.send(pdu)
	if diff := cmp.Diff(team.Control{Kind: team.ControlFrame, Frame: pdu}, g.newsOf(team.ControlFrame)); diff != "" {
		t.Errorf("while data waits (-want +got):\n%s", diff)
	}
	release()
	if diff := cmp.Diff(team.Control{Kind: team.ControlFrame, Frame: marker}, g.newsOf(team.ControlFrame)); diff != "" {
		t.Errorf("afterwards (-want +got):\n%s", diff)
	}
	if got := g.receivedByStack() - before; got < n {
		t.Errorf("the marker was reported when %d of %d frames before it had arrived", got, n)
	}
}

// Nor has what is in the same batch.
func TestMarkersDoNotOvertakeTheirBatch(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSlots))
	peer, m := g.peerPort(0), g.relay.members[0].Load()
	before := g.receivedByStack()
	for _, b := range [][]byte{testFrame(adapterMAC, peerMAC, 0), question()} {
		peer.socket.Queue(append(make([]byte, frame.VnetLen), b...))
	}
	early, told := 0, 0
	m.between.do(func() {
		peer.socket.Flush()
		u := g.relay.active.Load()
		for end := time.Now().Add(5 * time.Second); told == 0 && time.Now().Before(end); {
			m.n, _ = m.socket.Poll()
			for m.at = 0; m.at < m.n; {
				m.choose(u)
			}
			early += len(g.relay.control.frames)
			for m.at = 0; m.at < m.n; {
				m.deliver()
			}
			told = len(g.relay.control.frames)
		}
	}, m.socket.Wake)
	if delivered := g.receivedByStack() - before; early != 0 || told != 1 || delivered < 1 {
		t.Errorf("reported %d markers, of %d before what came before was delivered; %d frames were", told, early,
			delivered)
	}
}

// Frames that came before the slowReceiver started are not lost.
func TestNothingIsLostWhenTheSlowReceiverStarts(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSlots))
	peer, m := g.peerPort(0), g.relay.members[0].Load()
	release := g.held(0)
	b := slowFrame(peerMAC, 1, 1)
	peer.send(b)
	m.slow.lacpSeen.Store(true)
	g.relay.filters.schedule()
	labtest.Eventually(t, "the slowReceiver is active", func() bool {
		peer.send(slowFrame(peerMAC, 1, 2))
		return len(g.relay.control.frames) > 0
	})
	g.newsOf(team.ControlFrame)
	release()
	for !cmp.Equal(b, g.newsOf(team.ControlFrame).Frame) {
	}
}

// A marker that is held back is for the member that was to send it, not for another that has its id by then.
func TestMarkersOfAMemberThatLeft(t *testing.T) {
	g := newRig(t, 1)
	peer := g.port(g.peer, "p0", func(h *frame.Headers) bool { return h.EtherType == frame.TypeSlow })
	ask := func(transaction uint32) []byte {
		m := lacp.Marker{Port: 1, System: adapterMAC, Transaction: transaction}
		b := m.Frame(memberMAC(0))
		labtest.Must(t, g.relay.markers.add(g.relay.clock.now()+100e6, g.relay.members[0].Load(), b))
		return b
	}
	ask(1)
	labtest.Must(t, g.relay.Leave(0))
	g.join(0)
	peer.expect(ask(2))
	if c := g.await("it is counted", func(c *team.Counters) bool {
		return c.Members[0].TX[frame.LACP].Frames == 1
	}); c.Members[0].TXError != 0 {
		t.Errorf("%d errors", c.Members[0].TXError)
	}
}
