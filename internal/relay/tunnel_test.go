// SPDX-License-Identifier: MIT

package relay

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/tap"
	"nicteam/modes/spread"
	"nicteam/team"
)

// tunnelFrame is [virtio header][TCP of n octets in a tunnel], to be cut at size, as a member's socket gives it. lead
// is what lies between the outer IP header, which says proto, and the inner packet or frame.
func tunnelFrame(proto uint8, lead []byte, ethernet bool, n, size int) []byte {
	inner := make([]byte, 54+n)
	adapterMAC.Put(inner, 0)
	peerMAC.Put(inner, 6)
	binary.BigEndian.PutUint16(inner[12:], frame.TypeIPv4)
	putIPv4(inner[14:], frame.ProtoTCP, 77)
	inner[14+20+12], inner[14+20+13] = 5<<4, 0x18
	for i := range n {
		inner[54+i] = byte(i >> 3)
	}
	binary.BigEndian.PutUint16(inner[14+20+16:], frame.Fold(frame.PseudoSum(inner, 14, frame.ProtoTCP, 20+n)))
	body := inner
	if !ethernet {
		body = inner[14:]
	}
	b := append(slices.Clone(inner[:14]), make([]byte, 20)...)
	b = append(append(b, lead...), body...)
	putIPv4(b[14:], proto, 9)
	if proto == frame.ProtoUDP {
		binary.BigEndian.PutUint16(b[34+4:], uint16(len(b)-34))
	}
	l4 := len(b) - n - 20
	v := frame.Vnet{Flags: frame.NeedsCsum, GSOType: frame.GSOTCPv4, HdrLen: uint16(l4 + 20), GSOSize: uint16(size),
		CsumStart: uint16(l4), CsumOffset: 16}
	out := append(make([]byte, frame.VnetLen), b...)
	v.Marshal(out)
	return out
}

func putIPv4(ip []byte, proto, net uint8) {
	ip[0], ip[6], ip[8], ip[9] = 0x45, 0x40, 64, proto
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], []byte{10, net, 0, 2, 10, net, 0, 1})
	binary.BigEndian.PutUint16(ip[10:], frame.Checksum(ip[:20]))
}

// Tunnels of Linux, each with its header.
var tunnels = []struct {
	name     string
	proto    uint8
	lead     []byte
	ethernet bool
	whole    bool // a TAP has a header for it
}{
	{"VXLAN", frame.ProtoUDP, []byte{0xc3, 0x50, 0x12, 0xb5, 0, 0, 1, 1, 8, 0, 0, 0, 0, 0, 7, 0}, true, true},
	{"VXLAN, no checksum", frame.ProtoUDP, []byte{0xc3, 0x50, 0x12, 0xb5, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 7, 0},
		true, true},
	{"Geneve", frame.ProtoUDP, []byte{0xc3, 0x50, 0x17, 0xc1, 0, 0, 1, 1, 1, 0, 0x65, 0x58, 0, 0, 7, 0, 1, 2, 3, 0},
		true, true},
	{"GRE", 47, []byte{0, 0, 8, 0}, false, false},
	{"GRE, key and checksum", 47, []byte{0xa0, 0, 8, 0, 0, 0, 0, 0, 1, 2, 3, 4}, false, false},
	{"GRETAP", 47, []byte{0, 0, 0x65, 0x58}, true, false},
	{"IPIP", 4, nil, false, false},
}

// tapNIC makes member 0 a TAP: what is written to it comes in by the NIC as it is, whatever the virtio header says.
func (g *rig) tapNIC() *tap.Queue {
	g.Helper()
	var a *tap.Adapter
	labtest.Must(g, g.host.Do(func() (err error) {
		a, err = tap.Create(tap.Options{Name: "m0", MAC: memberMAC(0)})
		return err
	}))
	g.Cleanup(func() { a.Delete() })
	labtest.Must(g, g.host.Up("m0"))
	labtest.Must(g, a.SetCarrier(true))
	g.links = append(g.links, team.Link{Name: "m0", Index: a.Index(), MAC: a.MAC()})
	g.join(0)
	return a.Queues()[0]
}

