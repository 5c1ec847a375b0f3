// SPDX-License-Identifier: MIT

package fastpath

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// untagged is a frame as a packet socket has it: where the kernel has the outer tag aside it is not in the frame.
type untagged struct {
	TPID, TCI uint16
	Frame     []byte
}

// awaitFrame reads from a socket of listenTo until a frame of ethertype kind comes, behind its tag.
func awaitFrame(t *testing.T, fd int, kind uint16) untagged {
	t.Helper()
	labtest.Must(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1))
	for {
		b, oob := make([]byte, 2000), make([]byte, 200)
		n, m, _, _, err := unix.Recvmsg(fd, b, oob, 0)
		labtest.Must(t, err)
		a := untagged{Frame: b[:n]}
		all, err := unix.ParseSocketControlMessage(oob[:m])
		labtest.Must(t, err)
		for _, c := range all {
			if c.Header.Type == unix.PACKET_AUXDATA &&
				binary.NativeEndian.Uint32(c.Data)&unix.TP_STATUS_VLAN_VALID != 0 {
				a.TCI, a.TPID = binary.NativeEndian.Uint16(c.Data[16:]), binary.NativeEndian.Uint16(c.Data[18:])
			}
		}
		if n > 14 && a.TPID != 0 && binary.BigEndian.Uint16(b[12:]) == kind {
			return a
		}
	}
}

// send sends a frame by a NIC of h.
func send(t *testing.T, h *lab.Host, name string, f []byte) {
	t.Helper()
	labtest.Must(t, h.Do(func() error {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		l, err := h.Handle().LinkByName(name)
		if err != nil {
			return err
		}
		return unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index})
	}))
}

// The kernel has the outer tag aside where the programs see a frame. It goes on with the frame, counts, and what is
// rewritten is the address before it.
func TestTaggedFrames(t *testing.T) {
	g := newRig(t, 1)
	pl := g.plan(spread.RuleSingle)
	pl.Active, pl.PerMember, pl.Promiscuous = 0, true, true
	pl.Behind, pl.TeamMACs = []frame.MAC{guestMAC}, append(pl.TeamMACs, guestMAC)
	pl.Stations = []frame.Station{frame.StationOf(guestMAC, 7)}
	labtest.Must(t, g.path.Apply(pl))
	labtest.Must(t, g.path.Engage())
	text := make([]byte, 100)

	t.Run("received", func(t *testing.T) {
		in := listenTo(t, g.host, "team0")
		f := stack(text, ether(memberMAC(0), peerMAC, frame.TypeVLAN), tag(0x6064, frame.TypeIPv4),
			ipv4(frame.ProtoUDP, 0, 0), udp(7, 8))
		before := totals(g)
		send(t, g.peer, "p0", f)
		want := untagged{frame.TypeVLAN, 0x6064,
			stack(text, ether(adapterMAC, peerMAC, frame.TypeIPv4), ipv4(frame.ProtoUDP, 0, 0), udp(7, 8))}
		if diff := cmp.Diff(want, awaitFrame(t, in, frame.TypeIPv4)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		after := totals(g)
		got := after.Members[0].RX[frame.UDP]
		was := before.Members[0].RX[frame.UDP]
		if got.Frames-was.Frames != 1 || got.Bytes-was.Bytes != uint64(len(f)) {
			t.Errorf("counted %+v, before %+v, want 1 frame of %d bytes", got, was, len(f))
		}
	})
	t.Run("of the NIC", func(t *testing.T) {
		adapter, nic := listenTo(t, g.host, "team0"), listenTo(t, g.host, "m0")
		l, err := g.host.Handle().LinkByName("m0")
		labtest.Must(t, err)
		const ptp = 0x88f7
		// A socket for all protocols receives before any program does.
		labtest.Must(t, unix.Bind(nic, &unix.SockaddrLinklayer{Protocol: ptp<<8&0xffff | ptp>>8,
			Ifindex: l.Attrs().Index}))
		before := totals(g)
		send(t, g.peer, "p0", stack(text, ether(memberMAC(0), peerMAC, frame.TypeVLAN), tag(0xe000, ptp)))
		want := untagged{frame.TypeVLAN, 0xe000, stack(text, ether(adapterMAC, peerMAC, ptp))}
		if diff := cmp.Diff(want, awaitFrame(t, adapter, ptp)); diff != "" {
			t.Errorf("on the adapter (-want +got):\n%s", diff)
		}
		b := make([]byte, 2000)
		for binary.BigEndian.Uint16(b[12:]) != ptp {
			_, _, err := unix.Recvfrom(nic, b, 0)
			labtest.Must(t, err)
		}
		if diff := cmp.Diff(stack(text, ether(memberMAC(0), peerMAC, ptp)), b[:len(want.Frame)]); diff != "" {
			t.Errorf("on the NIC (-want +got):\n%s", diff)
		}
		got, was := totals(g).Members[0].RX[frame.Other], before.Members[0].RX[frame.Other]
		if got.Frames-was.Frames != 1 {
			t.Errorf("counted %+v, before %+v, want 1 frame", got, was)
		}
	})
	t.Run("sent for a station", func(t *testing.T) {
		guest := labtest.Host(t, "guest")
		labtest.Cable(t, g.host, "g0", guest, "eth0", lab.CableOptions{})
		a := netlink.NewLinkAttrs()
		a.Name = "br1"
		snooping := false
		br := &netlink.Bridge{LinkAttrs: a, MulticastSnooping: &snooping}
		labtest.Must(t, g.host.Handle().LinkAdd(br))
		for _, name := range []string{"g0", "team0"} {
			l, err := g.host.Handle().LinkByName(name)
			labtest.Must(t, err)
			labtest.Must(t, g.host.Handle().LinkSetMaster(l, br))
		}
		labtest.Must(t, g.host.Up("br1"))
		out := listenTo(t, g.peer, "p0")
		inside := []part{ipv4(frame.ProtoIGMP, 0, 1), typed(0x16, 0)}
		f := stack(text, append([]part{ether(groupMAC, guestMAC, frame.TypeVLAN), tag(0x0007, frame.TypeIPv4)},
			inside...)...)
		want := untagged{frame.TypeVLAN, 7, stack(text,
			append([]part{ether(groupMAC, memberMAC(0), frame.TypeIPv4)}, inside...)...)}
		before := totals(g)
		send(t, guest, "eth0", f)
		if diff := cmp.Diff(want, awaitFrame(t, out, frame.TypeIPv4)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		after := totals(g)
		got, was := after.Members[0].TX[frame.Other], before.Members[0].TX[frame.Other]
		if got.Frames-was.Frames != 1 || got.Bytes-was.Bytes != uint64(len(f)) {
			t.Errorf("counted %+v, before %+v, want 1 frame of %d bytes", got, was, len(f))
		}
	})
	var slow team.Counters
	g.path.relay.Counters(&slow)
	if n := slow.Members[0].RX[frame.UDP].Frames + slow.Members[0].TX[frame.Other].Frames; n != 0 {
		t.Errorf("the relay has moved %d", n)
	}
}

func totals(g *rig) *team.Counters {
	var c team.Counters
	g.path.Counters(&c)
	return &c
}
