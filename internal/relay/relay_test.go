// SPDX-License-Identifier: MIT

package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// await polls the counters until done says so.
func (g *rig) await(what string, done func(c *team.Counters) bool) *team.Counters {
	g.Helper()
	var c *team.Counters
	labtest.Eventually(g, what, func() bool { c = g.counters(); return done(c) })
	return c
}

// news waits for a Control of that kind.
func (g *rig) newsOf(kind team.ControlKind) team.Control {
	g.Helper()
	timeout := time.After(labtest.Patience)
	for {
		select {
		case c := <-g.relay.Control():
			if c.Kind == kind {
				return c
			}
		case <-timeout:
			g.Fatalf("no control of kind %d came", kind)
		}
	}
}

func TestFramesPassBothWays(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	host, peer := g.teamPort(), g.peerPort(0)
	base := g.counters().Members[0]
	const n, octets = 10, 60
	for i := range n {
		b := testFrame(peerMAC, adapterMAC, i)
		host.send(b)
		peer.expect(b)
		b = testFrame(adapterMAC, peerMAC, i)
		peer.send(b)
		host.expect(b)
	}
	c := g.await("counters", func(c *team.Counters) bool {
		return c.Members[0].RX[frame.Other].Frames == base.RX[frame.Other].Frames+n
	})
	base.RX[frame.Other].Add(frame.Count{Frames: n, Bytes: n * octets})
	base.TX[frame.Other].Add(frame.Count{Frames: n, Bytes: n * octets})
	if diff := cmp.Diff(base, c.Members[0]); diff != "" {
		t.Errorf("counters (-want +got):\n%s", diff)
	}
}

func TestTagsAreKept(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	host, peer := g.teamPort(), g.peerPort(0)
	for _, tags := range [][]uint16{
		{0x8100, 5<<13 | 100},
		{0x88a8, 3<<13 | 1<<12 | 7},
		{0x88a8, 7<<13 | 200, 0x8100, 2<<13 | 100},
		{0x8100, 0}, // priority tag
	} {
		b := tagged(testFrame(peerMAC, adapterMAC, 1), tags...)
		host.send(b)
		peer.expect(b)
		b = tagged(testFrame(adapterMAC, peerMAC, 2), tags...)
		peer.send(b)
		host.expect(b)
	}
}

