// SPDX-License-Identifier: MIT

package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// perMember is a plan in which members send with their own addresses, the adapter's being at home with member 0.
func (g *rig) perMember(rule spread.Rule) *spread.Plan {
	pl := g.plan(rule)
	pl.PerMember, pl.Multicast = true, 1
	pl.Filter = [spread.MaxMembers][]frame.MAC{0: {adapterMAC}}
	pl.Pins = make([]uint8, spread.SlotCount) // all member 0's
	return pl
}

// readdressed is b with another source.
func readdressed(b []byte, src frame.MAC) []byte {
	b = bytes.Clone(b)
	src.Put(b, 6)
	return b
}

// arp is an ARP packet for n, from src to dst.
func arp(dst, src frame.MAC, n int) []byte {
	b := testFrame(dst, src, 0)
	binary.BigEndian.PutUint16(b[12:], frame.TypeARP)
	copy(b[14:], []byte{0, 1, 8, 0, 6, 4, 0, 1})
	src.Put(b, 22)
	binary.BigEndian.PutUint32(b[38:], uint32(n))
	return b
}

// solicitation is [virtio header][neighbour solicitation] with its checksum left to be made, and the frame with it
// made.
func solicitation(t *testing.T, dst, src frame.MAC) (b, whole []byte) {
	t.Helper()
	b = make([]byte, frame.VnetLen+14+40+24)
	f := b[frame.VnetLen:]
	dst.Put(f, 0)
	src.Put(f, 6)
	binary.BigEndian.PutUint16(f[12:], frame.TypeIPv6)
	ip := f[14:]
	ip[0], ip[6], ip[7] = 0x60, frame.ProtoICMPv6, 255
	binary.BigEndian.PutUint16(ip[4:], 24)
	ip[8], ip[23], ip[24], ip[39] = 0xfe, 1, 0xfe, 2
	ip[40] = 135
	ip[48], ip[63] = 0xfe, 2
	binary.BigEndian.PutUint16(ip[42:], frame.Fold(frame.PseudoSum(f, 14, frame.ProtoICMPv6, 24)))
	v := frame.Vnet{Flags: frame.NeedsCsum, CsumStart: 54, CsumOffset: 2}
	v.Marshal(b)
	whole = bytes.Clone(f)
	labtest.Must(t, frame.FinishChecksum(v, whole))
	return b, whole
}

func isNeighbourhood(h *frame.Headers) bool { return isARPorND(h) }

func TestMembersSendWithTheirOwnAddress(t *testing.T) {
	g := newRig(t, 3)
	host, peers := g.teamPort(), []*port{g.peerPort(0), g.peerPort(1)}
	pl := g.perMember(spread.RuleSingle)
	pl.Active = 1
	pl.Behind, pl.TeamMACs = []frame.MAC{behindMAC}, append(pl.TeamMACs, behindMAC)
	g.apply(pl)

	for _, tags := range [][]uint16{nil, {0x8100, 100}, {0x88a8, 7, 0x8100, 100}} {
		b := tagged(testFrame(peerMAC, adapterMAC, 1), tags...)
		host.send(b)
		peers[1].expect(readdressed(b, memberMAC(1)))
	}
	// A station behind the adapter has its own address.
	for _, src := range []frame.MAC{behindMAC, strangerMAC} {
		b := testFrame(peerMAC, src, 2)
		host.send(b)
		peers[1].expect(b)
	}
	// What another member sends in the place of one that cannot has the other's.
	labtest.Must(t, g.host.Down("m1"))
	b := testFrame(peerMAC, adapterMAC, 3)
	host.send(b)
	peers[0].expect(readdressed(b, memberMAC(0)))
}

// A member whose NIC gets another address sends with that and accepts what is for it from the next Plan on, without
// being opened anew; what is for the one before is accepted while the Plan says so.
func TestMembersAddressFollowsThePlan(t *testing.T) {
	g := newRig(t, 2)
	host, peer := g.teamPort(), g.peerPort(1)
	const next = frame.MAC(0x0200_0000_0b01)
	l, err := g.host.Handle().LinkByName("m1")
	labtest.Must(t, err)
	labtest.Must(t, g.host.Handle().LinkSetHardwareAddr(l, next.HardwareAddr()))
	pl := g.perMember(spread.RuleSingle)
	pl.Active, pl.MACs[1], pl.TeamMACs = 1, next, append(pl.TeamMACs, next)
	pl.Filter[1] = []frame.MAC{memberMAC(1)}
	g.apply(pl)
	b := testFrame(peerMAC, adapterMAC, 1)
	host.send(b)
	peer.expect(readdressed(b, next))
	arrives := func(dst frame.MAC, n int) {
		t.Helper()
		peer.send(testFrame(dst, peerMAC, n))
		host.expect(testFrame(adapterMAC, peerMAC, n))
	}
	labtest.Eventually(t, "m1's NIC accepts its address from before", func() bool {
		l, err := g.host.Handle().LinkByName("m1")
		labtest.Must(t, err)
		return l.Attrs().Promisc > 0
	})
	arrives(next, 2)
	arrives(memberMAC(1), 3)
	later := *pl
	later.Filter[1], later.TeamMACs = nil, []frame.MAC{adapterMAC, memberMAC(0), next}
	g.apply(&later)
	peer.send(testFrame(memberMAC(1), peerMAC, 4)) // not accepted
	arrives(next, 5)
}

