// SPDX-License-Identifier: MIT

package lab_test

import (
	"encoding/binary"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// hardwareLines join a NIC of a kind, at end A, to a host.
var hardwareLines = map[string]func(t *testing.T, a, b lab.Node, hw lab.Hardware){
	"cable": func(t *testing.T, a, b lab.Node, hw lab.Hardware) {
		labtest.Cable(t, a, "eth0", b, "eth0", lab.CableOptions{MACA: ownMAC, HardwareA: hw})
	},
	"wire": func(t *testing.T, a, b lab.Node, hw lab.Hardware) {
		labtest.Wire(t, a, "eth0", b, "eth0", lab.WireOptions{MACA: ownMAC, HardwareA: hw})
	},
}

var (
	ownMAC    = net.HardwareAddr{2, 0, 0, 0, 0, 0xa}
	otherMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 0xb}
	thirdMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 0xc}
	slowGroup = net.HardwareAddr{1, 0x80, 0xc2, 0, 0, 2}
	someGroup = net.HardwareAddr{1, 0, 0x5e, 1, 2, 3}
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

// testType is of frames that only these tests send.
const testType = 0x88b5

// A bench is a NIC, eth0 of host a, and eth0 of host b, which sends frames to it.
type bench struct {
	*testing.T
	a, b    *lab.Host
	in, out *packet.Conn
	sent    uint64
}

func newBench(t *testing.T, line string, hw lab.Hardware) *bench {
	t.Helper()
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	hardwareLines[line](t, a, b, hw)
	return &bench{T: t, a: a, b: b, in: listenRaw(t, a, "eth0"), out: listenRaw(t, b, "eth0")}
}