func TestAcceptRules(t *testing.T) {
	stranger := frame.MAC(0x0200000000cc)
	behind := frame.MAC(0x0200000000dd)
	withBehind := func(pl *spread.Plan) { pl.Behind = []frame.MAC{behind}; pl.TeamMACs = append(pl.TeamMACs, behind) }
	tests := []struct {
		name    string
		frame   []byte
		change  func(pl *spread.Plan)
		want    []byte // what arrives, nil: nothing
		drop    team.Drop
		flooded bool
	}{
		{name: "ours", frame: testFrame(adapterMAC, peerMAC, 0), want: testFrame(adapterMAC, peerMAC, 0)},
		{name: "broadcast", frame: testFrame(frame.Broadcast, peerMAC, 0),
			want: testFrame(frame.Broadcast, peerMAC, 0)},
		{name: "member's address", frame: testFrame(memberMAC(0), peerMAC, 0), want: testFrame(adapterMAC, peerMAC, 0)},
		{name: "for others", frame: testFrame(stranger, peerMAC, 0), drop: team.DropNotOurs},
		{name: "reflected", frame: testFrame(frame.Broadcast, adapterMAC, 0), drop: team.DropReflected},
		{name: "reflected by a member", frame: testFrame(adapterMAC, memberMAC(1), 0), drop: team.DropReflected},
		{name: "standby", frame: testFrame(frame.Broadcast, peerMAC, 0), drop: team.DropStandby,
			change: func(pl *spread.Plan) { pl.Collecting = 0 }},
		{name: "flooded to standby", frame: testFrame(adapterMAC, peerMAC, 0), drop: team.DropStandby, flooded: true,
			change: func(pl *spread.Plan) { pl.Collecting = 0 }},
		{name: "group where not wanted", frame: testFrame(frame.Broadcast, peerMAC, 0), drop: team.DropStandby,
			change: func(pl *spread.Plan) { pl.Multicast = 0 }},
		{name: "unicast where groups are not wanted", frame: testFrame(adapterMAC, peerMAC, 0),
			want:   testFrame(adapterMAC, peerMAC, 0),
			change: func(pl *spread.Plan) { pl.Multicast = 0 }},
		{name: "behind", frame: testFrame(behind, peerMAC, 0), want: testFrame(behind, peerMAC, 0),
			change: withBehind},
		{name: "from behind, and moved away", frame: testFrame(frame.Broadcast, behind, 0),
			want:   testFrame(frame.Broadcast, behind, 0),
			change: withBehind},
		{name: "promiscuous", frame: testFrame(stranger, peerMAC, 0), want: testFrame(stranger, peerMAC, 0),
			change: func(pl *spread.Plan) { pl.Promiscuous = true }},
		{name: "promiscuous, another member's", frame: testFrame(memberMAC(1), peerMAC, 0), drop: team.DropNotOurs,
			change: func(pl *spread.Plan) { pl.Promiscuous = true }},
		{name: "inherited", frame: testFrame(memberMAC(1), peerMAC, 0), want: testFrame(adapterMAC, peerMAC, 0),
			change: func(pl *spread.Plan) { pl.Filter[0] = append(pl.Filter[0], memberMAC(1)) }},
		{name: "the adapter's address is at home elsewhere", frame: testFrame(adapterMAC, peerMAC, 0),
			drop: team.DropNotOurs, flooded: true,
			change: func(pl *spread.Plan) { pl.PerMember, pl.Filter[0] = true, nil }},
	}
	g := newRig(t, 2)
	g.receiveAll()
	host, peer := g.teamPort(), g.peerPort(0)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g.TB = t
			pl := g.plan(spread.RuleSingle)
			if tt.change != nil {
				tt.change(pl)
			}
			g.apply(pl)
			before := g.counters().Members[0]
			peer.send(tt.frame)
			if tt.want != nil {
				host.expect(tt.want)
				return
			}
			c := g.await(tt.drop.String(), func(c *team.Counters) bool {
				return c.Members[0].RXDrop[tt.drop] == before.RXDrop[tt.drop]+1
			})
			if got := c.Members[0].Flooded != before.Flooded; got != tt.flooded {
				t.Errorf("flooded counted: %v, want %v", got, tt.flooded)
			}
			host.empty()
		})
	}
}

func TestTransmitRules(t *testing.T) {
	g := newRig(t, 2)
	host, peers := g.teamPort(), []*port{g.peerPort(0), g.peerPort(1)}

	g.apply(g.plan(spread.RuleBroadcast))
	b := testFrame(peerMAC, adapterMAC, 1)
	host.send(b)
	peers[0].expect(b)
	peers[1].expect(b)

	pl := g.plan(spread.RuleSingle)
	pl.Active = 1
	g.apply(pl)
	b = testFrame(peerMAC, adapterMAC, 2)
	host.send(b)
	peers[1].expect(b)

	g.apply(g.plan(spread.RuleRoundRobin))
	for i := range 10 {
		host.send(testFrame(peerMAC, adapterMAC, 10+i))
	}
	for i := range 10 {
		peers[i%2].next()
	}

	before := g.counters().Adapter.TXDrop[team.DropNoMember]
	g.apply(g.plan(spread.RuleNone))
	host.send(testFrame(peerMAC, adapterMAC, 3))
	g.await("drop without member", func(c *team.Counters) bool {
		return c.Adapter.TXDrop[team.DropNoMember] == before+1
	})
	peers[0].empty()
	peers[1].empty()
}

