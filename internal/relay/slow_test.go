// SPDX-License-Identifier: MIT

package relay

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/nic"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
	"nicteam/team"
)

// slowFrame is a frame of a slow protocol with a number.
func slowFrame(src frame.MAC, subtype uint8, n int) []byte {
	b := make([]byte, 124)
	slowProtocols.Put(b, 0)
	src.Put(b, 6)
	binary.BigEndian.PutUint16(b[12:], frame.TypeSlow)
	b[14] = subtype
	binary.BigEndian.PutUint32(b[20:], uint32(n))
	return b
}

// LACP gets a frame even from an address of ours, by a member that does not collect.
func TestSlowFramesAlwaysComeToControl(t *testing.T) {
	g := newRig(t, 2)
	peer := g.peerPort(1)
	for name, pl := range map[string]*spread.Plan{"collecting": g.plan(spread.RuleSlots), "no plan": {}} {
		g.apply(pl)
		for i, src := range []frame.MAC{peerMAC, memberMAC(0), memberMAC(1), adapterMAC} {
			b := slowFrame(src, 1, i)
			peer.send(b)
			if diff := cmp.Diff(team.Control{Kind: team.ControlFrame, Member: 1, Frame: b},
				g.newsOf(team.ControlFrame)); diff != "" {
				t.Errorf("%s, from %v (-want +got):\n%s", name, src, diff)
			}
			g.enableSlow(1)
		}
	}
	if c := g.counters().Members[1]; c.RX[frame.LACP].Frames != 8 || c.RXDrop[team.DropReflected] != 0 {
		t.Errorf("counted %+v, reflected %d", c.RX[frame.LACP], c.RXDrop[team.DropReflected])
	}
}

// Other slow protocols are not passed on.
func TestOtherSlowProtocolsEndHere(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSlots))
	host, peer := g.port(g.host, "team0", func(h *frame.Headers) bool { return h.EtherType == frame.TypeSlow }),
		g.peerPort(0)
	for n := range 200 {
		peer.send(slowFrame(peerMAC, 3, n))
	}
	b := slowFrame(peerMAC, 2, 0)
	peer.send(b)
	if diff := cmp.Diff(team.Control{Kind: team.ControlFrame, Frame: b}, g.newsOf(team.ControlFrame)); diff != "" {
		t.Errorf("control (-want +got):\n%s", diff)
	}
	host.empty()
}

func TestMembersAcceptSlowProtocols(t *testing.T) {
	g := newRig(t, 1)
	joined := func() (found bool) {
		labtest.Must(t, g.host.Do(func() error {
			all, err := os.ReadFile("/proc/thread-self/net/dev_mcast")
			for line := range strings.Lines(string(all)) {
				found = found || strings.Contains(line, "m0") && strings.Contains(line, "0180c2000002")
			}
			return err
		}))
		return found
	}
	if !joined() {
		t.Error("the NIC does not accept what is for 01:80:c2:00:00:02")
	}
	labtest.Must(t, g.relay.Leave(0))
	if joined() {
		t.Error("it does so after the member has left")
	}
}

func TestRefusedSlowFramesAllocateNothing(t *testing.T) {
	g := newRig(t, 1)
	m := g.relay.members[0].Load()
	labtest.Must(t, g.relay.Leave(0))
	b := append(make([]byte, frame.VnetLen), slowFrame(peerMAC, 1, 0)...)
	m.slow.limit.Take(time.Unix(0, m.r.clock.now()+3600e9), slowRate) // none is left until then
	n := testing.AllocsPerRun(100, func() { m.slow.handle(b) })
	if drops := g.counters().Members[0].RXDrop[team.DropSocket]; n != 0 || drops != 101 {
		t.Errorf("%v allocations, %d counted", n, drops)
	}
}

// A flood on one member does not displace another member's partner.
func TestSlowFloodOfOneMember(t *testing.T) {
	g := newRig(t, 2)
	g.apply(g.plan(spread.RuleSlots))
	flooder, quiet := g.peerPort(0), g.peerPort(1)
	g.enableSlow(0)
	g.enableSlow(1)
	b := append(make([]byte, frame.VnetLen), slowFrame(peerMAC, 1, 0)...)
	stop := flooded(flooder.socket, b, 600*time.Microsecond)
	var heard, flood int
	began, busy := time.Now(), processTime()
	for n := range 20 {
		labtest.Must(t, quiet.socket.SendControl(slowFrame(peerMAC, 1, n)))
		for next := time.After(25 * time.Millisecond); next != nil; {
			select {
			case c := <-g.relay.Control():
				if c.Kind == team.ControlFrame && c.Member == 1 {
					heard++
				} else {
					flood++
				}
			case <-next:
				next = nil
			}
		}
	}
	took, busy := time.Since(began), processTime()-busy
	sent := stop()
	t.Logf("%.0f frames a second, %d of them reported in %v; %.0f %% of a processor with their sender's",
		float64(sent)/took.Seconds(), flood, took, 100*busy.Seconds()/took.Seconds())
	if heard != 20 {
		t.Errorf("%d of 20 frames of the other member are received", heard)
	}
	if most := slowBurst + int(took/slowEvery) + 1; flood > most || flood < slowBurst {
		t.Errorf("%d frames of the flood in %v, want %d", flood, took, most)
	}
	g.await("every frame is counted", func(c *team.Counters) bool {
		m := &c.Members[0]
		return m.RX[frame.LACP].Frames+m.RXDrop[team.DropSocket] == uint64(sent)
	})
}

