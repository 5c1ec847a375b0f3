// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// dhcpServer is a DHCP server on peer with one address.
type dhcpServer struct {
	ip     net.IP
	length time.Duration

	mu    sync.Mutex
	heard []string // such as "REQUEST renewing", and the client's identifier
}

// startDHCP starts a server that grants 10.9.0.50.
func (w *world) startDHCP(length time.Duration) *dhcpServer {
	w.t.Helper()
	s := &dhcpServer{ip: net.IPv4(10, 9, 0, 50).To4(), length: length}
	c, err := w.peer.ListenPacket("udp4", ":67")
	labtest.Must(w.t, err)
	raw, err := c.(*net.UDPConn).SyscallConn()
	labtest.Must(w.t, err)
	labtest.Must(w.t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1)
		if err == nil { // a broadcast needs no route then
			err = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, "eth0")
		}
	}))
	labtest.Must(w.t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1500)
		for {
			n, _, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if m, err := dhcpv4.FromBytes(b[:n]); err == nil {
				s.answer(c, m)
			}
		}
	}()
	w.t.Cleanup(func() { c.Close(); <-done })
	return s
}

func (s *dhcpServer) answer(c net.PacketConn, m *dhcpv4.DHCPv4) {
	kind, to := dhcpv4.MessageTypeAck, net.IPv4bcast
	text := m.MessageType().String()
	if m.MessageType() == dhcpv4.MessageTypeDiscover {
		kind = dhcpv4.MessageTypeOffer
	} else if !m.ClientIPAddr.IsUnspecified() {
		text, to = text+" renewing", m.ClientIPAddr
	}
	s.mu.Lock()
	s.heard = append(s.heard, fmt.Sprintf("%s %x", text, m.GetOneOption(dhcpv4.OptionClientIdentifier)))
	s.mu.Unlock()
	r, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(s.ip))
	if err != nil {
		return
	}
	r.UpdateOption(dhcpv4.OptServerIdentifier(net.IP(peer4.AsSlice())))
	r.UpdateOption(dhcpv4.OptIPAddressLeaseTime(s.length))
	r.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(24, 32)))
	r.UpdateOption(dhcpv4.OptRouter(net.IP(peer4.AsSlice())))
	_, _ = c.WriteTo(r.ToBytes(), &net.UDPAddr{IP: to, Port: 68})
}

// requests returns what the server heard.
func (s *dhcpServer) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.heard)
}

// addresses4 returns the IPv4 addresses of a NIC of box.
func (w *world) addresses4(nic string) []netlink.Addr {
	w.t.Helper()
	l, err := w.box.Handle().LinkByName(nic)
	labtest.Must(w.t, err)
	list, err := w.box.Handle().AddrList(l, netlink.FAMILY_V4)
	labtest.Must(w.t, err)
	return list
}
