// SPDX-License-Identifier: MIT

package relay

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

func TestRecentStationsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g recentLocal
		c := newClock()
		stranger, behind := frame.StationOf(strangerMAC, 0), frame.StationOf(behindMAC, 0)
		if g.lookupTime(c) != 0 || g.sentRecently(g.lookupTime(c), stranger) {
			t.Error("somebody is known from the beginning")
		}
		g.noteSent(c.now(), stranger)
		time.Sleep(900 * time.Millisecond)
		if !g.sentRecently(g.lookupTime(c), stranger) || g.sentRecently(g.lookupTime(c), behind) {
			t.Error("who was noted is not known, or who was not is")
		}
		for range 10 { // each frame counts
			g.noteSent(c.now(), stranger)
			time.Sleep(500 * time.Millisecond)
			if !g.sentRecently(g.lookupTime(c), stranger) {
				t.Fatal("forgotten while it goes on sending")
			}
		}
		for range 10 { // others make the time go on, not its
			time.Sleep(500 * time.Millisecond)
			g.noteSent(c.now(), behind)
		}
		if g.sentRecently(g.lookupTime(c), stranger) {
			t.Error("known for ever")
		}
		time.Sleep(2 * time.Second)
		if g.lookupTime(c) != 0 || g.until.Load() != 0 {
			t.Error("nobody came for a while, and the clock is still asked")
		}
	})
}

// There is room for as many stations as are reported at a time.
func TestManyRecentStations(t *testing.T) {
	var g recentLocal
	c := newClock()
	for i := range 64 {
		g.noteSent(c.now(), frame.StationOf(strangerMAC+frame.MAC(i/8)*3, uint16(i%8)))
	}
	for i := range 64 {
		if !g.sentRecently(g.lookupTime(c), frame.StationOf(strangerMAC+frame.MAC(i/8)*3, uint16(i%8))) {
			t.Errorf("%d of 64 is not known", i)
		}
	}
}

// A switch that floods reflects all that a member sends to the others. Frames of a new station, which no Plan has, must
// not be accepted.
func TestReflectedFramesOfANewStation(t *testing.T) {
	for _, per := range []bool{false, true} {
		t.Run(fmt.Sprintf("per member %v", per), func(t *testing.T) {
			g := newRig(t, 3)
			g.flood()
			pl := g.plan(spread.RuleSingle)
			if per {
				pl = g.perMember(spread.RuleSingle)
			}
			pl.Active, pl.Promiscuous = 1, true // member 0 accepts what is for groups
			g.apply(pl)
			host := g.teamPort()
			const n = 100
			for i := range n {
				host.send(testFrame(frame.Broadcast, strangerMAC+frame.MAC(i), i))
				if i%10 == 0 {
					host.send(testFrame(peerMAC, strangerMAC+frame.MAC(i), i))
				}
			}
			g.await("frames that came back", func(c *team.Counters) bool {
				return c.Members[0].RXDrop[team.DropReflected]+c.Members[2].RXDrop[team.DropReflected] == 2*n*11/10
			})
			host.empty()
		})
	}
}

// flood makes the peer a switch that floods.
func (g *rig) flood() {
	g.Helper()
	a := netlink.NewLinkAttrs()
	a.Name = "br0"
	no := false
	h := g.peer.Handle()
	br := &netlink.Bridge{LinkAttrs: a, AgeingTime: new(uint32), MulticastSnooping: &no}
	labtest.Must(g, h.LinkAdd(br))
	for id := range g.links {
		l, err := h.LinkByName(fmt.Sprintf("p%d", id))
		labtest.Must(g, err)
		labtest.Must(g, h.LinkSetMaster(l, br))
	}
	labtest.Must(g, g.peer.Up("br0"))
}

// A station that moved to another host is received from there at once, although the Plan still has it.
func TestMovedStationIsReceived(t *testing.T) {
	g := newRig(t, 2)
	pl := g.perMember(spread.RuleSingle)
	lives(pl, frame.StationOf(behindMAC, 0))
	g.apply(pl)
	host, peer := g.teamPort(), g.peerPort(0)
	moved := testFrame(frame.Broadcast, behindMAC, 1)
	peer.send(moved)
	host.expect(moved)
	// While it sends from here its frames are reflected ones.
	host.send(testFrame(peerMAC, behindMAC, 2))
	peer.next()
	peer.send(testFrame(frame.Broadcast, behindMAC, 3))
	g.await("reflected", func(c *team.Counters) bool { return c.Members[0].RXDrop[team.DropReflected] == 1 })
	host.empty()
}

// Until the Plan has a new station, the member that transmits for it accepts the answers,
// and nowhere else.
func TestAnswerToANewStation(t *testing.T) {
	g := newRig(t, 2)
	pl := g.perMember(spread.RuleSingle)
	pl.Promiscuous = true
	for i := range pl.Pins {
		pl.Pins[i] = 1
	}
	g.apply(pl)
	host, peers := g.teamPort(), []*port{g.peerPort(0), g.peerPort(1)}
	host.send(testFrame(peerMAC, strangerMAC, 1))
	peers[0].next()
	before := g.counters().Members[1].RXDrop[team.DropNotOurs]
	peers[1].send(testFrame(strangerMAC, peerMAC, 2))
	g.await("drop", func(c *team.Counters) bool { return c.Members[1].RXDrop[team.DropNotOurs] == before+1 })
	b := testFrame(strangerMAC, peerMAC, 3)
	peers[0].send(b)
	host.expect(b)
}

// A station's group report has the address of the member that receives groups: a switch must not learn the station
// there.
func TestGroupReportOfAStation(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.perMember(spread.RuleSingle))
	host := g.teamPort()
	peer := g.port(g.peer, "p0", func(h *frame.Headers) bool { return h.IPProto == frame.ProtoIGMP })
	report := frame.IGMPReport(strangerMAC, netip.MustParseAddr("10.9.0.7"),
		[]netip.Addr{netip.MustParseAddr("239.1.1.1")})
	host.send(report)
	memberMAC(0).Put(report, 6)
	peer.expect(report)
}
