// SPDX-License-Identifier: MIT

package relay

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// datagram is [virtio header][UDP frame] number n of a flow, its checksum left to be made.
func datagram(dst, src frame.MAC, flow, n, size int) []byte {
	b := make([]byte, frame.VnetLen+42+size)
	f := b[frame.VnetLen:]
	dst.Put(f, 0)
	src.Put(f, 6)
	binary.BigEndian.PutUint16(f[12:], frame.TypeIPv4)
	ip := f[14:34]
	ip[0], ip[6], ip[8], ip[9] = 0x45, 0x40, 64, frame.ProtoUDP
	binary.BigEndian.PutUint16(ip[2:], uint16(28+size))
	binary.BigEndian.PutUint16(ip[4:], uint16(n))
	copy(ip[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	binary.BigEndian.PutUint16(ip[10:], frame.Checksum(ip))
	udp := f[34:]
	binary.BigEndian.PutUint16(udp, uint16(1000+flow))
	binary.BigEndian.PutUint16(udp[2:], 9)
	binary.BigEndian.PutUint16(udp[4:], uint16(8+size))
	for i := range size - 4 {
		udp[12+i] = byte(n * (i + flow))
	}
	binary.BigEndian.PutUint32(udp[8:], uint32(n))
	v := frame.Vnet{Flags: frame.NeedsCsum, CsumStart: 34, CsumOffset: 6}
	v.Marshal(b)
	binary.BigEndian.PutUint16(udp[6:], frame.Fold(frame.PseudoSum(f, 14, frame.ProtoUDP, 8+size)))
	return b
}

// onWire is how a NIC without offloads sends it, but for the IPv4 id and the header's checksum.
func onWire(t *testing.T, b []byte) string {
	t.Helper()
	var v frame.Vnet
	v.Unmarshal(b)
	f := bytes.Clone(b[frame.VnetLen:])
	labtest.Must(t, frame.FinishChecksum(v, f))
	clear(f[18:20])
	clear(f[24:26])
	return string(f)
}

// offloadsOff makes both ends of a cable NICs that take no super-frame and finish no checksum.
func offloadsOff(t *testing.T, h *lab.Host, name string) {
	t.Helper()
	labtest.Tool(t, "ethtool", "ethtool")
	out, err := h.Command("ethtool", "-K", name, "tso", "off", "gso", "off", "tx", "off", "sg", "off",
		"tx-udp-segmentation", "off").CombinedOutput()
	if err != nil {
		t.Fatalf("ethtool: %v: %s", err, out)
	}
}

// hold keeps the relay from reading while f runs, so that what f sends is one batch.
func (g *rig) hold(f func()) {
	g.Helper()
	labtest.Must(g, g.relay.tx.end())
	f()
	labtest.Must(g, g.relay.tx.start())
}

// What is joined on its way arrives as it was sent at a NIC without offloads, for many flows and sizes.
func TestJoinedDatagramsArriveAsTheyWere(t *testing.T) {
	for _, off := range []bool{false, true} {
		t.Run(fmt.Sprintf("offloads off %v", off), func(t *testing.T) {
			g := newRig(t, 1)
			if off {
				offloadsOff(t, g.host, "m0")
			}
			g.apply(g.plan(spread.RuleSingle))
			udp := func(h *frame.Headers) bool { return h.Protocol == frame.UDP }
			host := g.port(g.host, "team0", udp)
			peer := g.port(g.peer, "p0", udp)
			base := g.counters().Members[0].TX[frame.UDP]
			var want [8][]string
			sent, octets, longest := 0, 0, 0
			g.hold(func() {
				for n := range 400 {
					flow := n / 3 % 3
					if n >= 200 {
						flow = n / 25 % 8
					}
					b := datagram(peerMAC, adapterMAC, flow, n, []int{18, 18, 4, 18, 1400, 1400, 333, 60}[n/50])
					want[flow] = append(want[flow], onWire(t, b))
					host.socket.Queue(b)
					if failed := host.socket.Flush(); len(failed) > 0 {
						t.Fatalf("not sent: %+v", failed)
					}
					sent++
					octets += len(b) - frame.VnetLen
				}
			})
			var got [8][]string
			for n := 0; n < sent; {
				b := <-peer.seen
				longest = max(longest, len(b))
				var v frame.Vnet
				v.Unmarshal(b)
				err := frame.Segment(v, b[frame.VnetLen:], func(seg []byte) bool {
					flow := binary.BigEndian.Uint16(seg[34:]) - 1000
					got[flow] = append(got[flow], onWire(t, append(make([]byte, frame.VnetLen), seg...)))
					n++
					return true
				})
				labtest.Must(t, err)
			}
			for flow := range want {
				if len(got[flow]) != len(want[flow]) {
					t.Fatalf("flow %d: %d frames, want %d", flow, len(got[flow]), len(want[flow]))
				}
				for i := range want[flow] {
					if got[flow][i] != want[flow][i] {
						t.Fatalf("flow %d, frame %d:\n%x, want\n%x", flow, i, got[flow][i], want[flow][i])
					}
				}
			}
			if off != (longest <= 1514+frame.VnetLen) {
				t.Errorf("the longest frame at the peer has %d octets: joined frames should be seen with offloads only",
					longest)
			}
			g.await("counters", func(c *team.Counters) bool {
				now := c.Members[0].TX[frame.UDP]
				return now.Frames-base.Frames == uint64(sent) && now.Bytes-base.Bytes == uint64(octets)
			})
		})
	}
}

// The same in the other direction, and what cannot be delivered is counted by frames.
func TestJoinedDatagramsAreReceived(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.plan(spread.RuleSingle))
	udp := func(h *frame.Headers) bool { return h.Protocol == frame.UDP }
	host, peer := g.port(g.host, "team0", udp), g.port(g.peer, "p0", udp)
	const n = 64
	var want, got []string
	send := func() {
		for i := range n {
			b := datagram(adapterMAC, peerMAC, 0, i, 18)
			want = append(want, onWire(t, b))
			peer.socket.Queue(b)
		}
		if failed := peer.socket.Flush(); len(failed) > 0 {
			t.Fatalf("not sent: %+v", failed)
		}
	}
	base := g.counters().Members[0].RX[frame.UDP].Frames
	joined := 0
	// How many come in one batch is the scheduler's.
	labtest.Eventually(t, "joined frames", func() bool {
		want, got = nil, nil
		send()
		for len(got) < n {
			b := <-host.seen
			var v frame.Vnet
			v.Unmarshal(b)
			if v.GSO() == frame.GSOUDPL4 {
				joined++
			}
			labtest.Must(t, frame.Segment(v, b[frame.VnetLen:], func(seg []byte) bool {
				got = append(got, onWire(t, append(make([]byte, frame.VnetLen), seg...)))
				return true
			}))
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("frame %d:\n%x, want\n%x", i, got[i], want[i])
			}
		}
		base += n
		return joined > 0
	})
	g.await("counters", func(c *team.Counters) bool { return c.Members[0].RX[frame.UDP].Frames == base })
	labtest.Must(t, g.host.Down("team0"))
	before := g.counters().Members[0].RXDrop[team.DropAdapter]
	send()
	g.await("drops", func(c *team.Counters) bool { return c.Members[0].RXDrop[team.DropAdapter] == before+n })
}