// A NIC's super-frame of a tunnel reaches the adapter whole where the kernel has a header for it, and otherwise as what
// it is on the wire; by UDP in few frames.
func TestTunnelSuperFramesReachTheAdapter(t *testing.T) {
	g := newRig(t, 0)
	nic := g.tapNIC()
	g.apply(g.plan(spread.RuleSingle))
	host := g.port(g.host, "team0", func(h *frame.Headers) bool { return h.Src == peerMAC })
	offloads := g.adapter.Offloads()
	for _, way := range []struct {
		name          string
		tunnel, merge bool
		able          bool
	}{
		{"whole", true, false, offloads.Tunnel()},
		{"in groups", false, true, offloads.USO()},
		{"in segments", false, false, true},
	} {
		t.Run(way.name, func(t *testing.T) {
			if !way.able {
				t.Skip("needs a later kernel for such super-frames in TAPs: 6.17 for tunnels, 6.2 for UDP")
			}
			_, err := g.relay.doInMember(0, func(m *member) { m.tunnel, m.merge = way.tunnel, way.merge })
			labtest.Must(t, err)
			for _, k := range tunnels {
				t.Run(k.name, func(t *testing.T) {
					b := tunnelFrame(k.proto, k.lead, k.ethernet, 20000, 1398)
					before := g.counters().Members[0]
					var want []string
					octets := 0
					var v frame.Vnet
					v.Unmarshal(b)
					labtest.Must(t, frame.Segment(v, b[frame.VnetLen:], func(seg []byte) bool {
						want, octets = append(want, fmt.Sprintf("%x", seg)), octets+len(seg)
						return true
					}))
					_, err := nic.Write(b)
					labtest.Must(t, err)
					var got []string
					frames := 0
					for len(got) < len(want) {
						b := host.nextWhole()
						v.Unmarshal(b)
						labtest.Must(t, frame.Segment(v, b[frame.VnetLen:], func(seg []byte) bool {
							got = append(got, fmt.Sprintf("%x", seg))
							return true
						}))
						frames++
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("-want +got\n%s", diff)
					}
					few := way.tunnel && k.whole || way.merge && k.proto == frame.ProtoUDP && k.lead[6] != 0
					if few != (frames == 1) {
						t.Errorf("%d frames for %d segments", frames, len(want))
					}
					p := frame.Other
					if k.proto == frame.ProtoUDP {
						p = frame.UDP
					}
					c := g.counters().Members[0].RX[p]
					c.Frames, c.Bytes = c.Frames-before.RX[p].Frames, c.Bytes-before.RX[p].Bytes
					if w := (frame.Count{Frames: uint64(len(want)), Bytes: uint64(octets)}); c != w {
						t.Errorf("counted %+v, want %+v", c, w)
					}
				})
			}
		})
	}
}

// What looks like a tunnel's super-frame and is none that anybody can cut is counted and lost, and nothing else is.
func TestMalformedTunnelsAreDropped(t *testing.T) {
	g := newRig(t, 0)
	nic := g.tapNIC()
	g.apply(g.plan(spread.RuleSingle))
	host := g.port(g.host, "team0", func(h *frame.Headers) bool { return h.Src == peerMAC })
	gre := tunnelFrame(47, []byte{0x10, 0, 8, 0, 0, 0, 0, 1}, false, 20000, 1398) // numbered: segments cannot be
	cut := tunnelFrame(47, []byte{0, 0, 8, 0}, false, 20000, 1398)
	cut[frame.VnetLen+14+20+4+3]++ // longer than it is
	good := testFrame(adapterMAC, peerMAC, 1)
	for _, b := range [][]byte{gre, cut, append(make([]byte, frame.VnetLen), good...)} {
		_, err := nic.Write(b)
		labtest.Must(t, err)
	}
	host.expect(good)
	g.await("both dropped", func(c *team.Counters) bool { return c.Members[0].RXDrop[team.DropMalformed] == 2*15 })
}

func TestWholeTunnelFramesAllocateNothing(t *testing.T) {
	g := newRig(t, 1)
	if !g.adapter.Offloads().Tunnel() {
		t.Skip("needs Linux 6.17 for super-frames of tunnels in TAPs")
	}
	m := newMember(g.relay, 1, g.relay.members[0].Load().socket)
	k := tunnels[0]
	b := tunnelFrame(k.proto, k.lead, k.ethernet, 20000, 1398)
	var v frame.Vnet
	v.Unmarshal(b)
	if n := testing.AllocsPerRun(200, func() {
		if _, ok := m.write(b, true); !ok {
			t.Fatal("not written")
		}
		v.Marshal(b) // the TAP's header lies in its place
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}
