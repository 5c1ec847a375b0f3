// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// linearParts returns the map in which a program on a member's ingress, before receive, notes how many octets the
// linear part of the last long frame had.
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
			var n uint32
			labtest.Must(t, linear.Lookup(uint32(0), &n))
			if n < frame.EtherLen || n > 60 {
				t.Errorf("%d octets of the frame are linear", n)
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

// A NIC is the member that the Plan says, or else the one that the map has, where another member's ifindex has the same
// last octet. A NIC that is neither's is left alone.
func TestMemberOfANIC(t *testing.T) {
	b := newBed(t)
	c := &cast{members: 0b1110}
	pl := &spread.Plan{Rule: spread.RuleSlots, Active: -1, Next: -1, Adapter: adapterMAC,
		TeamMACs: []frame.MAC{adapterMAC}, Collecting: c.members}
	for id := 1; id < 4; id++ {
		c.mac[id] = memberMAC(id)
		pl.TeamMACs = append(pl.TeamMACs, memberMAC(id))
	}
	pl.MACs = c.mac
	const same = loopback + 256
	for name, v := range map[string]struct {
		indexes [4]int // of members 1 to 3
		inMap   int    // 0: not in the map
		want    int
	}{
		"by the Plan":               {[4]int{0, 7, loopback, 9}, 0, 2},
		"by the Plan, not the map":  {[4]int{0, 7, loopback, 9}, 3, 2},
		"by the map":                {[4]int{0, loopback, 7, same}, 1, 1},
		"joined, and not in a Plan": {[4]int{0, 7, 8, 9}, 3, 3},
		"nobody's":                  {[4]int{0, same, 7, 9}, 0, 0},
	} {
		for id := 1; id < 4; id++ {
			b.links[id] = &team.Link{Index: v.indexes[id]}
		}
		labtest.Must(t, b.applyPlan(pl, &b.links))
		if v.inMap != 0 {
			labtest.Must(t, b.receives(v.inMap))
		} else if err := b.Members.Delete(uint32(loopback)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			t.Fatal(err)
		}
		f := slices.Clone(flowsOf(1)[0])
		memberMAC(v.want).Put(f, 0)
		peerMAC.Put(f, 6)
		o, err := b.run(b.Receive, f, 0)
		labtest.Must(t, err)
		for id := range o.Unicast {
			if got, want := o.Unicast[id].RX == 1, id == v.want && v.want != 0; got != want {
				t.Errorf("%s: member %d has received it: %v", name, id, got)
			}
		}
		if v.want == 0 && o.Verdict != verdictNext {
			t.Errorf("%s: %d", name, o.Verdict)
		}
	}
}