// A joined frame that a member refuses is as many frames, which another sends.
func TestJoinedDatagramsAreResent(t *testing.T) {
	g := newRig(t, 2)
	g.apply(g.plan(spread.RuleSingle))
	udp := func(h *frame.Headers) bool { return h.Protocol == frame.UDP }
	host, peer := g.port(g.host, "team0", udp), g.port(g.peer, "p1", udp)
	const n = 40
	g.hold(func() {
		for i := range n {
			host.socket.Queue(datagram(peerMAC, adapterMAC, 0, i, 18))
		}
		if failed := host.socket.Flush(); len(failed) > 0 {
			t.Fatalf("not sent: %+v", failed)
		}
		labtest.Must(t, g.host.Down("m0"))
	})
	for got := 0; got < n; {
		b := <-peer.seen
		var v frame.Vnet
		var h frame.Headers
		v.Unmarshal(b)
		frame.Parse(b[frame.VnetLen:], &h)
		frames, _ := frame.WireCount(v, &h, len(b)-frame.VnetLen)
		got += frames
	}
	c := g.await("counters", func(c *team.Counters) bool { return c.Members[0].Resent == n })
	if got := c.Members[1].TX[frame.UDP].Frames; got < n {
		t.Errorf("member 1 sent %d frames", got)
	}
}

// Streams both ways, of many flows and sizes: nothing lost, doubled, out of order or changed.
func TestStreamsPassClean(t *testing.T) {
	for _, off := range []bool{false, true} {
		g := newRig(t, 2)
		if off {
			for i := range g.links {
				offloadsOff(t, g.host, fmt.Sprintf("m%d", i))
				offloadsOff(t, g.peer, fmt.Sprintf("p%d", i))
			}
		}
		g.apply(g.plan(spread.RuleSingle))
		g.bridge()
		for _, s := range []lab.Stream{
			// No more than a small machine with other work carries.
			{Flows: 1, Size: 32, Rate: 5000}, {Flows: 4, Size: 200, Rate: 5000}, {Flows: 16, Size: 1400, Rate: 4000},
			{Flows: 7, Size: 4000, Rate: 1000},
		} {
			out, in := s, s
			out.From, out.To, out.Address = g.host, g.peer, netip.MustParseAddr("10.9.0.2")
			in.From, in.To, in.Address = g.peer, g.host, netip.MustParseAddr("10.9.0.1")
			a, err := out.Start()
			labtest.Must(t, err)
			b, err := in.Start()
			labtest.Must(t, err)
			<-time.After(500 * time.Millisecond) // the traffic itself
			for _, r := range []*lab.Running{a, b} {
				rep, err := r.Stop()
				labtest.Must(t, err)
				if !rep.Clean() || rep.Received == 0 {
					c := g.counters()
					t.Errorf("offloads off %v, %d flows of %d octets: %v; dropped: transmit %v, receive %v, adapter %v",
						off, s.Flows, s.Size, rep,
						c.Members[0].TXDrop, c.Members[0].RXDrop, c.Adapter.TXDrop)
				}
			}
		}
	}
}
