package host

import (
	"errors"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// followed are the groups of events by which a team is kept in step with its host. Kernels before 6.14 have no
// MCADDR.
var followed = []uint{
	unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE,
	unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE, unix.RTNLGRP_NEIGH, unix.RTNLGRP_IPV4_MCADDR, unix.RTNLGRP_IPV6_MCADDR,
}

// Multicast addresses of a link that come and go, which x/sys does not name.
const (
	rtmNewMulticast = 56
	rtmDelMulticast = 57
)

// subscribeFiltered opens the socket of a Follower. What nobody has to know of is refused in the kernel, where it wakes no
// process: routes of routing daemons, of which there may be very many, and neighbours that are merely learnt.
func subscribeFiltered() (*os.File, error) {
	f, err := subscribe(unix.NETLINK_ROUTE, followed...)
	if err != nil {
		return nil, err
	}
	raw, err := f.SyscallConn()
	if err == nil {
		p := eventFilter()
		e := raw.Control(func(fd uintptr) {
			err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]})
		})
		err = errors.Join(err, e)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// atLowByte is where the low byte of a field of 16 bits stands.
func atLowByte(field uint32) uint32 {
	if littleEndian {
		return field
	}
	return field + 1
}

// eventFilter is the program that decides which events reach the socket.
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
		// 6: a route, by its protocol.
		{Code: load, K: headerLen + rtProto},
		{Code: is, K: unix.RTPROT_UNSPEC, Jt: 12},
		{Code: is, K: unix.RTPROT_KERNEL, Jt: 11},
		{Code: is, K: unix.RTPROT_BOOT, Jt: 10},
		{Code: is, K: unix.RTPROT_STATIC, Jt: 9},
		{Code: is, K: unix.RTPROT_RA, Jt: 8},
		{Code: is, K: unix.RTPROT_DHCP, Jt: 7},
		{Code: ret, K: 0},
		// 14: a neighbour of the IP stacks, if it is permanent or a proxy's, or goes.
		{Code: is, K: unix.RTM_DELNEIGH, Jt: 5},
		{Code: load, K: state},
		{Code: has, K: unix.NUD_PERMANENT, Jt: 3},
		{Code: load, K: headerLen + ndFlags},
		{Code: has, K: unix.NTF_PROXY, Jt: 1},
		{Code: ret, K: 0},
		// 20: all but what bridges say of their ports and of whom they have learnt.
		{Code: load, K: atFamily},
		{Code: is, K: unix.AF_BRIDGE, Jf: 1},
		{Code: ret, K: 0},
		{Code: ret, K: ^uint32(0)},
	}
}

// handSet reports whether a route is one that somebody set by hand or a DHCP client did: none of the kernel's, of routers'
// advertisements, of routing daemons or of keepalived, who keep theirs themselves. See set for network managers'.
func handSet(r object) bool {
	switch r.head[rtProto] {
	case unix.RTPROT_UNSPEC, unix.RTPROT_BOOT, unix.RTPROT_STATIC, unix.RTPROT_DHCP:
		return !kernelKeeps(r)
	}
	return false
}

// set are those of a link's routes that somebody set: by hand, or as network managers do, who give an address no connected
// route and mind advertisements themselves, and call their routes for that the kernel's and an advertisement's.
func (h *Host) set(routes, addresses []object) ([]object, error) {
	named, _, err := h.splitAdvertised(slices.DeleteFunc(slices.Clone(routes), func(r object) bool { return r.head[rtProto] != unix.RTPROT_RA }))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(routes, func(r object) bool {
		switch r.head[rtProto] {
		case unix.RTPROT_KERNEL:
			return r.head[rtType] != unix.RTN_UNICAST || slices.ContainsFunc(addresses, func(a object) bool { return connectedBy(r, a) })
		case unix.RTPROT_RA:
			return !hasRoute(named, r)
		}
		return !handSet(r)
	}), nil
}