func TestSuperFramesGetTheMembersAddress(t *testing.T) {
	for _, off := range []bool{false, true} {
		g := newRig(t, 1)
		if off {
			offloadsOff(t, g.host, "m0")
		}
		g.apply(g.perMember(spread.RuleSingle))
		udp := func(h *frame.Headers) bool { return h.Protocol == frame.UDP }
		host, peer := g.port(g.host, "team0", udp), g.port(g.peer, "p0", udp)
		const n = 40
		g.hold(func() {
			for i := range n {
				host.socket.Queue(datagram(peerMAC, adapterMAC, 0, i, 100))
				if failed := host.socket.Flush(); len(failed) > 0 {
					t.Fatalf("not sent: %+v", failed)
				}
			}
		})
		longest := 0
		for got := 0; got < n; {
			b := peer.next()
			longest = max(longest, len(b))
			var h frame.Headers
			frame.Parse(b, &h)
			if h.Src != memberMAC(0) {
				t.Fatalf("offloads off %v: a frame of %d octets is from %v", off, len(b), h.Src)
			}
			got += (len(b) - 42) / 100
		}
		if off == (longest > 142) {
			t.Errorf("offloads off %v: the longest frame has %d octets", off, longest)
		}
	}
}

func TestARPOfTheAdapterGoesToTheControlLoop(t *testing.T) {
	g := newRig(t, 2)
	pl := g.perMember(spread.RuleSingle)
	pl.Behind, pl.TeamMACs = []frame.MAC{behindMAC}, append(pl.TeamMACs, behindMAC)
	g.apply(pl)
	host, peer := g.port(g.host, "team0", isNeighbourhood), g.port(g.peer, "p0", isNeighbourhood)
	before := g.counters()

	request := arp(frame.Broadcast, adapterMAC, 1)
	partial, whole := solicitation(t, peerMAC, adapterMAC)
	plain := make([]byte, frame.VnetLen)
	for _, tt := range []struct{ sent, want []byte }{ // sent with a virtio header
		{append(plain, request...), request},
		{append(plain, tagged(request, 0x8100, 100)...), tagged(request, 0x8100, 100)},
		{partial, whole},
	} {
		host.socket.Queue(tt.sent)
		host.socket.Flush()
		want := team.Control{Kind: team.ControlFrame, Member: -1, Frame: tt.want}
		if diff := cmp.Diff(want, g.newsOf(team.ControlFrame)); diff != "" {
			t.Errorf("control (-want +got):\n%s", diff)
		}
	}
	// Who lives behind asks by himself.
	b := arp(frame.Broadcast, behindMAC, 2)
	host.send(b)
	peer.expect(b)
	after := g.counters()
	if d := after.Members[0].TX[frame.ARP].Frames - before.Members[0].TX[frame.ARP].Frames; d != 1 {
		t.Errorf("%d frames were counted that the control loop has, or not", d)
	}
	if diff := cmp.Diff(before.Adapter, after.Adapter); diff != "" {
		t.Errorf("drops (-before +after):\n%s", diff)
	}

	// A control loop that lags loses nothing: they leave as any other frame does.
	for len(g.relay.control.frames) < cap(g.relay.control.frames)/2 {
		g.relay.control.report(team.Control{Kind: team.ControlStation})
	}
	host.send(request)
	peer.expect(readdressed(request, memberMAC(0)))
}

func TestNoMemberForARP(t *testing.T) {
	g := newRig(t, 1)
	pl := g.perMember(spread.RuleNone)
	pl.Distributing = 0
	g.apply(pl)
	host := g.port(g.host, "team0", isNeighbourhood)
	host.send(arp(frame.Broadcast, adapterMAC, 1))
	g.await("drop", func(c *team.Counters) bool { return c.Adapter.TXDrop[team.DropNoMember] == 1 })
}