// flooded sends b in batches with a pause between them until it is stopped, which tells how many there were.
func flooded(s *nic.Socket, b []byte, pause time.Duration) (stop func() (sent int)) {
	end, sent := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for {
			select {
			case <-end:
				sent <- n
				return
			default:
			}
			for range nic.Batch {
				s.Queue(b)
			}
			n += nic.Batch - len(s.Flush())
			time.Sleep(pause)
		}
	}()
	return func() int { close(end); return <-sent }
}

// processTime is what this process has used of processors.
func processTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// What fills a member's queue neither delays nor loses an answer; a marker comes behind all of it.
func TestSendPassesBulk(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	labtest.Must(t, g.host.Shape("m0", 50e6))
	labtest.Must(t, g.relay.SetBacklog(0, 128<<10))
	answer := lacp.Marker{Port: 1, System: adapterMAC, Transaction: 5, Response: true}
	marker := answer
	marker.Response = false
	isSlow := func(b []byte) bool { return binary.BigEndian.Uint16(b[12:]) == frame.TypeSlow }
	host, bulk := g.teamPort(), make([]byte, frame.VnetLen+1400)
	peer := g.port(g.peer, "p0", func(h *frame.Headers) bool {
		return h.EtherType == frame.TypeSlow || h.EtherType == testType
	})
	copy(bulk[frame.VnetLen:], testFrame(peerMAC, adapterMAC, 0))
	sent := uint64(0)
	overflow := func() {
		before := g.counters().Members[0].TXDrop[team.DropBacklog]
		labtest.Eventually(t, "drops", func() bool {
			for range 4 { // more than leaves until the next look
				for range nic.Batch {
					host.socket.Queue(bulk)
				}
				sent += nic.Batch - uint64(len(host.socket.Flush()))
			}
			return g.counters().Members[0].TXDrop[team.DropBacklog] > before
		})
		g.await("all of it is in the queue or dropped", func(c *team.Counters) bool {
			return c.Members[0].TX[frame.Other].Frames+c.Members[0].TXDrop[team.DropBacklog] == sent
		})
	}
	for _, m := range []lacp.Marker{answer, marker} {
		overflow()
		b, began := m.Frame(memberMAC(0)), time.Now()
		labtest.Must(t, g.relay.Send(0, b))
		behind, got := 0, peer.next()
		for ; !isSlow(got); got = peer.next() {
			behind++
		}
		if diff := cmp.Diff(b, got); diff != "" {
			t.Errorf("(-sent +got):\n%s", diff)
		}
		took := time.Since(began)
		t.Logf("answer %v: after %v, behind %d frames", m.Response, took, behind)
		if !m.Response && took < markerWait {
			t.Errorf("a marker was sent after %v", took)
		}
		labtest.Eventually(t, "the queue is empty", func() bool { return g.relay.Backlog(0) == 0 })
		if n := len(peer.seen); n > 0 && !m.Response {
			t.Errorf("%d frames come behind the marker that were sent before", n)
		}
	}
	if c := g.await("both are counted", func(c *team.Counters) bool {
		return c.Members[0].TX[frame.LACP].Frames == 2
	}); c.Members[0].TXError != 0 {
		t.Errorf("%d errors", c.Members[0].TXError)
	}
}

// Close does not wait for queued markers.
func TestMarkersWhileClosing(t *testing.T) {
	g := newRig(t, 1)
	marker := lacp.Marker{Port: 1, System: adapterMAC}
	b, refused := marker.Frame(memberMAC(0)), 0
	for range 3 * maxMarkers {
		if g.relay.Send(0, b) != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Errorf("%d markers were taken at once", 3*maxMarkers)
	}
	labtest.Must(t, g.relay.Close())
	if err := g.relay.Send(0, b); !errors.Is(err, ErrNoMember) {
		t.Errorf("a closed relay takes a marker: %v", err)
	}
}

// The partner is received under more traffic than the relay can move.
func TestPartnerSurvivesAFlood(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSlots))
	flooder, peer := g.peerPort(0), g.peerPort(0)
	peer.send(slowFrame(peerMAC, 1, 1000))
	g.newsOf(team.ControlFrame)
	labtest.Eventually(t, "the slowReceiver is active", g.relay.members[0].Load().slow.active.Load)
	bulk := append(make([]byte, frame.VnetLen), testFrame(adapterMAC, peerMAC, 0)...)
	stop := flooded(flooder.socket, bulk, 0)
	overrun := func(c *team.Counters) bool { return c.Members[0].RXDrop[team.DropSocket] > 0 }
	// A machine that keeps up has nothing to show here.
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end) && !overrun(g.counters()); {
		time.Sleep(10 * time.Millisecond)
	}
	before := g.counters().Members[0].RXDrop[team.DropSocket]
	const n = 50
	heard, next := 0, 0
	timeout := time.After(labtest.Patience)
	for tick := time.Tick(10 * time.Millisecond); heard < n; {
		select {
		case <-tick:
			if next < n {
				labtest.Must(t, peer.socket.SendControl(slowFrame(peerMAC, 1, next)))
				next++
			}
		case c := <-g.relay.Control():
			if c.Kind == team.ControlFrame {
				heard++
			}
			continue
		case <-timeout:
			t.Fatalf("%d of %d were received", heard, n)
		}
	}
	stop()
	t.Logf("all %d received, while %d other frames found no room",
		n, g.counters().Members[0].RXDrop[team.DropSocket]-before)
}
