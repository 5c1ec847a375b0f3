// SPDX-License-Identifier: MIT

package host

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/tchook"
)

// nicsOwn are a NIC's own protocols, with the ethertype of their sockets.
var nicsOwn = map[string]uint16{
	"EAPOL": 0x888e, "pre-authentication": 0x88c7, "WAPI": 0x88b4, "LLDP": 0x88cc, "PTP": 0x88f7, "MACsec": 0x88e5,
	"OAM": 0x8809, "CFM": 0x8902,
	"MRP": 0x88e3, "MVRP": 0x88f5, "MMRP": 0x88f6, "MSRP": 0x22ea, "AVTP": 0x22f0, "AoE": 0x88a2, "FCoE": 0x8906,
	"FIP": 0x8914, "HomePlug": 0x88e1,
	"HomePlug 1.0": 0x887b, "PROFINET": 0x8892, "EtherCAT": 0x88a4, "TDLS": 0x890d, "NC-SI": 0x88f8, "PRP": 0x88fb,
	"PPPoE discovery": 0x8863,
	"PPPoE":           0x8864, "LLTD": 0x88d9, "RARP": 0x8035, "loopback": 0x9000, "experiment": 0x88b5,
	"STP": unix.ETH_P_802_2,
	"ARP": unix.ETH_P_ARP,
}

// rawFrame returns a frame of at least 60 octets, with optional tags.
func rawFrame(dst string, tags []uint16, ethertype uint16, payload []byte) []byte {
	mac, err := net.ParseMAC(dst)
	if err != nil {
		panic(err)
	}
	b := append(mac, 2, 0, 0, 0, 0, 0x77)
	for _, vlan := range tags {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, 0x8100), vlan)
	}
	if ethertype == unix.ETH_P_802_2 {
		ethertype, payload = 38, []byte{0x42, 0x42, 3}
	}
	b = append(binary.BigEndian.AppendUint16(b, ethertype), payload...)
	return append(b, make([]byte, max(60-len(b), 0))...)
}

// datagram returns an IPv4 or IPv6 packet with UDP.
func datagram(from, to string, port uint16) (ethertype uint16, b []byte) {
	udp := binary.BigEndian.AppendUint16(nil, port-1)
	udp = binary.BigEndian.AppendUint16(udp, port)
	udp = append(udp, 0, 12, 0, 0, 'a', 'b', 'c', 'd')
	src, dst := net.ParseIP(from), net.ParseIP(to)
	if v4 := src.To4(); v4 != nil {
		b = append([]byte{0x45, 0, 0, byte(20 + len(udp)), 0, 0, 0, 0, 64, 17, 0, 0}, append(v4, dst.To4()...)...)
		sum := uint32(0)
		for i := 0; i < 20; i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
		binary.BigEndian.PutUint16(b[10:], ^uint16(sum+sum>>16))
		return unix.ETH_P_IP, append(b, udp...)
	}
	b = append([]byte{0x60, 0, 0, 0, 0, byte(len(udp)), 17, 64}, append(src, dst...)...)
	sum := uint32(17 + len(udp))
	for part := append(append([]byte(nil), b[8:40]...), udp...); len(part) > 0; part = part[2:] {
		sum += uint32(binary.BigEndian.Uint16(part))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(udp[6:], ^uint16(sum+sum>>16))
	return unix.ETH_P_IPV6, append(b, udp...)
}

// sender sends frames from the peer of a NIC. There is one, because closing such a socket takes long.
func sender(t *testing.T, from string) func([]byte) {
	t.Helper()
	index, err := interfaceIndex(from)
	must(t, err)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	return func(b []byte) {
		t.Helper()
		must(t, unix.Sendto(fd, b, 0, &unix.SockaddrLinklayer{Ifindex: index}))
	}
}

// listener is a socket that counts what it received since the last call.
type listener int

func (e listener) received() int {
	n, b := 0, make([]byte, 2048)
	for {
		if _, _, err := unix.Recvfrom(int(e), b, unix.MSG_DONTWAIT); err != nil {
			return n
		}
		n++
	}
}

func packetListener(t *testing.T, index int, protocol uint16) listener {
	t.Helper()
	p := protocol<<8 | protocol>>8
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: p, Ifindex: index}))
	return listener(fd)
}

// udpListener listens at a port, of one NIC if it is named.
func udpListener(t *testing.T, at unix.Sockaddr, nic string) listener {
	t.Helper()
	family := unix.AF_INET
	if _, ok := at.(*unix.SockaddrInet6); ok {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(fd) })
	must(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if nic != "" {
		must(t, unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, nic))
	}
	must(t, unix.Bind(fd, at))
	return listener(fd)
}