// listenRaw opens a packet socket that sees all that a device gives its host.
func listenRaw(t *testing.T, h *lab.Host, name string) (c *packet.Conn) {
	t.Helper()
	labtest.Must(t, h.Do(func() error {
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		c, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c
}

// hears sends a frame to dst and reports whether the NIC hands it to its host. A broadcast follows it, so the answer no
// needs no waiting.
func (b *bench) hears(dst net.HardwareAddr, vlan ...uint16) bool {
	b.Helper()
	b.send(dst, vlan...)
	last := b.send(broadcast)
	labtest.Must(b, b.in.SetReadDeadline(time.Now().Add(labtest.Patience)))
	heard, buf := false, make([]byte, 2048)
	for {
		n, _, err := b.in.ReadFrom(buf)
		if err != nil {
			b.Fatalf("frame to all: %v", err)
		}
		if n < 60 || binary.BigEndian.Uint16(buf[n-10:]) != testType {
			continue
		}
		switch binary.BigEndian.Uint64(buf[n-8:]) {
		case last:
			return heard
		case last - 1:
			heard = true
		}
	}
}

// send sends a frame whose end is a type of ours and a number.
func (b *bench) send(dst net.HardwareAddr, vlan ...uint16) uint64 {
	b.Helper()
	b.sent++
	f := append(append(net.HardwareAddr{}, dst...), otherMAC...)
	for _, vid := range vlan {
		f = binary.BigEndian.AppendUint16(append(f, 0x81, 0), vid)
	}
	f = binary.BigEndian.AppendUint16(f, testType)
	f = append(f, make([]byte, 50)...)
	f = binary.BigEndian.AppendUint16(f, testType)
	f = binary.BigEndian.AppendUint64(f, b.sent)
	if _, err := b.out.WriteTo(f, &packet.Addr{HardwareAddr: net.HardwareAddr(dst)}); err != nil {
		b.Fatalf("send to %v: %v", dst, err)
	}
	return b.sent
}

// want checks by name which destinations are heard.
func (b *bench) want(when string, names ...string) {
	b.Helper()
	var got []string
	for _, f := range []struct {
		name string
		dst  net.HardwareAddr
	}{{"own", ownMAC}, {"other", otherMAC}, {"third", thirdMAC}, {"slow", slowGroup}, {"group", someGroup}} {
		if b.hears(f.dst) {
			got = append(got, f.name)
		}
	}
	if g, w := strings.Join(got, " "), strings.Join(names, " "); g != w {
		b.Errorf("%s: heard %q, want %q", when, g, w)
	}
}

// ask asks the NIC for something; what it returns ends that.
func (b *bench) ask(kind uint16, mac net.HardwareAddr) (end func()) {
	b.Helper()
	b.member(unix.PACKET_ADD_MEMBERSHIP, kind, mac)
	return func() { b.member(unix.PACKET_DROP_MEMBERSHIP, kind, mac) }
}

func (b *bench) join(group net.HardwareAddr) {
	b.member(unix.PACKET_ADD_MEMBERSHIP, unix.PACKET_MR_MULTICAST, group)
}
func (b *bench) leave(group net.HardwareAddr) {
	b.member(unix.PACKET_DROP_MEMBERSHIP, unix.PACKET_MR_MULTICAST, group)
}

func (b *bench) member(option int, kind uint16, mac net.HardwareAddr) {
	b.Helper()
	l, err := b.a.Handle().LinkByName("eth0")
	labtest.Must(b, err)
	m := unix.PacketMreq{Ifindex: int32(l.Attrs().Index), Type: kind, Alen: uint16(len(mac))}
	copy(m.Address[:], mac)
	rc, err := b.in.SyscallConn()
	labtest.Must(b, err)
	labtest.Must(b, rc.Control(func(fd uintptr) {
		err = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, option, &m)
	}))
	labtest.Must(b, err)
}

// numbered is a group by number.
func numbered(n int) net.HardwareAddr { return net.HardwareAddr{1, 0, 0x5e, 9, byte(n >> 8), byte(n)} }

// onLines runs a test on a NIC of a kind at each kind of line.
func onLines(t *testing.T, hw lab.Hardware, f func(b *bench)) {
	for line := range hardwareLines {
		t.Run(line, func(t *testing.T) { f(newBench(t, line, hw)) })
	}
}

func TestNICsFilter(t *testing.T) {
	onLines(t, lab.Hardware{}, func(b *bench) {
		b.want("as it is", "own")
		end := b.ask(unix.PACKET_MR_UNICAST, otherMAC)
		b.want("with a second address", "own", "other")
		endToo := b.ask(unix.PACKET_MR_PROMISC, nil)
		b.want("promiscuous with a second address", "own", "other", "third", "slow", "group")
		endToo()
		b.want("no longer promiscuous", "own", "other")
		end()
		b.want("without it", "own")
		end = b.ask(unix.PACKET_MR_MULTICAST, slowGroup)
		b.want("in a group", "own", "slow")
		endToo = b.ask(unix.PACKET_MR_ALLMULTI, nil)
		b.want("in all groups", "own", "slow", "group")
		endToo()
		end()
		b.want("in none", "own")

		l, err := b.a.Handle().LinkByName("eth0")
		labtest.Must(b, err)
		labtest.Must(b, b.a.Handle().SetPromiscOn(l))
		b.want("promiscuous by hand", "own", "other", "third", "slow", "group")
		labtest.Must(b, b.a.Handle().SetPromiscOff(l))
		labtest.Must(b, b.a.Handle().LinkSetHardwareAddr(l, thirdMAC))
		b.want("with another address", "third")
		mv := &netlink.Macvlan{LinkAttrs: netlink.LinkAttrs{Name: "mv0", ParentIndex: l.Attrs().Index,
			HardwareAddr: ownMAC},
			Mode: netlink.MACVLAN_MODE_BRIDGE}
		labtest.Must(b, b.a.Handle().LinkAdd(mv))
		labtest.Must(b, b.a.Up("mv0"))
		b.want("with a macvlan", "own", "third")
	})
}

// A call that has returned counts for the next frame.
func TestNICsFilterAtOnce(t *testing.T) {
	onLines(t, lab.Hardware{}, func(b *bench) {
		for range 200 {
			end := b.ask(unix.PACKET_MR_MULTICAST, slowGroup)
			if !b.hears(slowGroup) {
				b.Fatal("a group is not heard after it was joined")
			}
			end()
			if b.hears(slowGroup) {
				b.Fatal("a group is heard after it was left")
			}
		}
	})
}

func TestNICsFilterManyGroups(t *testing.T) {
	onLines(t, lab.Hardware{}, func(b *bench) {
		for n := range 1000 {
			b.join(numbered(n))
		}
		for _, n := range []int{0, 1, 500, 999, 1000} {
			if got, want := b.hears(numbered(n)), n < 1000; got != want {
				b.Errorf("group %d of 1000 heard: %v", n, got)
			}
		}
		b.leave(numbered(500))
		if b.hears(numbered(500)) || !b.hears(numbered(999)) {
			b.Error("one of many that was left must not be heard, the last one must")
		}
	})
}

func TestNICFiltersInAnotherSlot(t *testing.T) {
	a, far := labtest.Host(t, "a"), labtest.Host(t, "b")
	w := labtest.Wire(t, a, "eth0", far, "eth0", lab.WireOptions{MACA: ownMAC})
	fresh := func() *bench {
		for _, h := range []*lab.Host{a, far} {
			labtest.Eventually(t, "the NIC is up", func() bool {
				l, err := h.Handle().LinkByName("eth0")
				return err == nil && l.Attrs().OperState == netlink.OperUp
			})
		}
		return &bench{T: t, a: a, in: listenRaw(t, a, "eth0"), out: listenRaw(t, far, "eth0")}
	}
	for range 2 {
		b := fresh()
		b.want("after it was put in", "own")
		b.join(someGroup)
		b.want("in a group", "own", "group")
		labtest.Must(t, w.A.Unplug())
		labtest.Must(t, w.A.Replug())
	}
	labtest.Must(t, w.B.Unplug())
	labtest.Must(t, w.B.Replug())
	fresh().want("after the far end was put in", "own")
}

func TestHardware(t *testing.T) {
	for _, tt := range []struct {
		name string
		hw   lab.Hardware
		f    func(b *bench)
	}{
		{"no filter", lab.Hardware{NoFilter: true}, func(b *bench) {
			b.want("as it is", "own", "other", "third", "slow", "group")
		}},
		{"one address more", lab.Hardware{Slots: 1, Overflow: lab.LosesRest}, func(b *bench) {
			end := b.ask(unix.PACKET_MR_MULTICAST, someGroup)
			b.ask(unix.PACKET_MR_UNICAST, otherMAC)
			b.ask(unix.PACKET_MR_UNICAST, thirdMAC)
			b.want("three addresses more", "own", "other")
			end()
			b.want("two addresses more", "own", "other")
		}},
		{"all groups where they are too many", lab.Hardware{Slots: 10}, func(b *bench) {
			quiet(b)
			b.join(someGroup)
			for n := range 8 - groups(b) {
				b.join(numbered(n))
			}
			b.ask(unix.PACKET_MR_UNICAST, otherMAC)
			b.want("nine addresses more", "own", "other", "group")
			b.join(numbered(98))
			b.want("ten addresses more", "own", "other", "group")
			b.join(numbered(99))
			b.want("eleven addresses more", "own", "other", "slow", "group")
		}},
		{"everything where addresses are too many", lab.Hardware{Slots: 1}, func(b *bench) {
			b.ask(unix.PACKET_MR_UNICAST, otherMAC)
			b.ask(unix.PACKET_MR_UNICAST, net.HardwareAddr{2, 0, 0, 0, 0, 0xd})
			b.want("two addresses more", "own", "other", "third", "slow", "group")
		}},
		{"one MAC", lab.Hardware{OneMAC: true}, func(b *bench) {
			b.ask(unix.PACKET_MR_UNICAST, otherMAC)
			b.ask(unix.PACKET_MR_MULTICAST, someGroup)
			b.want("with a second address", "own", "group")
			b.ask(unix.PACKET_MR_PROMISC, nil)
			b.want("promiscuous", "own", "other", "third", "slow", "group")
		}},
		{"no promiscuity", lab.Hardware{NoPromisc: true}, func(b *bench) {
			b.ask(unix.PACKET_MR_PROMISC, nil)
			b.ask(unix.PACKET_MR_UNICAST, otherMAC)
			b.want("promiscuous", "own", "other")
		}},
		{"VLANs", lab.Hardware{FilterVLANs: true, VLANs: []uint16{5, 4094}}, func(b *bench) {
			wantVLANs(b, "as it is", true, false, true, false)
			b.join(someGroup)
			if b.hears(someGroup, 1) || !b.hears(someGroup, 5) {
				b.Error("of a group's frames only those of VLANs that pass must be heard")
			}
			b.ask(unix.PACKET_MR_PROMISC, nil)
			wantVLANs(b, "promiscuous", true, true, true, true)
		}},
		{"no filter for VLANs", lab.Hardware{}, func(b *bench) {
			wantVLANs(b, "as it is", true, true, true, true)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) { onLines(t, tt.hw, tt.f) })
	}
}

// A bridge forwards a frame with its tag aside, not in the frame.
func TestVLANsOfASwitch(t *testing.T) {
	for line, join := range hardwareLines {
		t.Run(line, func(t *testing.T) {
			a, b, sw := labtest.Host(t, "a"), labtest.Host(t, "b"), labtest.Switch(t, "switch", lab.SwitchOptions{})
			join(t, a, sw, lab.Hardware{FilterVLANs: true, VLANs: []uint16{5}})
			labtest.Cable(t, b, "eth0", sw, "b", lab.CableOptions{MACA: otherMAC})
			x := &bench{T: t, a: a, b: b, in: listenRaw(t, a, "eth0"), out: listenRaw(t, b, "eth0")}
			wantVLANs(x, "behind a switch", true, false, true, false)
		})
	}
}

// quiet has the host join no group by itself any more.
func quiet(b *bench) {
	b.Helper()
	labtest.Must(b, b.a.Sysctl("ipv6/conf/eth0/disable_ipv6", "1"))
}

// groups is how many groups the NIC is asked for.
func groups(b *bench) int {
	b.Helper()
	return strings.Count(labtest.Run(b, b.a, "cat", "/proc/net/dev_mcast"), " eth0 ")
}

// wantVLANs checks whether frames of VLANs 0, 1, 5 and 1 in 5 are heard.
func wantVLANs(b *bench, when string, zero, one, five, oneInOne bool) {
	b.Helper()
	for _, f := range []struct {
		vlans []uint16
		want  bool
	}{{[]uint16{0}, zero}, {[]uint16{1}, one}, {[]uint16{5}, five}, {[]uint16{1, 5}, oneInOne}} {
		if got := b.hears(ownMAC, f.vlans...); got != f.want {
			b.Errorf("%s: VLAN %v heard: %v, want %v", when, f.vlans, got, f.want)
		}
	}
}

// What a NIC filters is no error to who has sent it.
func TestFilteredFrameIsNoError(t *testing.T) {
	onLines(t, lab.Hardware{}, func(b *bench) {
		for range 10 {
			b.send(thirdMAC) // ends the test on an error, such as ENOBUFS
		}
	})
}

func TestPortsOfSwitchesHearAll(t *testing.T) {
	for line, join := range hardwareLines {
		t.Run(line, func(t *testing.T) {
			sw, b := labtest.Switch(t, "switch", lab.SwitchOptions{}), labtest.Host(t, "b")
			join(t, sw, b, lab.Hardware{})
			x := &bench{T: t, a: sw.Host, in: listenRaw(t, sw.Host, "eth0"), out: listenRaw(t, b, "eth0")}
			x.want("as it is", "own", "other", "third", "slow", "group")
		})
	}
}
