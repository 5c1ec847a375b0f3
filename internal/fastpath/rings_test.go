// SPDX-License-Identifier: MIT

package fastpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// listening reports whether packet sockets for all protocols are bound to a NIC of the host.
func (g *rig) listening(id int) (found bool) {
	g.Helper()
	labtest.Must(g, g.host.Do(func() error {
		all, err := os.ReadFile("/proc/thread-self/net/packet")
		for line := range strings.Lines(string(all)) {
			f := strings.Fields(line)
			found = found || len(f) > 4 && f[3] == "0003" && f[4] == strconv.Itoa(g.links[id].Index)
		}
		return err
	}))
	return found
}

// gate returns who moves what member id receives.
func (g *rig) gate(id int) uint32 { return atomic.LoadUint32(&g.path.kernel.control.ReceiveGate[id]) }

// aside returns a frame as a packet socket has it, and the tag that the kernel has aside, as text.
func aside(b, control []byte) string {
	tpid, tci := uint16(0), uint16(0)
	all, _ := unix.ParseSocketControlMessage(control)
	for _, c := range all {
		if c.Header.Type == unix.PACKET_AUXDATA && binary.NativeEndian.Uint32(c.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
			tci, tpid = binary.NativeEndian.Uint16(c.Data[16:]), binary.NativeEndian.Uint16(c.Data[18:])
		}
	}
	return fmt.Sprintf("%04x %04x %x", tpid, tci, b)
}

// controlVectors are frames for the relay of all kinds, each with a number at its end.
func controlVectors() (all []vector) {
	const vlan, service = frame.TypeVLAN, frame.TypeQinQ
	request := arpAnswer(memberMAC(0), peerMAC)[14:42]
	nd := func(kind byte) []byte { return append([]byte{kind}, make([]byte, 31)...) }
	add := func(name string, b []byte) {
		b = append(b, make([]byte, 60)...)
		all = append(all, vector{name, append(b, byte(len(all)))})
	}
	for _, dst := range []frame.MAC{frame.Broadcast, memberMAC(0), adapterMAC, 0x333300000001, 0x0180c2000002} {
		for kind, inside := range map[uint16][]byte{frame.TypeARP: request, frame.TypeSlow: {1, 1},
			frame.TypeProbe: {1, 2, 3}, frame.TypeIPv6: stack(nd(135), ipv6(frame.ProtoICMPv6))} {
			for _, tags := range [][]uint16{{}, {vlan}, {service}, {service, vlan}, {vlan, service, vlan}} {
				kinds := append(slices.Clone(tags), kind)
				parts := []part{ether(dst, peerMAC, kinds[0])}
				for i := range tags {
					parts = append(parts, tag(uint16(0x6007+i), kinds[i+1]))
				}
				add(fmt.Sprintf("%x to %v", kinds, dst), stack(inside, parts...))
			}
			add(fmt.Sprintf("%x to %v with a priority", kind, dst),
				stack(inside, ether(dst, peerMAC, vlan), tag(0x6000, kind)))
		}
	}
	add("ND behind options", stack(nd(136), ether(memberMAC(0), peerMAC, frame.TypeIPv6), ipv6(0),
		extension(frame.ProtoICMPv6, 0)))
	add("slow, another subtype", stack([]byte{9, 9}, ether(0x0180c2000002, peerMAC, frame.TypeSlow)))
	add("long", stack(append(request, make([]byte, 1400)...), ether(frame.Broadcast, peerMAC, frame.TypeARP)))
	return all
}

