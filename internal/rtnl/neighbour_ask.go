// SPDX-License-Identifier: MIT

package rtnl

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// NeighbourOn reads a link's entry for an address; false: there is none.
func (c *Conn) NeighbourOn(index int, ip netip.Addr) (n Object, ok bool, err error) {
	ask := neighbourKey(index, ip)
	bodies, err := request(c.socket, unix.RTM_GETNEIGH, 0, ask).Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	switch {
	case errors.Is(err, unix.ENOENT):
		return n, false, nil
	case err == nil && len(bodies) > 0:
		n, err = ParseObject(bodies[0], HeaderLen)
		return n, err == nil, err
	}
	all, err := c.neighboursOf(index, ask.Family()) // before Linux 5.0 all are read
	for _, n := range all {
		if NeighbourAddr(n) == ip {
			return n, true, nil
		}
	}
	return n, false, err
}

func neighbourKey(index int, ip netip.Addr) Object {
	n := Object{Head: make([]byte, HeaderLen)}
	n.Head[0] = unix.AF_INET
	if ip.Is6() {
		n.Head[0] = unix.AF_INET6
	}
	n.SetIndex(index)
	n.Set(unix.NDA_DST, ip.AsSlice())
	return n
}

// AskNeighbour makes the kernel ask for a neighbour at once: by unicast if it has its MAC, else by multicast, also when
// it has been asked already. It does not wait for the answer, after which the neighbour is reachable (IsReachable): the
// kernel takes nothing for an answer but a reply to this host that came in by this link. False: neighbours that are set
// by hand are not asked.
//
// mac is used if the kernel has none. anew: forget the MAC that the kernel has, as the neighbour may have another.
func (c *Conn) AskNeighbour(index int, ip netip.Addr, mac []byte, anew bool) (bool, error) {
	n, ok, err := c.NeighbourOn(index, ip)
	if err != nil {
		return false, err
	}
	state := uint16(unix.NUD_NONE)
	if ok {
		if IsPermanent(n) || neighbourState(n)&unix.NUD_NOARP != 0 {
			return false, nil
		}
		state = neighbourState(n)
		n.Drop(unix.NDA_LLADDR, unix.NDA_CACHEINFO, unix.NDA_PROBES) // without a MAC the kernel keeps the one it has
	} else {
		n = neighbourKey(index, ip)
	}
	if state == unix.NUD_INCOMPLETE {
		return true, nil // it is being asked by multicast, each second
	}
	set := func(state uint16, flags byte, n Object) error {
		n = n.Clone()
		binary.NativeEndian.PutUint16(n.Head[ndState:], state)
		n.Head[ndFlags] |= flags
		err := c.Change("ask neighbour "+ip.String(), unix.RTM_NEWNEIGH, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, n)
		return err
	}
	switch known := isResolved(n); {
	case known && !anew:
		if state == unix.NUD_PROBE { // begins anew
			err = set(unix.NUD_STALE, 0, n)
		}
		if err == nil {
			err = set(unix.NUD_PROBE, 0, n)
		}
	case !known && !anew && len(mac) == 6:
		n.Set(unix.NDA_LLADDR, mac)
		if err = set(unix.NUD_STALE, 0, n); err == nil {
			err = set(unix.NUD_PROBE, 0, n)
		}
	default:
		if known {
			err = set(unix.NUD_FAILED, 0, n)
		}
		if err == nil {
			err = set(unix.NUD_NONE, unix.NTF_USE, n)
		}
	}
	return err == nil, err
}

// StopAsking makes a neighbour that has not answered one that is used and verified as ever. Otherwise the kernel would
// give it up after its last question.
func (c *Conn) StopAsking(index int, ip netip.Addr) error {
	n, ok, err := c.NeighbourOn(index, ip)
	if err != nil || !ok || neighbourState(n) != unix.NUD_PROBE {
		return err
	}
	n.Drop(unix.NDA_LLADDR, unix.NDA_CACHEINFO, unix.NDA_PROBES)
	binary.NativeEndian.PutUint16(n.Head[ndState:], unix.NUD_STALE)
	return c.Change("stop asking neighbour "+ip.String(), unix.RTM_NEWNEIGH, unix.NLM_F_REPLACE, n)
}
