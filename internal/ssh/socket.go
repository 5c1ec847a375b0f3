// SPDX-License-Identifier: MIT

package ssh

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// socket is a TCP socket of this network namespace, as sock_diag(7) tells it.
type socket struct {
	local, remote netip.AddrPort // without a zone
	state         byte
	link          int // ifindex that it is bound to, as a link-local one is; 0: none
	inode         uint32
	info          TCPInfo
}

// The kernel's names are in brackets: linux/inet_diag.h, net/tcp_states.h.
const (
	requestSize = 56 // struct inet_diag_req_v2
	messageSize = 72 // struct inet_diag_msg
	tcpInfo     = 2  // INET_DIAG_INFO

	stateEstablished = 1 // TCP_ESTABLISHED
	stateListen      = 10
)

// sockets lists the TCP sockets in a state with these ports, 0 for any. The kernel filters, as a host may have very
// many connections.
func sockets(state byte, local, remote uint16) (list []socket, err error) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		more, err := socketsOf(family, state, local, remote)
		if err != nil {
			return nil, fmt.Errorf("list TCP sockets: %w", err)
		}
		list = append(list, more...)
	}
	return list, nil
}

// socketsOf is sockets for one address family. A connection over IPv4 of a socket for IPv6 is in the latter's list.
func socketsOf(family, state byte, local, remote uint16) (list []socket, err error) {
	b := make([]byte, requestSize)
	b[0], b[1], b[2] = family, unix.IPPROTO_TCP, 1<<(tcpInfo-1)
	binary.NativeEndian.PutUint32(b[4:], 1<<state)
	binary.BigEndian.PutUint16(b[8:], local)
	binary.BigEndian.PutUint16(b[10:], remote)
	for try := 0; ; try++ {
		req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
		req.AddRawData(b)
		bodies, err := req.Execute(unix.NETLINK_INET_DIAG, 0)
		if errors.Is(err, netlink.ErrDumpInterrupted) && try < 10 {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = list[:0]
		for _, body := range bodies {
			if s, ok := parseSocket(body); ok && s.state == state {
				list = append(list, s)
			}
		}
		return list, nil
	}
}

// parseSocket reads struct inet_diag_msg (family, state, timer, retrans; sport, dport, src, dst, if, cookie; expires,
// rqueue, wqueue, uid, inode) and its attributes.
func parseSocket(b []byte) (s socket, ok bool) {
	if len(b) < messageSize {
		return s, false
	}
	address := func(at int) (a netip.Addr, ok bool) {
		switch b[0] {
		case unix.AF_INET:
			return netip.AddrFrom4([4]byte(b[at:])), true
		case unix.AF_INET6:
			return netip.AddrFrom16([16]byte(b[at:])).Unmap(), true
		}
		return a, false
	}
	local, ok := address(8)
	if !ok {
		return s, false
	}
	remote, _ := address(24)
	s = socket{
		local:  netip.AddrPortFrom(local, binary.BigEndian.Uint16(b[4:])),
		remote: netip.AddrPortFrom(remote, binary.BigEndian.Uint16(b[6:])),
		state:  b[1],
		link:   int(int32(binary.NativeEndian.Uint32(b[40:]))),
		inode:  binary.NativeEndian.Uint32(b[68:]),
	}
	for attrs := b[messageSize:]; len(attrs) >= unix.SizeofNlAttr; {
		n := int(binary.NativeEndian.Uint16(attrs))
		if n < unix.SizeofNlAttr || n > len(attrs) {
			return s, false
		}
		if binary.NativeEndian.Uint16(attrs[2:]) == tcpInfo {
			s.info = parseTCPInfo(attrs[unix.SizeofNlAttr:n])
		}
		attrs = attrs[min((n+3)&^3, len(attrs)):]
	}
	return s, true
}

// connection is the socket as the connection of an SSH session at the server.
func (s socket) connection() Connection {
	zoned := func(a netip.AddrPort) netip.AddrPort {
		if s.link == 0 || !a.Addr().Is6() || !a.Addr().IsLinkLocalUnicast() {
			return a
		}
		i, err := net.InterfaceByIndex(s.link)
		if err != nil {
			return a
		}
		return netip.AddrPortFrom(a.Addr().WithZone(i.Name), a.Port())
	}
	return Connection{Client: zoned(s.remote), Server: zoned(s.local)}
}

// has reports whether this is the server's socket of a connection.
func (s socket) has(c Connection) bool {
	bare := func(a netip.AddrPort) netip.AddrPort {
		return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
	}
	return s.local == bare(c.Server) && s.remote == bare(c.Client)
}

// socket returns the server's socket of the connection; false: it is not established in this network namespace.
func (c Connection) socket() (socket, bool, error) {
	list, err := sockets(stateEstablished, c.Server.Port(), c.Client.Port())
	for _, s := range list {
		if s.has(c) {
			return s, true, nil
		}
	}
	return socket{}, false, err
}
