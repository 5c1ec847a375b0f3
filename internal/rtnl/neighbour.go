// SPDX-License-Identifier: MIT

package rtnl

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// ndmsg: family, 3 of padding, ifindex, state, flags, type.
const (
	ndState = 8
	ndFlags = 10
)

// Neighbours lists the link's permanent neighbours, and those in keep with a known MAC.
func (c *Conn) Neighbours(index int, keep []netip.Addr) ([]Object, error) {
	all, err := c.neighboursWithMAC(index)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(n Object) bool {
		return !IsPermanent(n) && !(isResolved(n) && slices.Contains(keep, NeighbourAddr(n)))
	}), nil
}

// LearnedNeighbours lists the link's neighbours whose MAC the kernel resolved.
func (c *Conn) LearnedNeighbours(index int) ([]Object, error) {
	all, err := c.neighboursWithMAC(index)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(n Object) bool { return !isResolved(n) }), nil
}

// neighboursWithMAC lists the link's neighbours with a MAC, without what the kernel counts and times.
func (c *Conn) neighboursWithMAC(index int) ([]Object, error) {
	var list []Object
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		all, err := c.neighboursOf(index, family)
		if err != nil {
			return nil, err
		}
		for _, n := range all {
			if n.Get(unix.NDA_LLADDR) != nil {
				n.Drop(unix.NDA_CACHEINFO, unix.NDA_PROBES)
				list = append(list, n)
			}
		}
	}
	return list, nil
}

// HeardNeighbours lists the link's resolved neighbours that the kernel itself verifies. The kernel filters the dump, as
// tables may be large.
func (c *Conn) HeardNeighbours(index int) ([]Object, error) {
	var list []Object
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		all, err := c.neighboursOf(index, family)
		if err != nil {
			return nil, err
		}
		for _, n := range all {
			if isResolved(n) && NeighbourMAC(n) != 0 {
				list = append(list, n)
			}
		}
	}
	return list, nil
}

// neighboursOf lists the neighbours of a link, for AF_BRIDGE what the bridge has learned at that port.
func (c *Conn) neighboursOf(index int, family byte) ([]Object, error) {
	ask := Object{Head: make([]byte, HeaderLen)}
	ask.Head[0] = family
	ask.Set32(unix.NDA_IFINDEX, uint32(index))
	all, err := c.dumpLike(c.strict, unix.RTM_GETNEIGH, ask, HeaderLen)
	return slices.DeleteFunc(all, func(n Object) bool { return n.Family() != family || n.Index() != index }), err
}

// IsReachable reports whether a neighbour was confirmed within the time that the kernel trusts it.
func IsReachable(n Object) bool { return neighbourState(n)&unix.NUD_REACHABLE != 0 }

// ConfirmedAgo returns how long ago a neighbour was confirmed.
func ConfirmedAgo(n Object) time.Duration {
	info := n.Get(unix.NDA_CACHEINFO) // struct nda_cacheinfo: confirmed, used, updated, references
	if len(info) < 4 {
		return math.MaxInt64
	}
	return time.Duration(binary.NativeEndian.Uint32(info)) * time.Second / UserHZ
}

// NeighbourMAC returns the neighbour's MAC, 0 for none.
func NeighbourMAC(n Object) frame.MAC { return frame.MACFrom(n.Get(unix.NDA_LLADDR)) }

// LearnedAtPort lists the MACs that a bridge has learned at a port.
func (c *Conn) LearnedAtPort(port int) (map[frame.MAC]bool, error) {
	all, err := c.neighboursOf(port, unix.AF_BRIDGE)
	if err != nil {
		return nil, err
	}
	macs := map[frame.MAC]bool{}
	for _, n := range all {
		if mac := NeighbourMAC(n); mac != 0 && neighbourState(n)&unix.NUD_PERMANENT == 0 { // those are its own
			macs[mac] = true
		}
	}
	return macs, nil
}

func NeighbourAddr(n Object) netip.Addr {
	a, _ := netip.AddrFromSlice(n.Get(unix.NDA_DST))
	return a
}

func neighbourState(n Object) uint16 { return binary.NativeEndian.Uint16(n.Head[ndState:]) }

