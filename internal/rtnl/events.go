// SPDX-License-Identifier: MIT

package rtnl

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// eventBuffer is the receive buffer of a subscription. An overflow loses nothing: it is reported as a change.
const eventBuffer = 1 << 20

// ReopenGap is the wait before a broken subscription is opened again.
const ReopenGap = 100 * time.Millisecond

// EventBufferLen is the length of one read.
const EventBufferLen = 64 << 10

// WatchEvents subscribes to groups of rtnetlink events until ctx ends. listen calls signal for every event until the
// socket breaks. Then WatchEvents opens a new one, and signals because events may have been missed.
func WatchEvents(ctx context.Context, groups []uint,
	listen func(ctx context.Context, f *os.File, signal func())) <-chan struct{} {
	changed := make(chan struct{}, 1)
	WatchGroups(ctx, unix.NETLINK_ROUTE, groups, changed, listen)
	return changed
}

// WatchGroups is WatchEvents for the groups of any netlink protocol. It signals changed.
func WatchGroups(ctx context.Context, protocol int, groups []uint, changed chan<- struct{},
	listen func(ctx context.Context, f *os.File, signal func())) {
	signal := func() { Signal(changed) }
	first, err := Subscribe(protocol, groups...)
	go func() {
		for f := first; ctx.Err() == nil; f, err = Subscribe(protocol, groups...) {
			if err == nil {
				listen(ctx, f, signal)
			}
			signal()
			select {
			case <-ctx.Done():
			case <-time.After(ReopenGap):
			}
		}
	}()
}

// Signal sends without blocking. A signal that is pending already stands for this one, too.
func Signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Subscribe opens a netlink socket of a protocol (NETLINK_ROUTE, …) and joins those of the groups that the kernel has.
func Subscribe(protocol int, groups ...uint) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventBuffer)
	err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for _, g := range groups {
		if err == nil {
			err = join(fd, g)
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "netlink events"), nil
}

func join(fd int, group uint) error {
	err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(group))
	if errors.Is(err, unix.EINVAL) {
		return nil // an older kernel
	}
	return err
}

// ReadEvents calls got with the messages of each read until ctx ends or the socket breaks; nil: messages were lost.
func ReadEvents(ctx context.Context, f *os.File, got func(b []byte)) {
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer func() {
		stop()
		f.Close()
	}()
	buf := make([]byte, EventBufferLen)
	for {
		n, err := f.Read(buf)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			got(nil)
		case err != nil:
			return
		default:
			got(buf[:n])
		}
	}
}

// Message is one netlink message. Body is borrowed from the read buffer.
type Message struct {
	Kind  uint16
	Flags uint16
	Body  []byte
}

// Index returns the ifindex in the header of a link, an address or a neighbour; false if the message is too short.
func (m Message) Index() (int, bool) {
	if len(m.Body) < 8 {
		return 0, false
	}
	return int(int32(binary.NativeEndian.Uint32(m.Body[4:]))), true
}

// Offsets in a message: nlmsghdr, then the header of its kind.
const (
	headerLen = 16 // struct nlmsghdr
	atFamily  = headerLen
)

// EachMessage calls f for every complete message in b, up to the first malformed one.
func EachMessage(b []byte, f func(Message)) {
	for len(b) >= headerLen {
		n := int(binary.NativeEndian.Uint32(b))
		if n < headerLen || n > len(b) {
			return
		}
		f(Message{binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]), b[headerLen:n:n]})
		b = b[min(Align(n), len(b)):]
	}
}

// AnyMessage reports whether is holds for a message in b; true if messages were lost (nil).
func AnyMessage(b []byte, is func(Message) bool) bool {
	if b == nil {
		return true
	}
	found := false
	EachMessage(b, func(m Message) { found = found || is(m) })
	return found
}

// EachAttribute calls f for every attribute, up to the first malformed one.
func EachAttribute(b []byte, f func(kind uint16, value []byte)) {
	for len(b) >= attributeHead {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attributeHead || n > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&KindMask, b[attributeHead:n])
		b = b[min(Align(n), len(b)):]
	}
}

// EventLinks calls f with each ifindex that a route's event names. It copies nothing, because routes may be very many.
func EventLinks(body []byte, f func(index int)) {
	if len(body) < HeaderLen {
		return
	}
	EachAttribute(body[HeaderLen:], func(kind uint16, value []byte) {
		switch {
		case kind == unix.RTA_OIF && len(value) >= 4:
			f(int(binary.NativeEndian.Uint32(value)))
		case kind == unix.RTA_MULTIPATH:
			for _, hop := range NextHops(value) {
				f(NextHopLink(hop))
			}
		}
	})
}

// followed are the event groups of a Follower. Kernels before 6.14 lack MCADDR.
var followed = []uint{
	unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE,
	unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_NEIGH,
	unix.RTNLGRP_IPV4_MCADDR, unix.RTNLGRP_IPV6_MCADDR,
}

// Multicast groups of links that are joined and left; x/sys does not name them.
const (
	RTMNewMulticast = 56
	RTMDelMulticast = 57
)

// SubscribeFiltered opens the socket of a Follower. A socket filter drops what nobody needs before it wakes the
// process: routes of routing daemons, which may be very many, and learned neighbours.
func SubscribeFiltered() (*os.File, error) {
	f, err := Subscribe(unix.NETLINK_ROUTE, followed...)
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err == nil {
		p := eventFilter()
		e := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
				&unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]})
		})
		err = errors.Join(err, e)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// atLowByte returns the offset of the low byte of a 16-bit field.
func atLowByte(field uint32) uint32 {
	if LittleEndian {
		return field
	}
	return field + 1
}

// eventFilter is the classic BPF program of the socket.
func eventFilter() []unix.SockFilter {
	const (
		load = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		is   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		has  = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
		ret  = unix.BPF_RET | unix.BPF_K
	)
	kind := atLowByte(4)
	state := atLowByte(headerLen + ndState)
	return []unix.SockFilter{
		{Code: load, K: kind},
		{Code: is, K: unix.RTM_NEWROUTE, Jt: 4},
		{Code: is, K: unix.RTM_DELROUTE, Jt: 3},
		{Code: is, K: unix.RTM_NEWNEIGH, Jt: 10},
		{Code: is, K: unix.RTM_DELNEIGH, Jt: 9},
		{Code: unix.BPF_JMP | unix.BPF_JA, K: 14},
		// 6: routes, by protocol.
		{Code: load, K: headerLen + rtProto},
		{Code: is, K: unix.RTPROT_UNSPEC, Jt: 12},
		{Code: is, K: unix.RTPROT_KERNEL, Jt: 11},
		{Code: is, K: unix.RTPROT_BOOT, Jt: 10},
		{Code: is, K: unix.RTPROT_STATIC, Jt: 9},
		{Code: is, K: unix.RTPROT_RA, Jt: 8},
		{Code: is, K: unix.RTPROT_DHCP, Jt: 7},
		{Code: ret, K: 0},
		// 14: neighbours of the IP stacks that are permanent, proxies, or removed.
		{Code: is, K: unix.RTM_DELNEIGH, Jt: 5},
		{Code: load, K: state},
		{Code: has, K: unix.NUD_PERMANENT, Jt: 3},
		{Code: load, K: headerLen + ndFlags},
		{Code: has, K: unix.NTF_PROXY, Jt: 1},
		{Code: ret, K: 0},
		// 20: all except what bridges report of their ports and their FDB.
		{Code: load, K: atFamily},
		{Code: is, K: unix.AF_BRIDGE, Jf: 1},
		{Code: ret, K: 0},
		{Code: ret, K: ^uint32(0)},
	}
}
