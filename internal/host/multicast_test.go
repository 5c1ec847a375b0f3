// SPDX-License-Identifier: MIT

package host

import (
	"bytes"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

func TestMulticastList(t *testing.T) {
	list := []byte(`1    lo              1     0     333300000001
12   team0           2     0     333300000001
12   team0           1     1     01005e0000fb
12   team0           1     0     01005e0000fb
12   team0           1     0     020000000001
12   team0           1     0     01005e00
12   team0           1     0     01005e00zzzz
112  eth0            1     0     01005e000001
`)
	want := []frame.MAC{0x01005e0000fb, 0x333300000001}
	if d := cmp.Diff(want, parseMulticastList(list, 12)); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	if got := parseMulticastList(list, 2); got != nil {
		t.Errorf("groups %v of a link that is not there", got)
	}
}

func TestVLANs(t *testing.T) {
	config := []byte(`VLAN Dev name	 | VLAN ID
Name-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD
team0.100      | 100  | team0
eth1.7         | 7  | eth1
`)
	for link, want := range map[string]bool{"team0": true, "eth1": true, "team": false, "team0.100": false, "": false} {
		if got := parseVLANs(config, link); got != want {
			t.Errorf("VLANs on %q: %v", link, got)
		}
	}
}

func FuzzVLANs(f *testing.F) {
	f.Add([]byte("team0.100      | 100  | team0\n"), "team0")
	f.Fuzz(func(t *testing.T, b []byte, link string) {
		if parseVLANs(b, link) && !bytes.Contains(b, []byte(link)) {
			t.Fatalf("%q is not there", link)
		}
	})
}

func FuzzMulticastList(f *testing.F) {
	f.Add([]byte("12   team0           2     0     333300000001\n"), 12)
	f.Fuzz(func(t *testing.T, b []byte, index int) {
		list := parseMulticastList(b, index)
		for _, m := range list {
			if !m.Multicast() {
				t.Fatalf("%v is no group", m)
			}
		}
		if !slices.IsSorted(list) {
			t.Fatalf("%v", list)
		}
	})
}

// Every reader is seen: the IP stack, a packet socket, a bridge, a user.
func TestRxMode(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	index := w.tap()
	f, err := h.Follow(index)
	labtest.Must(t, err)
	addressed, joined := f.Subscribe(AdapterConfig).C(), f.Subscribe(AdapterGroups).C()
	go f.Run(t.Context())
	read := func() spread.RxMode {
		t.Helper()
		rx, err := h.RxMode(index)
		labtest.Must(t, err)
		return rx
	}
	await := func(what string, holds func(rx spread.RxMode) bool) {
		t.Helper()
		labtest.Eventually(t, what, func() bool { return holds(read()) })
	}
	run(t, "ip link set "+teamName+" up && ip addr add fd09::99/64 dev "+teamName+" nodad")
	await("solicited-node group", func(rx spread.RxMode) bool { return slices.Contains(rx.Groups, 0x3333ff000099) })
	arrives := func(what string, c <-chan struct{}) {
		t.Helper()
		select {
		case <-c:
		case <-time.After(labtest.Patience):
			t.Error("no event of " + what)
		}
	}
	arrives("an address", addressed)
	if ReportsGroupChanges() {
		conn, err := net.ListenMulticastUDP("udp4", &net.Interface{Index: index, Name: teamName},
			&net.UDPAddr{IP: net.IPv4(224, 0, 0, 251), Port: 5353})
		labtest.Must(t, err)
		defer conn.Close()
		arrives("a group that a program has joined", joined)
	}
	if rx := read(); rx.AllMulti || rx.Promiscuous {
		t.Errorf("%+v", rx)
	}

	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	labtest.Must(t, err)
	defer unix.Close(fd)
	mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6,
		Address: [8]byte{1, 0x80, 0xc2, 0, 0, 0xe}}
	labtest.Must(t, unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq))
	await("a socket's group", func(rx spread.RxMode) bool { return slices.Contains(rx.Groups, 0x0180c200000e) })
	labtest.Must(t, unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_DROP_MEMBERSHIP, &mreq))
	await("the socket's group is left",
		func(rx spread.RxMode) bool { return !slices.Contains(rx.Groups, 0x0180c200000e) })

	for _, flag := range []struct {
		name string
		get  func(spread.RxMode) bool
	}{
		{"allmulticast", func(rx spread.RxMode) bool { return rx.AllMulti && !rx.Promiscuous }},
		{"promisc", func(rx spread.RxMode) bool { return rx.Promiscuous && !rx.AllMulti }},
	} {
		run(t, fmt.Sprintf("ip link set %s %s on", teamName, flag.name))
		await(flag.name, flag.get)
		run(t, fmt.Sprintf("ip link set %s %s off", teamName, flag.name))
		await(flag.name+" off", func(rx spread.RxMode) bool { return !rx.Promiscuous && !rx.AllMulti })
	}

	run(t,
		"ip link add brq type bridge && ip link set brq up && ip link set nc master brq && ip link set "+teamName+
			" master brq")
	t.Cleanup(func() { run(t, "ip link del brq 2>/dev/null || :") })
	await("a bridge", func(rx spread.RxMode) bool { return rx.Promiscuous && rx.AllMulti })
	run(t, "ip link del brq")
	await("no bridge", func(rx spread.RxMode) bool { return !rx.Promiscuous && !rx.AllMulti })

	// For a macvlan the kernel makes a TAP promiscuous, because a TAP has no unicast filter, without an event.
	run(t, "ip link add mvq link "+teamName+" type macvlan mode bridge && ip link set mvq up")
	await("a macvlan", func(rx spread.RxMode) bool { return rx.Promiscuous })
	run(t, "ip link del mvq")
	await("no macvlan", func(rx spread.RxMode) bool { return !rx.Promiscuous })
	if _, err := h.RxMode(index + 1000); err == nil {
		t.Error("read of an adapter that is not there")
	}
}
