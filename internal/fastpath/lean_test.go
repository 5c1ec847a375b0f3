// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// linearParts returns the map in which a program on a member's ingress, before receive, notes how many octets the
// linear part of the last long frame had; nil: it cannot be attached beside receive.
func (g *rig) linearParts(id int) *ebpf.Map {
	g.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	labtest.Must(g, err)
	g.Cleanup(func() { m.Close() })
	const length, data, dataEnd, next = 0, 76, 80, -1 // of struct __sk_buff; TC_ACT_UNSPEC
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{
			asm.LoadMem(asm.R2, asm.R1, length, asm.Word),
			asm.JLT.Imm(asm.R2, pageSize, "end"),
			asm.LoadMem(asm.R6, asm.R1, dataEnd, asm.Word),
			asm.LoadMem(asm.R2, asm.R1, data, asm.Word),
			asm.Sub.Reg(asm.R6, asm.R2),
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.LoadMapPtr(asm.R1, m.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "end"),
			asm.StoreMem(asm.R0, 0, asm.R6, asm.Word),
			asm.Mov.Imm(asm.R0, next).WithSymbol("end"),
			asm.Return(),
		}})
	labtest.Must(g, err)
	g.Cleanup(func() { p.Close() })
	h, err := g.Attach(g.links[id].Index, ebpf.AttachTCXIngress, p)
	if errors.Is(err, unix.EEXIST) {
		return nil // clsact: receive has the place
	}
	labtest.Must(g, err)
	g.Cleanup(func() { h.Close() })
	return m
}

// pageSize is the length from which a packet socket makes an SKB of which only the Ethernet header is linear.
const pageSize = 4096

// Headers that are not in the linear part of the SKB are read as all others, in either direction.
func TestHeadersBehindTheLinearPart(t *testing.T) {
	g := newRig(t, 1)
	for _, name := range []string{"m0", "team0"} {
		l, err := g.host.Handle().LinkByName(name)
		labtest.Must(t, err)
		labtest.Must(t, g.host.Handle().LinkSetMTU(l, 9000))
	}
	for _, name := range []string{"p0", "br0"} {
		l, err := g.peer.Handle().LinkByName(name)
		labtest.Must(t, err)
		labtest.Must(t, g.peer.Handle().LinkSetMTU(l, 9000))
	}
	pl := g.plan(spread.RuleShortest)
	pl.Active, pl.PerMember = 0, true
	labtest.Must(t, g.path.Apply(pl))
	labtest.Must(t, g.path.Engage())
	linear := g.linearParts(0)
	text := make([]byte, 5000)
	for name, inside := range map[string][]part{
		"UDP":           {ipv4(frame.ProtoUDP, 0, 0), udp(7, 8)},
		"UDP over IPv6": {ipv6(frame.ProtoUDP), udp(7, 8)},
		"TCP":           {ipv4(frame.ProtoTCP, 0, 0), tcp(7, 8, 3)},
		"TCP over IPv6": {ipv6(frame.ProtoTCP), tcp(7, 8, 3)},
		"DHCP answer":   {ipv4(frame.ProtoUDP, 0, 0), udp(67, 68)}, // the NIC's, too
	} {
		t.Run(name, func(t *testing.T) {
			kind := uint16(frame.TypeIPv4)
			if inside[0](nil)[0]>>4 == 6 {
				kind = frame.TypeIPv6
			}
			from := func(dst, src frame.MAC) []byte {
				return stack(text, append([]part{ether(dst, src, kind)}, inside...)...)
			}
			way := func(fd int, want []byte) {
				t.Helper()
				if diff := cmp.Diff(want, awaitLong(t, fd)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			before := totals(g)
			out, in := listenTo(t, g.peer, "p0"), listenTo(t, g.host, "team0")
			send(t, g.host, "team0", from(peerMAC, adapterMAC))
			way(out, from(peerMAC, memberMAC(0)))
			send(t, g.peer, "p0", from(memberMAC(0), peerMAC))
			way(in, from(adapterMAC, peerMAC))
			if linear != nil {
				var n uint32
				labtest.Must(t, linear.Lookup(uint32(0), &n))
				if n < frame.EtherLen || n > 60 {
					t.Errorf("%d octets of the frame are linear", n)
				}
			}
			after, protocol := totals(g), frame.UDP
			if inside[0](nil)[9] == frame.ProtoTCP || inside[0](nil)[6] == frame.ProtoTCP {
				protocol = frame.TCP
			}
			want := frame.Count{Frames: 1, Bytes: uint64(len(from(0, 0)))}
			for way, c := range map[string][2]frame.Count{
				"sent":     {after.Members[0].TX[protocol], before.Members[0].TX[protocol]},
				"received": {after.Members[0].RX[protocol], before.Members[0].RX[protocol]},
			} {
				got := frame.Count{Frames: c[0].Frames - c[1].Frames, Bytes: c[0].Bytes - c[1].Bytes}
				if got != want {
					t.Errorf("%s: %+v, want %+v", way, got, want)
				}
			}
		})
	}
}

// awaitLong reads from a socket of listenTo until a frame of a page or more comes.
func awaitLong(t *testing.T, fd int) []byte {
	t.Helper()
	b := make([]byte, 9100)
	for {
		n, _, err := unix.Recvfrom(fd, b, 0)
		labtest.Must(t, err)
		if n >= pageSize {
			return b[:n]
		}
	}
}

// A NIC is the member that it was made last, whichever others have come and gone whose ifindex has the same place.
func TestMemberOfANIC(t *testing.T) {
	b := newBed(t)
	c := &cast{members: 0b1110}
	pl := &spread.Plan{Rule: spread.RuleSlots, Active: -1, Next: -1, Adapter: adapterMAC, Promiscuous: true,
		Collecting: c.members, Multicast: c.members}
	labtest.Must(t, b.apply(pl, c))
	const same = loopback + 256
	f := flowsOf(1)[0]
	peerMAC.Put(f, 6)
	receiver := func() int {
		o, err := b.run(b.Receive, f, 0)
		labtest.Must(t, err)
		for id := range o.Unicast {
			if o.Unicast[id].RX == 1 {
				return id
			}
		}
		return -1
	}
	for _, step := range []struct {
		name string
		do   func() error
		want int
	}{
		{"nobody", func() error { return nil }, -1},
		{"joined", func() error { return b.setMember(loopback, 1) }, 1},
		{"another at its place", func() error { return b.setMember(same, 2) }, 1},
		{"joined again as another", func() error { return b.setMember(loopback, 3) }, 3},
		{"the other has left", func() error { return b.dropMember(same) }, 3},
		{"the other again", func() error { return b.setMember(same, 2) }, 3},
		{"left", func() error { return b.dropMember(loopback) }, -1},
		{"back", func() error { return b.setMember(loopback, 1) }, 1},
		{"left at its own place", func() error { return b.dropMember(loopback) }, -1},
		{"left twice", func() error { return b.dropMember(loopback) }, -1},
	} {
		labtest.Must(t, step.do())
		if got := receiver(); got != step.want {
			t.Errorf("%s: received by %d, want %d", step.name, got, step.want)
		}
	}
}