func TestAnswersAreCopiedToTheControlLoop(t *testing.T) {
	g := newRig(t, 2)
	pl := g.perMember(spread.RuleSingle)
	pl.Behind, pl.TeamMACs, pl.Promiscuous = []frame.MAC{behindMAC}, append(pl.TeamMACs, behindMAC), true
	g.apply(pl)
	host := g.port(g.host, "team0", isNeighbourhood)
	peers := []*port{g.port(g.peer, "p0", isNeighbourhood), g.port(g.peer, "p1", isNeighbourhood)}

	for _, tt := range []struct {
		name   string
		by     int
		frame  []byte
		copied bool
	}{
		{name: "for the adapter", by: 0, frame: arp(adapterMAC, peerMAC, 1), copied: true},
		{name: "for a member", by: 1, frame: arp(memberMAC(1), peerMAC, 2), copied: true},
		{name: "for all", by: 0, frame: arp(frame.Broadcast, peerMAC, 3)},
		{name: "for who lives behind", by: 0, frame: arp(behindMAC, peerMAC, 4)},
	} {
		want := bytes.Clone(tt.frame)
		if tt.copied {
			adapterMAC.Put(want, 0)
		}
		peers[tt.by].send(tt.frame)
		host.expect(want)
		if tt.copied {
			want := team.Control{Kind: team.ControlFrame, Member: tt.by, Frame: tt.frame}
			if diff := cmp.Diff(want, g.newsOf(team.ControlFrame)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.name, diff)
			}
		}
		select {
		case c := <-g.relay.Control():
			t.Errorf("%s: copied %+v", tt.name, c)
		default:
		}
	}
	// A flood of them leaves room for what the adapter asks.
	for i := range cap(g.relay.control.frames) {
		peers[0].send(arp(adapterMAC, peerMAC, i))
		host.next()
	}
	if n, most := len(g.relay.Control()), cap(g.relay.control.frames)/4; n != most {
		t.Errorf("%d copies wait, want %d", n, most)
	}
	for len(g.relay.Control()) > 0 {
		<-g.relay.Control()
	}
	// Only PerMember needs them.
	pl = g.plan(spread.RuleSingle)
	g.apply(pl)
	b := arp(adapterMAC, peerMAC, 5)
	peers[0].send(b)
	host.expect(b)
	if n := len(g.relay.Control()); n > 0 {
		t.Errorf("%d copies under another rule", n)
	}
}

// Who lives behind the adapter keeps his address and has one member, both ways; a dead member's address is the heir's.
func TestStationsBehindArePinned(t *testing.T) {
	g := newRig(t, 3)
	dead := memberMAC(9)
	pl := g.shortest()
	pl.Behind, pl.TeamMACs, pl.Promiscuous = []frame.MAC{behindMAC}, append(pl.TeamMACs, behindMAC, dead), true
	pl.Filter[1] = []frame.MAC{dead}
	for i := range pl.Pins {
		pl.Pins[i] = 2
	}
	g.apply(pl)
	host, peers := g.teamPort(), []*port{g.peerPort(0), g.peerPort(1), g.peerPort(2)}
	for i := range 20 {
		b := testFrame(peerMAC+frame.MAC(i), behindMAC, i)
		host.send(b)
		peers[2].expect(b)
	}
	for _, tt := range []struct {
		dst frame.MAC
		by  int
		to  frame.MAC // as the adapter gets it
	}{
		{dst: behindMAC, by: 2, to: behindMAC},
		{dst: dead, by: 1, to: adapterMAC},
		{dst: adapterMAC, by: 0, to: adapterMAC},
		{dst: memberMAC(2), by: 2, to: adapterMAC},
		{dst: strangerMAC, by: 0, to: strangerMAC},
		{dst: frame.Broadcast, by: 0, to: frame.Broadcast},
	} {
		before := g.counters()
		for _, p := range peers { // as a switch that floods does
			p.send(testFrame(tt.dst, peerMAC, 1))
		}
		host.expect(testFrame(tt.to, peerMAC, 1))
		for id := range peers {
			if id == tt.by {
				continue
			}
			g.await(fmt.Sprintf("drop of what is for %v by member %d", tt.dst, id), func(c *team.Counters) bool {
				was, is := before.Members[id].RXDrop, c.Members[id].RXDrop
				return is[team.DropNotOurs]+is[team.DropStandby] == was[team.DropNotOurs]+was[team.DropStandby]+1
			})
		}
	}
	host.empty()
}