func TestRefusedFramesAreResentOnce(t *testing.T) {
	g := newRig(t, 3)
	host, peer := g.teamPort(), g.peerPort(1)
	pl := g.plan(spread.RuleSingle)
	pl.Distributing = pl.Distributing.Without(2)
	g.apply(pl)
	labtest.Must(t, g.host.Down("m0"))
	if c := g.newsOf(team.ControlSuspect); c.Member != 0 {
		t.Errorf("member %d is suspected", c.Member)
	}
	const n = 20
	for i := range n {
		host.send(testFrame(peerMAC, adapterMAC, i))
	}
	for i := range n {
		peer.expect(testFrame(peerMAC, adapterMAC, i))
	}
	c := g.counters()
	got := [4]uint64{c.Members[0].Resent, c.Members[0].TX[frame.Other].Frames,
		c.Members[1].TX[frame.Other].Frames, c.Members[0].TXDrop[team.DropRefused]}
	if want := [4]uint64{n, 0, n, 0}; got != want {
		t.Errorf("resent, by the first, by the second, refused: %v, want %v", got, want)
	}

	// Both refuse: lost, and counted.
	labtest.Must(t, g.host.Down("m1"))
	host.send(testFrame(peerMAC, adapterMAC, n))
	c = g.await("refusal", func(c *team.Counters) bool { return c.Members[0].TXDrop[team.DropRefused] == 1 })
	if c.Members[0].Resent != n || c.Members[1].TX[frame.Other].Frames != n {
		t.Errorf("resent %d, sent %d after a second refusal, want %d",
			c.Members[0].Resent, c.Members[1].TX[frame.Other].Frames, n)
	}

	// Up again, the same socket works on.
	labtest.Must(t, g.host.Up("m0"))
	peer0 := g.peerPort(0)
	b := testFrame(peerMAC, adapterMAC, n+1)
	labtest.Eventually(t, "frames by the member that is back", func() bool {
		host.send(b)
		return len(peer0.seen) > 0
	})
	b = testFrame(adapterMAC, peerMAC, n+2)
	peer0.send(b)
	host.expect(b)
}

func TestMissingMemberRefuses(t *testing.T) {
	g := newRig(t, 2)
	host, peer := g.teamPort(), g.peerPort(1)
	g.apply(g.plan(spread.RuleSingle))
	labtest.Must(t, g.relay.Leave(0))
	b := testFrame(peerMAC, adapterMAC, 1)
	host.send(b)
	peer.expect(b)
}

func TestNICGoneAndBack(t *testing.T) {
	g := newRig(t, 2)
	host, peer := g.teamPort(), g.peerPort(1)
	g.apply(g.plan(spread.RuleSingle))
	l, err := g.host.Handle().LinkByName("m0")
	labtest.Must(t, err)
	labtest.Must(t, g.host.Handle().LinkDel(l))
	if c := g.newsOf(team.ControlSuspect); c.Member != 0 {
		t.Errorf("member %d is suspected", c.Member)
	}
	b := testFrame(peerMAC, adapterMAC, 1)
	host.send(b)
	peer.expect(b)
	g.apply(g.plan(spread.RuleSingle)) // with a member whose NIC is gone

	labtest.Must(t, g.relay.Leave(0))
	labtest.Must(t, g.relay.Leave(0))
	g.addLink(0)
	g.join(0)
	peer0 := g.peerPort(0)
	b = testFrame(peerMAC, adapterMAC, 2)
	host.send(b)
	peer0.expect(b)
}

func TestNewStationsAreReportedOnceAPlan(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	host, peer := g.teamPort(), g.peerPort(0)
	stranger := frame.MAC(0x0200000000cc)
	for i := range 3 {
		b := testFrame(peerMAC, stranger, i)
		host.send(b)
		peer.expect(b)
	}
	want := team.Control{Kind: team.ControlStation, Member: -1, Station: frame.StationOf(stranger, 0)}
	if diff := cmp.Diff(want, g.newsOf(team.ControlStation)); diff != "" {
		t.Errorf("news (-want +got):\n%s", diff)
	}
	pl := g.plan(spread.RuleSingle)
	lives(pl, frame.StationOf(stranger, 0))
	g.apply(pl)
	b := testFrame(peerMAC, stranger, 4)
	host.send(b)
	peer.expect(b)
	select {
	case c := <-g.relay.Control():
		t.Errorf("reported again: %+v", c)
	default:
	}
	asks := *pl
	asks.Ageing = pl.Stations
	g.apply(&asks)
	host.send(b)
	if diff := cmp.Diff(want, g.newsOf(team.ControlStation)); diff != "" {
		t.Errorf("a Plan that asks for it (-want +got):\n%s", diff)
	}
	// In a VLAN it is another station.
	for _, tpid := range []uint16{frame.TypeVLAN, frame.TypeQinQ} {
		in := uint16(7)
		if tpid == frame.TypeQinQ {
			in |= frame.ServiceTag
		}
		host.send(inVLAN(testFrame(peerMAC, stranger, 5), tpid, 7))
		if diff := cmp.Diff(frame.StationOf(stranger, in), g.newsOf(team.ControlStation).Station); diff != "" {
			t.Errorf("in a VLAN (-want +got):\n%s", diff)
		}
	}
}

