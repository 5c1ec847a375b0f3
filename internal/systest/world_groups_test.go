// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// multicastLists returns the multicast lists of box's NICs as `ip maddr` shows them.
func (w *world) multicastLists() string {
	w.t.Helper()
	var lists []string
	labtest.Must(w.t, w.box.Do(func() error {
		b, err := os.ReadFile("/proc/thread-self/net/dev_mcast")
		for line := range strings.Lines(string(b)) {
			if f := strings.Fields(line); len(f) == 5 && strings.HasPrefix(f[1], "eth") {
				lists = append(lists, strings.Join(f[1:], " "))
			}
		}
		return err
	}))
	slices.Sort(lists)
	return strings.Join(lists, "\n")
}

// flushNeighbours flushes the neighbour table of peer.
func (w *world) flushNeighbours() {
	w.t.Helper()
	labtest.Run(w.t, w.peer, "ip", "neigh", "flush", "dev", "eth0")
}

// checkResolved fails the test unless peer resolves an address of box anew.
func (w *world) checkResolved(when string, ip netip.Addr) {
	w.t.Helper()
	w.flushNeighbours()
	if !answers(w.t, w.peer, ip, 56) {
		w.t.Errorf("%s: %s is not found by a host that has forgotten it", when, ip)
	}
}

// groupListener counts what box receives for a multicast group.
type groupListener struct {
	name  string
	count atomic.Uint64
}

// listenTo joins a group in box. network is udp4, udp6, or ip4:112 for VRRP.
func (w *world) listenTo(network, group, port string) *groupListener {
	w.t.Helper()
	l := &groupListener{name: network + " " + group}
	index := link(w.t, w.box, teamName).Index
	var c net.PacketConn
	labtest.Must(w.t, w.box.Do(func() (err error) {
		any := "0.0.0.0"
		if network == "udp6" {
			any = "::"
		}
		lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
			return rc.Control(func(fd uintptr) {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
			})
		}}
		address := any
		if port != "" {
			address = net.JoinHostPort(any, port)
		}
		if c, err = lc.ListenPacket(context.Background(), network, address); err != nil {
			return err
		}
		on, to := &net.Interface{Index: index}, &net.UDPAddr{IP: net.ParseIP(group)}
		if network == "udp6" {
			return ipv6.NewPacketConn(c).JoinGroup(on, to)
		}
		return ipv4.NewPacketConn(c).JoinGroup(on, to)
	}))
	w.t.Cleanup(func() { c.Close() })
	go func() {
		for b := make([]byte, 2048); ; {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if bytes.HasSuffix(b[:n], []byte("to a group")) {
				l.count.Add(1)
			}
		}
	}()
	return l
}

// checkReceives waits until a datagram of peer to the group arrives.
func (l *groupListener) checkReceives(w *world, when string) {
	w.t.Helper()
	was := l.count.Load()
	labtest.Eventually(w.t, fmt.Sprintf("%s: something for %s", when, l.name), func() bool {
		// Refused during duplicate address detection on peer.
		_ = w.peer.Do(l.send)
		return l.count.Load() > was
	})
}

// send sends a datagram to the group.
func (l *groupListener) send() error {
	network, group, _ := strings.Cut(l.name, " ")
	eth0, err := net.InterfaceByName("eth0")
	if err != nil {
		return err
	}
	// Package net caches interface indexes by name for all namespaces together.
	to := &net.UDPAddr{IP: net.ParseIP(group), Port: 5353, Zone: strconv.Itoa(eth0.Index)}
	if network == "udp6" {
		c, err := net.DialUDP(network, nil, to)
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write([]byte("to a group"))
		return err
	}
	c, err := net.ListenPacket(network, peer4.String()+map[bool]string{true: ":0"}[network == "udp4"])
	if err != nil {
		return err
	}
	defer c.Close()
	if err := ipv4.NewPacketConn(c).SetMulticastInterface(eth0); err != nil {
		return err
	}
	if network == "udp4" {
		_, err = c.WriteTo([]byte("to a group"), to)
	} else {
		_, err = c.WriteTo([]byte("to a group"), &net.IPAddr{IP: to.IP})
	}
	return err
}

// advertise sends a router advertisement from peer: a default route and a prefix, both with that lifetime in seconds.
func (w *world) advertise(prefix string, lifetime uint32) {
	w.t.Helper()
	p := netip.MustParsePrefix(prefix)
	b := []byte{134, 0, 0, 0, 64, 0, byte(lifetime >> 8), byte(lifetime), 0, 0, 0, 0, 0, 0, 0, 0}
	b = append(append(b, 1, 1), link(w.t, w.peer, "eth0").HardwareAddr...)
	b = append(b, 3, 4, byte(p.Bits()), 0xc0)
	for range 2 {
		b = append(b, byte(lifetime>>24), byte(lifetime>>16), byte(lifetime>>8), byte(lifetime))
	}
	b = append(b, 0, 0, 0, 0)
	a := p.Addr().As16()
	b = append(b, a[:]...)
	labtest.Must(w.t, w.peer.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		labtest.Must(w.t, unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255))
		index := link(w.t, w.peer, "eth0").Index
		return unix.Sendto(fd, b, 0, &unix.SockaddrInet6{Addr: [16]byte{0: 0xff, 1: 2, 15: 1}, ZoneId: uint32(index)})
	}))
}

// addresses6 returns the IPv6 addresses of a NIC of box.
func (w *world) addresses6(nic string) []netlink.Addr {
	w.t.Helper()
	l, err := w.box.Handle().LinkByName(nic)
	labtest.Must(w.t, err)
	list, err := w.box.Handle().AddrList(l, netlink.FAMILY_V6)
	labtest.Must(w.t, err)
	return list
}
