// SPDX-License-Identifier: MIT

package host

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// boundSocket is a socket that is bound to a link.
type boundSocket struct {
	kind      string // tcp, udp, raw, packet, …
	index     int
	inode     uint32
	what      string // such as: port 5353, ethertype 0x88cc
	proto     uint16 // packet: the ethertype
	connected bool   // a connection, not a listener
}

const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	inetDiagBytecode = 1  // INET_DIAG_REQ_BYTECODE
	inetDiagSize     = 72 // struct inet_diag_msg
	packetDiagHead   = 16 // struct packet_diag_msg
	packetDiagInfo   = 0  // PACKET_DIAG_INFO
	packetShowInfo   = 1  // PACKET_SHOW_INFO
)

var diagProtocols = []struct {
	name   string
	number byte
}{{"tcp", unix.IPPROTO_TCP}, {"udp", unix.IPPROTO_UDP}, {"udplite", unix.IPPROTO_UDPLITE}, {"sctp", unix.IPPROTO_SCTP}}

// socketsBoundTo lists sockets bound to one of the links, except packet sockets, as far as the kernel can list them.
func socketsBoundTo(links []int) (list []boundSocket) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		for _, p := range diagProtocols {
			for _, b := range inetDiag(family, p.number, links) {
				if s, ok := parseInetDiag(b); ok && slices.Contains(links, s.index) {
					s.kind = p.name
					list = append(list, s)
				}
			}
		}
	}
	return append(list, socketsByDescriptor()...)
}

// packetSockets lists packet sockets bound to links.
func packetSockets() (list []boundSocket) {
	bodies, _ := sockDiag(packetDiagRequest())
	for _, b := range bodies {
		if s, ok := parsePacketDiag(b); ok && s.index != 0 {
			list = append(list, s)
		}
	}
	return list
}

// inetDiag lists a protocol's sockets bound to links. The kernel filters, because a host may have very many
// connections; one that cannot lists all.
func inetDiag(family, protocol byte, links []int) [][]byte {
	if len(links) == 0 {
		return nil
	}
	ask := inetDiagRequest(family, protocol)
	only := ask.Clone()
	only.Set(inetDiagBytecode, boundToLinks(links))
	list, err := sockDiag(only)
	if errors.Is(err, unix.EINVAL) {
		list, _ = sockDiag(ask)
	}
	return list
}

// boundToLinks is inet_diag bytecode that accepts sockets bound to one of the links (struct inet_diag_bc_op: code, yes,
// no; then the operand). For each link: is it this one, then jump to the end, which accepts. The last one's no jumps
// beyond the end, which refuses. Each instruction must be reached by the yes of those before it.
func boundToLinks(links []int) (b []byte) {
	const (
		jump, jumpSize       = 1, 4 // INET_DIAG_BC_JMP, which takes no
		deviceIs, deviceSize = 9, 8 // INET_DIAG_BC_DEV_COND
	)
	end := len(links)*(deviceSize+jumpSize) - jumpSize
	for i, link := range links {
		b = append(b, deviceIs, deviceSize)
		b = binary.NativeEndian.AppendUint16(b, deviceSize+jumpSize)
		b = binary.NativeEndian.AppendUint32(b, uint32(link))
		if i < len(links)-1 {
			b = append(b, jump, jumpSize)
			b = binary.NativeEndian.AppendUint16(b, uint16(end-len(b)+2))
		}
	}
	return b
}

// inetDiagRequest returns struct inet_diag_req_v2 for all sockets of a protocol.
func inetDiagRequest(family, protocol byte) rtnl.Object {
	b := make([]byte, 56)
	b[0], b[1] = family, protocol
	binary.NativeEndian.PutUint32(b[4:], 0xffffffff) // in every state
	return rtnl.Object{Head: b}
}

// packetDiagRequest returns struct packet_diag_req.
func packetDiagRequest() rtnl.Object {
	b := make([]byte, 20)
	b[0] = unix.AF_PACKET
	binary.NativeEndian.PutUint32(b[8:], packetShowInfo)
	return rtnl.Object{Head: b}
}

func sockDiag(request rtnl.Object) ([][]byte, error) {
	return rtnl.RetryDump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(sockDiagByFamily, unix.NLM_F_DUMP)
		req.AddData(request)
		return req.Execute(unix.NETLINK_INET_DIAG, 0)
	})
}