func TestSlowProtocolGoesToControl(t *testing.T) {
	g := newRig(t, 1)
	pl := g.plan(spread.RuleSingle)
	pl.Collecting = 0
	g.apply(pl)
	slow := func(h *frame.Headers) bool { return h.EtherType == frame.TypeSlow }
	host, peer := g.port(g.host, "team0", slow), g.peerPort(0)
	b := testFrame(slowProtocols, peerMAC, 0)
	binary.BigEndian.PutUint16(b[12:], frame.TypeSlow)
	b[14] = 1
	peer.send(b)
	if diff := cmp.Diff(team.Control{Kind: team.ControlFrame, Frame: b}, g.newsOf(team.ControlFrame)); diff != "" {
		t.Errorf("control (-want +got):\n%s", diff)
	}
	host.empty()
}

func TestSendControlFrame(t *testing.T) {
	g := newRig(t, 1)
	peer := g.peerPort(0)
	b := testFrame(peerMAC, adapterMAC, 1)
	labtest.Must(t, g.relay.Send(0, b))
	peer.expect(b)
	if err := g.relay.Send(5, b); !errors.Is(err, ErrNoMember) {
		t.Errorf("Send by a member that is not there: %v", err)
	}
	if err := g.relay.Send(0, b[:3]); err == nil {
		t.Error("Send of three octets succeeded")
	}
	if c := g.counters().Members[0].TX[frame.Other]; c != (frame.Count{Frames: 1, Bytes: 60}) {
		t.Errorf("counted %+v", c)
	}
}

func TestPanicLosesOneFrame(t *testing.T) {
	g := newRig(t, 2)
	pl := g.plan(spread.RuleRoundRobin)
	g.apply(pl)
	host, peer := g.teamPort(), g.peerPort(0)
	// A member without a socket makes each second frame panic. Nothing sets its NIC's filter any more.
	for _, b := range []**background{&g.relay.filters, &g.relay.groups} {
		(*b).close()
		*b = g.relay.runInBackground(func() {})
	}
	m := g.relay.members[1].Swap(&member{done: make(chan struct{}), rate: rateMeter{start: 1 << 62}})
	defer g.relay.members[1].Store(m)
	const n = 6
	for i := range n {
		host.send(testFrame(peerMAC, adapterMAC, i))
	}
	for range n / 2 {
		peer.next()
	}
	kept := func() []api.Panic { return g.relay.panics.List() }
	labtest.Eventually(t, "panics", func() bool { p := kept(); return len(p) == 1 && p[0].Count == n/2 })
	p, input := kept()[0], fmt.Sprintf("frame of %d octets: ", frame.VnetLen+60)
	if !strings.HasPrefix(p.Input, input) || !strings.Contains(p.Stack, "spread") {
		t.Errorf("kept %+v", p)
	}
	select {
	case err := <-g.relay.panics.Fatal():
		t.Errorf("frames end the process: %v", err)
	default:
	}
}

func TestCloseAndStartAgain(t *testing.T) {
	g := newRig(t, 2)
	g.apply(g.plan(spread.RuleSingle))
	for range 3 {
		labtest.Must(t, g.relay.Close())
		labtest.Must(t, g.relay.Close())
		if _, open := <-g.relay.Control(); open {
			t.Error("Control is open after Close")
		}
		if err := g.relay.Apply(g.plan(spread.RuleNone)); err == nil {
			t.Error("Apply after Close succeeded")
		}
		g.start()
		g.apply(g.plan(spread.RuleSingle))
	}
	host, peer := g.teamPort(), g.peerPort(0)
	b := testFrame(peerMAC, adapterMAC, 1)
	host.send(b)
	peer.expect(b)
}