// Each frame for the relay comes to the adapter and to the control loop with the same tags and octets whether the
// relay's socket or the ring has it, and while the programs move all the rest, no socket listens on the NIC.
func TestControlFramesByRing(t *testing.T) {
	g := newRig(t, 1)
	pl := g.plan(spread.RuleSlots)
	pl.PerMember = true
	labtest.Must(t, g.path.Apply(pl))
	vectors := controlVectors()
	slices.SortFunc(vectors, func(a, b vector) int { return strings.Compare(a.name, b.name) })
	peer, adapter := g.peerSocket(0), listenTo(t, g.host, "team0")
	labtest.Must(t, unix.SetsockoptInt(adapter, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1))
	labtest.Must(t, unix.SetsockoptInt(adapter, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	last := arpAnswer(memberMAC(0), peerMAC)
	last[21] = 1 // a request
	// outcome is what comes of a frame, up to last, which is sent behind it.
	outcome := func(f []byte) (got []string) {
		labtest.Must(t, peer.SendControl(f))
		labtest.Must(t, peer.SendControl(last))
		for b, control := make([]byte, 4000), make([]byte, 200); ; {
			n, m, _, _, err := unix.Recvmsg(adapter, b, control, 0)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			labtest.Must(t, err)
			if n == len(last) && slices.Equal(b[14:n], last[14:]) {
				break
			}
			if frame.MACAt(b, 6) == peerMAC {
				got = append(got, "adapter: "+aside(b[:n], control[:m]))
			}
		}
		for timeout := time.After(labtest.Patience); ; {
			select {
			case c := <-g.path.Control():
				if c.Kind != team.ControlFrame {
					continue
				}
				if slices.Equal(c.Frame, last) {
					return got
				}
				got = append(got, fmt.Sprintf("control: %x", c.Frame))
			case <-timeout:
				t.Fatalf("%x is not with the control loop", last)
			}
		}
	}
	// A frame of a slow protocol may come behind last.
	all := func() (got []string) {
		for _, v := range vectors {
			got = append(got, outcome(v.b)...)
		}
		slices.Sort(got)
		return got
	}
	want := slices.Compact(all()) // some come twice when the slowReceiver begins
	if !g.listening(0) || len(want) < len(vectors) {
		t.Fatalf("by the relay: %d frames come, the socket listens: %v", len(want), g.listening(0))
	}
	labtest.Must(t, g.path.Engage())
	if g.gate(0) != relay.GateAlone {
		t.Fatalf("gate %d", g.gate(0))
	}
	before := g.ringed(0)
	if diff := cmp.Diff(want, all()); diff != "" {
		t.Errorf("by the ring (-by the socket +by the ring):\n%s", diff)
	}
	if n := g.ringed(0) - before; n < uint64(60*len(vectors)) || g.listening(0) {
		t.Errorf("%d octets have come by the ring, the socket listens: %v", n, g.listening(0))
	}
	if n := totals(g).Members[0].RXDrop[team.DropSocket]; n > 0 {
		t.Errorf("%d frames found no room", n)
	}
	labtest.Must(t, g.path.Disengage())
	if !g.listening(0) {
		t.Error("the socket does not listen")
	}
	if diff := cmp.Diff(want, slices.Compact(all())); diff != "" {
		t.Errorf("after the change back (-before +after):\n%s", diff)
	}
}

// ringed is how many octets have come by a member's ring.
func (g *rig) ringed(id int) uint64 {
	return binary.NativeEndian.Uint64(g.path.rings[id].producer)
}

// What does not fit is counted, and what fits comes in order.
func TestRingWithoutRoom(t *testing.T) {
	b := newBed(t)
	const id = 3
	c := &cast{members: spread.MemberSet(0).With(id)}
	c.mac[id] = memberMAC(id)
	labtest.Must(t, b.apply(&spread.Plan{Rule: spread.RuleSingle, Adapter: adapterMAC, Active: -1, Next: -1}, c))
	labtest.Must(t, b.receives(id))
	spec, err := loadProgram()
	labtest.Must(t, err)
	if n := spec.Maps[programMapRings].InnerMap.MaxEntries; n != ringSize {
		t.Errorf("programs have rings of %d octets, Go of %d", n, ringSize)
	}
	r, err := newRing()
	labtest.Must(t, err)
	defer func() { labtest.Check(t, r.close()) }()
	labtest.Must(t, b.Rings.Put(uint32(id), r.m))
	b.gates(relay.GateAlone)
	f := stack(make([]byte, 1400), ether(frame.Broadcast, peerMAC, frame.TypeARP))
	room, lost := ringSize/((recordHeader+ringHeader+len(f)+7)&^7), 0
	for round := range 3 {
		drops := uint64(0)
		n := 0
		for ; drops == 0 && n <= room; n++ {
			binary.BigEndian.PutUint32(f[len(f)-4:], uint32(n))
			o, err := b.run(b.Receive, f, 0)
			labtest.Must(t, err)
			drops = o.Counts.members[id].RXDrop[team.DropSocket]
			if o.Verdict != verdictNext {
				t.Fatalf("verdict %d", o.Verdict)
			}
		}
		if lost += int(drops); n < room-1 {
			t.Errorf("round %d: frame %d of %d is dropped", round, n, room)
		}
		buf := make([]byte, 2000)
		for i := range n - 1 {
			if size, tpid, _ := r.Read(buf); size != len(f) || tpid != 0 ||
				binary.BigEndian.Uint32(buf[size-4:]) != uint32(i) {
				t.Fatalf("round %d: frame %d is one of %d octets, %x", round, i, size, buf[:min(size, 60)])
			}
		}
		if size, _, _ := r.Read(buf); size > 0 {
			t.Errorf("round %d: one more", round)
		}
	}
	if lost != 3 {
		t.Errorf("%d are counted", lost)
	}
}

// The ring of a process before may be another build's, of another size.
func TestRingOfAnotherSize(t *testing.T) {
	b := newBed(t)
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: 4 * ringSize})
	labtest.Must(t, err)
	fd, err := unix.FcntlInt(uintptr(m.FD()), unix.F_DUPFD_CLOEXEC, 0)
	labtest.Must(t, errors.Join(err, m.Close()))
	r, err := adoptRing(fd)
	labtest.Must(t, err)
	defer func() { labtest.Check(t, r.close()) }()
	labtest.Must(t, b.Rings.Put(uint32(0), r.m))
	if r.size != 4*ringSize || len(r.records) != 4*ringSize {
		t.Errorf("adopted as one of %d octets, of which %d are mapped", r.size, len(r.records))
	}
}

// A record of a ring is what a program wrote, whatever the memory has.
func FuzzCopyFrame(f *testing.F) {
	f.Add([]byte{0x81, 0, 7, 0, 4, 0, 0, 0, 1, 2, 3, 4}, 100)
	f.Add([]byte{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1}, 10)
	f.Add([]byte{1, 2, 3}, 0)
	f.Fuzz(func(t *testing.T, record []byte, room int) {
		b := make([]byte, max(0, min(room, 1<<16)))
		n, _, _ := copyFrame(b, record)
		if n > len(b) || n > max(0, len(record)-ringHeader) {
			t.Fatalf("%d octets of a record of %d into %d", n, len(record), len(b))
		}
		if n > 0 && !slices.Equal(b[:n], record[ringHeader:ringHeader+n]) {
			t.Error("other octets")
		}
	})
}