// waitForLast waits until a last frame, sent behind the others, has reached the last socket.
func waitForLast(t *testing.T, last listener) {
	t.Helper()
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(last), Events: unix.POLLIN}}, 5000); n != 1 || err != nil {
		t.Fatalf("the last frame does not come: %v", err)
	}
	last.received()
}

// TestIsolationPasses sends a NIC's own protocols, and others, to an isolated NIC, by each method.
func TestIsolationPasses(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, m := range tchook.Methods {
		t.Run(string(m), func(t *testing.T) {
			kernelHas(t, m)
			if m == tchook.ByNft {
				labtest.Tool(t, "nft", "nftables")
			}
			w := newWorld(t)
			// The team's address is on another link of the host.
			run(t, `ip addr add 10.9.0.1/24 dev na; ip addr add 10.9.1.1/24 dev nc
				echo 1 >/proc/sys/net/ipv4/conf/na/forwarding; echo 1 >/proc/sys/net/ipv4/conf/na/rp_filter`)
			h := w.open(nil)
			h.hooks.Method = m
			must(t, h.Begin())
			_, err := h.RecordMember("na")
			must(t, err)
			must(t, h.Strip("na", MemberSetup{}))
			must(t, isolateNamed(h, "na"))
			n, err := h.nic("na")
			must(t, err)
			say := sender(t, "pna")
			last := packetListener(t, n.Index, 0x88b6)
			expect := func(what string, e listener, want int, frame []byte) {
				t.Helper()
				e.received()
				say(frame)
				say(rawFrame("02:00:00:00:00:01", nil, 0x88b6, nil))
				waitForLast(t, last)
				if got := e.received(); got != want {
					t.Errorf("%s: heard %d, want %d", what, got, want)
				}
			}
			for name, protocol := range nicsOwn {
				e := packetListener(t, n.Index, protocol)
				for _, dst := range []string{"01:80:c2:00:00:0e", n.MAC.String(), "ff:ff:ff:ff:ff:ff"} {
					expect(name+" to "+dst, e, 1, rawFrame(dst, nil, protocol, []byte{3}))
				}
				if protocol != unix.ETH_P_802_2 {
					expect(name+" with a priority", e, 1,
						rawFrame("01:80:c2:00:00:0e", []uint16{7 << 13}, protocol, []byte{3}))
				}
				expect(name+" of a VLAN", e, 0, rawFrame("01:80:c2:00:00:0e", []uint16{5}, protocol, []byte{3}))
			}

			any4 := &unix.SockaddrInet4{Port: 68}
			here, anywhere, packets := udpListener(t, any4, "na"), udpListener(t, any4, ""),
				packetListener(t, n.Index, unix.ETH_P_IP)
			for _, c := range []struct {
				what, mac, to        string
				here, anywhere, seen int
			}{
				{"offer to all", "ff:ff:ff:ff:ff:ff", "255.255.255.255", 1, 1, 1},
				{"offer to an address to come", n.MAC.String(), "10.9.0.77", 0, 0, 1},
				{"renewal for the adapter", "02:00:00:00:0a:0a", "10.9.1.1", 1, 0, 1},
				{"renewal for the NIC", n.MAC.String(), "10.9.1.1", 1, 0, 1},
			} {
				if m == tchook.ByNft && c.mac == "02:00:00:00:0a:0a" {
					c.here = 0
				}
				frame := func() []byte {
					p, b := datagram("10.9.0.254", c.to, 68)
					return rawFrame(c.mac, nil, p, b)
				}
				expect(c.what+", socket of the NIC", here, c.here, frame())
				expect(c.what+", socket for packets", packets, c.seen, frame())
				if c.anywhere == 0 {
					expect(c.what+", socket of any NIC", anywhere, 0, frame())
				}
			}
			p, b := datagram("10.9.0.254", "255.255.255.255", 69)
			other := udpListener(t, &unix.SockaddrInet4{Port: 69}, "na")
			expect("another port", other, 0, rawFrame("ff:ff:ff:ff:ff:ff", nil, p, b))
			expect("another port, socket for packets", packets, 0, rawFrame("ff:ff:ff:ff:ff:ff", nil, p, b))
			packets6 := packetListener(t, n.Index, unix.ETH_P_IPV6)
			p, b = datagram("fe80::1", "fe80::2", 546)
			expect("DHCPv6, socket for packets", packets6, 1, rawFrame(n.MAC.String(), nil, p, b))
			p, b = datagram("fe80::1", "fe80::2", 547)
			expect("IPv6, socket for packets", packets6, 0, rawFrame(n.MAC.String(), nil, p, b))

			must(t, h.Unisolate(n.Index))
			_, err = h.ReleaseAll(nil)
			must(t, err)
			_, err = h.Finish()
			must(t, err)
			if left := fmt.Sprint(tcxPrograms(t, "na", ebpf.AttachTCXIngress)); left != "[]" {
				t.Errorf("left behind: %s", left)
			}
		})
	}
}