// parseInetDiag parses struct inet_diag_msg: family, state, timer, retrans; sport, dport, src, dst, if, cookie;
// expires, rqueue, wqueue, uid, inode.
func parseInetDiag(b []byte) (boundSocket, bool) {
	if len(b) < inetDiagSize {
		return boundSocket{}, false
	}
	const established, listen = 1, 10
	s := boundSocket{
		index:     int(binary.NativeEndian.Uint32(b[40:])),
		inode:     binary.NativeEndian.Uint32(b[68:]),
		connected: b[1] != listen && binary.BigEndian.Uint16(b[6:]) != 0,
	}
	if port := binary.BigEndian.Uint16(b[4:]); port != 0 {
		s.what = fmt.Sprintf("port %d", port)
	}
	return s, true
}

// parsePacketDiag parses struct packet_diag_msg: family, type, num, ino, cookie; and PACKET_DIAG_INFO, which begins
// with the ifindex.
func parsePacketDiag(b []byte) (boundSocket, bool) {
	if len(b) < packetDiagHead {
		return boundSocket{}, false
	}
	info, err := rtnl.ParseNestedStrict(b[packetDiagHead:])
	if err != nil {
		return boundSocket{}, false
	}
	s := boundSocket{kind: "packet", index: int(info.Get32(packetDiagInfo)), inode: binary.NativeEndian.Uint32(b[4:]),
		proto: binary.NativeEndian.Uint16(b[2:])}
	switch s.proto {
	case 0:
		s.what = "that only sends"
	case unix.ETH_P_ALL:
		s.what = "for all frames"
	default:
		s.what = fmt.Sprintf("ethertype %#04x", s.proto)
	}
	return s, true
}

// eachSocket calls f for every file descriptor of a socket with one of these inodes. Other users' processes need
// CAP_SYS_PTRACE.
func eachSocket(inodes map[uint32]bool, f func(pid, fd int, inode uint32)) {
	if len(inodes) == 0 {
		return
	}
	paths, _ := filepath.Glob("/proc/[1-9]*/fd/*")
	for _, path := range paths {
		where, err := os.Readlink(path)
		if err != nil {
			continue
		}
		number, ok := strings.CutPrefix(where, "socket:[")
		inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 32)
		if !ok || err != nil || !inodes[uint32(inode)] {
			continue
		}
		parts := strings.Split(path, "/")
		pid, errPID := strconv.Atoi(parts[2])
		fd, errFD := strconv.Atoi(parts[4])
		if errPID == nil && errFD == nil {
			f(pid, fd, uint32(inode))
		}
	}
}

// someProgram is an owner that this process may not see.
const someProgram = "a program"

// socketOwners maps inodes to the programs that have the sockets open.
func socketOwners(inodes map[uint32]bool) map[uint32]string {
	of := map[uint32]string{}
	eachSocket(inodes, func(pid, _ int, inode uint32) {
		if of[inode] == "" {
			comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			of[inode] = fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(comm)), pid)
		}
	})
	return of
}

// socketsByDescriptor finds raw and ping sockets bound to a link, and datagram sockets with IP_UNICAST_IF (resolvers
// use it). Most kernels list neither, so a duplicate of each descriptor is queried (pidfd_getfd, Linux 5.6).
func socketsByDescriptor() (list []boundSocket) {
	kinds := map[uint32]string{}
	inodes := map[uint32]bool{}
	for _, name := range []string{"raw", "raw6", "icmp", "icmp6", "udp", "udp6"} {
		text, _ := os.ReadFile("/proc/thread-self/net/" + name)
		for _, inode := range procInodes(string(text)) {
			kinds[inode], inodes[inode] = strings.TrimSuffix(name, "6"), true
		}
	}
	seen := map[uint32]bool{}
	eachSocket(inodes, func(pid, fd int, inode uint32) {
		if seen[inode] {
			return
		}
		s, err := duplicateSocket(pid, fd)
		if err != nil {
			return
		}
		defer unix.Close(s)
		seen[inode] = true
		add := func(index int, what string) {
			list = append(list, boundSocket{kind: kinds[inode], index: index, inode: inode, what: what})
		}
		if name, err := unix.GetsockoptString(s, unix.SOL_SOCKET, unix.SO_BINDTODEVICE); err == nil && name != "" &&
			kinds[inode] != "udp" {
			if i, err := net.InterfaceByName(name); err == nil {
				add(i.Index, "")
			}
		}
		if index := sendInterface(s); index != 0 {
			add(index, "that sends by it")
		}
	})
	return list
}

