// SPDX-License-Identifier: MIT

package dhcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// PacketLink is the Link of an interface. It has packet sockets only while an answer is awaited, so that nothing is
// copied to them the rest of the time. It needs CAP_NET_RAW.
type PacketLink struct {
	Index func() int               // of the interface, which may be made anew
	MAC   func() frame.MAC         // of the interface
	Own   func(mac frame.MAC) bool // whether a MAC is this host's
	Name  func() string            // of the interface

	received chan Event

	mu     sync.Mutex
	server net.HardwareAddr // of the server that answered last, or of the router before it; nil: none did
	dhcp   *packet.Conn
	arp    *packet.Conn
	probed netip.Addr
	done   sync.WaitGroup
}

// NewPacketLink returns the Link of an interface.
func NewPacketLink(name func() string, index func() int, mac func() frame.MAC, own func(frame.MAC) bool) *PacketLink {
	return &PacketLink{Name: name, Index: index, MAC: mac, Own: own, received: make(chan Event, 16)}
}

// answers accepts IPv4 packets to the client's UDP port; the socket's data begins with the IP header.
var answers = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protoUDP, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 6, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 4},
	bpf.LoadMemShift{Off: 0},
	bpf.LoadIndirect{Off: 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: clientPort, SkipTrue: 1},
	bpf.RetConstant{Val: 0xffff},
	bpf.RetConstant{Val: 0},
}

// Open opens the socket for answers.
func (l *PacketLink) Open() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dhcp != nil {
		return nil
	}
	filter, err := bpf.Assemble(answers)
	if err != nil {
		return err
	}
	c, err := packet.Listen(&net.Interface{Index: l.Index()}, packet.Datagram, unix.ETH_P_IP,
		&packet.Config{Filter: filter})
	if err != nil {
		return err
	}
	l.dhcp = c
	l.done.Go(func() {
		l.read(c, func(b []byte, from net.HardwareAddr) (Event, bool) {
			m, ok := bootpReply(b)
			if ok {
				l.mu.Lock()
				l.server = from
				l.mu.Unlock()
			}
			return Event{Message: m}, ok
		})
	})
	return nil
}

// read passes on what parse accepts, until the socket is closed.
func (l *PacketLink) read(c *packet.Conn, parse func(b []byte, from net.HardwareAddr) (Event, bool)) {
	b := make([]byte, 2048)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			if errors.Is(err, unix.ENETDOWN) {
				continue // the interface went down; the socket stays
			}
			return
		}
		var mac net.HardwareAddr
		if a, ok := from.(*packet.Addr); ok {
			mac = a.HardwareAddr
		}
		e, ok := parse(b[:n], mac)
		if !ok {
			continue
		}
		e.Message = append([]byte(nil), e.Message...)
		select {
		case l.received <- e:
		default: // a flood: the answer is asked for again
		}
	}
}

// Close closes the sockets.
func (l *PacketLink) Close() {
	l.mu.Lock()
	for _, c := range []*packet.Conn{l.dhcp, l.arp} {
		if c != nil {
			_ = c.Close()
		}
	}
	l.dhcp, l.arp = nil, nil
	l.mu.Unlock()
	l.done.Wait()
}

// Received has answers and conflicts.
func (l *PacketLink) Received() <-chan Event { return l.received }

// Send sends a message. By unicast it takes the way that the host has to the server, also by a router; where filters
// forbid that (a unit's IPAddressDeny), a frame goes to whoever has answered last.
func (l *PacketLink) Send(msg []byte, from, to netip.Addr) error {
	if to.IsValid() && l.sendUnicast(msg, from, to) == nil {
		return nil
	}
	if !from.IsValid() {
		from = netip.IPv4Unspecified()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dhcp == nil {
		return net.ErrClosed
	}
	mac := frame.Broadcast.HardwareAddr()
	switch {
	case !to.IsValid():
		to = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	case l.server != nil:
		mac = l.server
	}
	_, err := l.dhcp.WriteTo(udpPacket(msg, from, to), &packet.Addr{HardwareAddr: mac})
	return err
}

// sendUnicast sends by a raw socket: other clients may hold the client's UDP port.
func (l *PacketLink) sendUnicast(msg []byte, from, to netip.Addr) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return fmt.Errorf("open raw socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.SetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE, l.Name()); err != nil {
		return fmt.Errorf("bind to %s: %w", l.Name(), err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: from.As4()}); err != nil {
		return fmt.Errorf("bind to %s: %w", from, err)
	}
	if err := unix.Sendto(fd, udpDatagram(msg, from, to), unix.MSG_DONTWAIT,
		&unix.SockaddrInet4{Addr: to.As4()}); err != nil {
		return fmt.Errorf("send to %s: %w", to, err)
	}
	return nil
}

// Probe sends an ARP probe and listens for ARP until Close.
func (l *PacketLink) Probe(ip netip.Addr) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.arp == nil {
		c, err := packet.Listen(&net.Interface{Index: l.Index()}, packet.Datagram, unix.ETH_P_ARP, nil)
		if err != nil {
			return err
		}
		l.arp = c
		l.done.Go(func() {
			l.read(c, func(b []byte, _ net.HardwareAddr) (Event, bool) {
				l.mu.Lock()
				probed := l.probed
				l.mu.Unlock()
				return Event{Conflict: probed}, arpConflict(b, l.Own, probed)
			})
		})
	}
	l.probed = ip
	_, err := l.arp.WriteTo(arpProbe(l.MAC(), ip), &packet.Addr{HardwareAddr: frame.Broadcast.HardwareAddr()})
	return err
}