// IsPermanent reports whether the neighbour was set by hand: NUD_PERMANENT, or NUD_NOARP with a unicast MAC. The kernel
// itself uses NUD_NOARP for multicast and broadcast.
func IsPermanent(n Object) bool {
	if neighbourState(n)&unix.NUD_NOARP != 0 {
		mac := n.Get(unix.NDA_LLADDR)
		return len(mac) == 6 && !frame.MACAt(mac, 0).Multicast() && frame.MACAt(mac, 0) != 0
	}
	return neighbourState(n)&unix.NUD_PERMANENT != 0
}

func isResolved(n Object) bool {
	return neighbourState(n)&(unix.NUD_REACHABLE|unix.NUD_STALE|unix.NUD_DELAY|unix.NUD_PROBE) != 0
}

// ProbeNeighbour makes the kernel probe a neighbour by unicast. It does not wait for the answer.
func (c *Conn) ProbeNeighbour(n Object) error {
	binary.NativeEndian.PutUint16(n.Head[ndState:], unix.NUD_PROBE)
	err := c.Change("ask neighbour "+NeighbourAddr(n).String(), unix.RTM_NEWNEIGH, unix.NLM_F_REPLACE, n)
	if errors.Is(err, unix.ENOENT) {
		return nil // removed meanwhile
	}
	return err
}

// SetNeighbour adds a neighbour to a link. A learned one is added as stale: the kernel uses it at once and verifies it.
func (c *Conn) SetNeighbour(n Object, index int) error {
	n = n.Clone()
	n.SetIndex(index)
	flags := unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	if !IsPermanent(n) {
		binary.NativeEndian.PutUint16(n.Head[ndState:], unix.NUD_STALE)
		// What the kernel has learned since is newer.
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
		n.Head[ndFlags] &^= unix.NTF_ROUTER // the kernel learns the flag, too
	}
	return c.Change("set neighbour "+NeighbourAddr(n).String(), unix.RTM_NEWNEIGH, flags, n)
}

// Proxies lists the addresses for which a link is an ARP or ND proxy.
func (c *Conn) Proxies(index int) ([]Object, error) {
	ask := Object{Head: make([]byte, HeaderLen)}
	ask.Head[ndFlags] = unix.NTF_PROXY
	all, err := c.dumpLike(c.socket, unix.RTM_GETNEIGH, ask, HeaderLen)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(n Object) bool {
		f := n.Family()
		return f != unix.AF_INET && f != unix.AF_INET6 || n.Head[ndFlags]&unix.NTF_PROXY == 0 ||
			n.Index() != index
	}), nil
}

// proxyFor returns the message that adds or removes a proxy entry of a link.
func proxyFor(n Object, index int) Object {
	n = n.Clone()
	n.Drop(unix.NDA_CACHEINFO, unix.NDA_PROBES)
	n.SetIndex(index)
	binary.NativeEndian.PutUint16(n.Head[ndState:], unix.NUD_PERMANENT) // other states vanish with the carrier
	return n
}

func (c *Conn) AddProxy(n Object, index int) error {
	return c.Change("add proxy for "+NeighbourAddr(n).String(), unix.RTM_NEWNEIGH, unix.NLM_F_CREATE,
		proxyFor(n, index))
}

func (c *Conn) deleteProxy(n Object, index int) error {
	return c.Change("remove proxy for "+NeighbourAddr(n).String(), unix.RTM_DELNEIGH, 0, proxyFor(n, index))
}

// DeleteProxies removes all proxy entries of a link.
func (c *Conn) DeleteProxies(index int) error {
	list, err := c.Proxies(index)
	if err != nil {
		return err
	}
	for _, n := range list {
		if err := c.deleteProxy(n, index); err != nil {
			return err
		}
	}
	return nil
}

func HasNeighbour(list []Object, n Object) bool {
	return slices.ContainsFunc(list, func(o Object) bool { return SameNeighbour(o, n) })
}

func SameNeighbour(a, b Object) bool { return NeighbourAddr(a) == NeighbourAddr(b) }

func NeighbourID(n Object) string { return string(n.Get(unix.NDA_DST)) }