// procInodes parses /proc/net/raw and the like: the tenth field is the inode.
func procInodes(text string) (inodes []uint32) {
	for line := range strings.Lines(text) {
		if f := strings.Fields(line); len(f) > 9 {
			if n, err := strconv.ParseUint(f[9], 10, 32); err == nil && n != 0 {
				inodes = append(inodes, uint32(n))
			}
		}
	}
	return inodes
}

// duplicateSocket duplicates a socket of another process.
func duplicateSocket(pid, fd int) (int, error) {
	p, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, err
	}
	defer unix.Close(p)
	return unix.PidfdGetfd(p, fd, 0)
}

// sendInterface returns the ifindex of IP_UNICAST_IF, 0 for none.
func sendInterface(socket int) int {
	if b, err := unix.GetsockoptInt(socket, unix.IPPROTO_IP, unix.IP_UNICAST_IF); err == nil && b != 0 {
		return int(swapped32(uint32(b)))
	}
	if b, err := unix.GetsockoptInt(socket, unix.IPPROTO_IPV6, unix.IPV6_UNICAST_IF); err == nil && b != 0 {
		return int(swapped32(uint32(b)))
	}
	return 0
}

// swapped32 converts between network and host byte order.
func swapped32(v uint32) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, v))
}

// boundSockets warns of programs with sockets bound to members.
func (c *preflight) boundSockets() {
	var links []int
	for _, n := range c.nics {
		links = append(links, n.Index)
	}
	var bound []boundSocket
	inodes := map[uint32]bool{}
	for _, s := range slices.Concat(socketsBoundTo(links), c.packetSocketsOnce()) {
		if slices.Contains(links, s.index) {
			bound = append(bound, s)
			inodes[s.inode] = true
		}
	}
	of := socketOwners(inodes)
	for _, n := range c.nics {
		var ip, packet []string
		for _, s := range bound {
			if s.index != n.Index {
				continue
			}
			who := cmp.Or(of[s.inode], someProgram)
			if program, _, _ := strings.Cut(who, " ("); slices.Contains(c.toldOnce(), program) {
				continue
			}
			text := strings.TrimSpace(who + ": " + s.kind + " " + s.what)
			switch {
			case s.kind != "packet" && !slices.Contains(ip, text):
				ip = append(ip, text)
			case s.kind == "packet" && s.losesFrames() && !slices.Contains(packet, text):
				packet = append(packet, text)
			}
		}
		if len(ip) > 0 {
			c.warnf(
				"programs have sockets bound to %s (SO_BINDTODEVICE, IP_UNICAST_IF), which are cut off while it is "+
					"a member: %s; bind them to %s", n.Name, joinShown(ip), c.adapter)
		}
		if len(packet) > 0 {
			c.warnf("programs have packet sockets on %s, which see only part of its frames: %s; use %s instead", n.Name,
				joinShown(packet), c.adapter)
		}
	}
}

// losesFrames reports whether a packet socket misses frames while its NIC is a member. Protocols other than IP pass the
// isolation (tchook/bpf/isolate.c).
func (s boundSocket) losesFrames() bool {
	return s.proto == unix.ETH_P_ALL || s.proto == unix.ETH_P_IP || s.proto == unix.ETH_P_IPV6
}

// packetSocketsOnce reads packetSockets once.
func (c *preflight) packetSocketsOnce() []boundSocket {
	if c.sockets == nil {
		c.sockets = append([]boundSocket{}, packetSockets()...)
	}
	return c.sockets
}

// pppoeSessions returns the links of the kernel's PPPoE sessions.
func pppoeSessions() []string {
	text, _ := os.ReadFile("/proc/thread-self/net/pppoe")
	return pppoeDevices(string(text))
}

// pppoeDevices parses /proc/net/pppoe: a header line, then id, address and device of each session.
func pppoeDevices(text string) (names []string) {
	for i, line := range slices.Collect(strings.Lines(text)) {
		if f := strings.Fields(line); i > 0 && len(f) >= 3 {
			names = append(names, f[2])
		}
	}
	return names
}
