package host

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// ndmsg: family, 3 of padding, ifindex, state, flags, type.
const (
	ndState = 8
	ndFlags = 10
)

// neighboursOf lists the link's neighbours that are worth keeping: permanent ones, and those among keep whose
// MAC is known.
func (c *conn) neighboursOf(index int, keep []netip.Addr) ([]object, error) {
	all, err := c.dump(unix.RTM_GETNEIGH, unix.AF_UNSPEC, otherHead)
	if err != nil {
		return nil, err
	}
	var list []object
	for _, n := range all {
		if f := n.family(); f != unix.AF_INET && f != unix.AF_INET6 {
			continue
		}
		if n.index() != index || n.get(unix.NDA_LLADDR) == nil {
			continue
		}
		if permanent(n) || known(n) && slices.Contains(keep, neighbourAddr(n)) {
			n.drop(unix.NDA_CACHEINFO, unix.NDA_PROBES)
			list = append(list, n)
		}
	}
	return list, nil
}

// learned lists the link's neighbours whose MAC the kernel has found out.
func (c *conn) learned(index int) ([]object, error) {
	all, err := c.dump(unix.RTM_GETNEIGH, unix.AF_UNSPEC, otherHead)
	if err != nil {
		return nil, err
	}
	var list []object
	for _, n := range all {
		if f := n.family(); f != unix.AF_INET && f != unix.AF_INET6 || !known(n) || n.get(unix.NDA_LLADDR) == nil {
			continue
		}
		if n.index() == index {
			n.drop(unix.NDA_CACHEINFO, unix.NDA_PROBES)
			list = append(list, n)
		}
	}
	return list, nil
}

func neighbourAddr(n object) netip.Addr {
	a, _ := netip.AddrFromSlice(n.get(unix.NDA_DST))
	return a
}

func neighbourState(n object) uint16 { return binary.NativeEndian.Uint16(n.head[ndState:]) }

// permanent reports whether somebody set the neighbour by hand: for good, or as one that is never asked (NUD_NOARP), as
// which the kernel itself keeps groups and broadcasts.
func permanent(n object) bool {
	if neighbourState(n)&unix.NUD_NOARP != 0 {
		mac := n.get(unix.NDA_LLADDR)
		return len(mac) == 6 && !frame.MACAt(mac, 0).Multicast() && frame.MACAt(mac, 0) != 0
	}
	return neighbourState(n)&unix.NUD_PERMANENT != 0
}

func known(n object) bool {
	return neighbourState(n)&(unix.NUD_REACHABLE|unix.NUD_STALE|unix.NUD_DELAY|unix.NUD_PROBE) != 0
}

// probeNeighbour has the kernel ask a neighbour whether it is still there: unicast, and nothing waits for the answer.
func (c *conn) probeNeighbour(n object) error {
	binary.NativeEndian.PutUint16(n.head[ndState:], unix.NUD_PROBE)
	err := c.change("ask neighbour "+neighbourAddr(n).String(), unix.RTM_NEWNEIGH, unix.NLM_F_REPLACE, n)
	if errors.Is(err, unix.ENOENT) {
		return nil // forgotten meanwhile
	}
	return err
}

// setNeighbour gives a neighbour to a link. One that was learnt is used at once and verified by the kernel as it is used.
func (c *conn) setNeighbour(n object, index int) error {
	n = n.clone()
	n.setIndex(index)
	flags := unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	if !permanent(n) {
		binary.NativeEndian.PutUint16(n.head[ndState:], unix.NUD_STALE)
		// What the kernel has learnt since is fresher.
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
		n.head[ndFlags] &^= unix.NTF_ROUTER // the kernel learns that, too
	}
	return c.change("set neighbour "+neighbourAddr(n).String(), unix.RTM_NEWNEIGH, flags, n)
}

const neighbourProxy = 1 << 3 // NTF_PROXY

// proxiesOf lists the addresses for which a link answers ARP and neighbour solicitations in another's stead.
func (c *conn) proxiesOf(index int) ([]object, error) {
	ask := object{head: make([]byte, otherHead)}
	ask.head[ndFlags] = neighbourProxy
	all, err := dumpLike(c.socket, unix.RTM_GETNEIGH, ask, otherHead)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(n object) bool {
		f := n.family()
		return f != unix.AF_INET && f != unix.AF_INET6 || n.head[ndFlags]&neighbourProxy == 0 ||
			n.index() != index
	}), nil
}

// proxyFor is a proxy as it can be sent to the kernel, for a link.
func proxyFor(n object, index int) object {
	n = n.clone()
	n.drop(unix.NDA_CACHEINFO, unix.NDA_PROBES)
	n.setIndex(index)
	binary.NativeEndian.PutUint16(n.head[ndState:], unix.NUD_PERMANENT) // else it would go with the carrier
	return n
}

func (c *conn) addProxy(n object, index int) error {
	return c.change("add proxy for "+neighbourAddr(n).String(), unix.RTM_NEWNEIGH, unix.NLM_F_CREATE, proxyFor(n, index))
}

func (c *conn) deleteProxy(n object, index int) error {
	return c.change("remove proxy for "+neighbourAddr(n).String(), unix.RTM_DELNEIGH, 0, proxyFor(n, index))
}

// dropProxies takes all away from a link.
func (c *conn) dropProxies(index int) error {
	list, err := c.proxiesOf(index)
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

func hasNeighbour(list []object, n object) bool {
	return slices.ContainsFunc(list, func(o object) bool { return sameNeighbour(o, n) })
}

func sameNeighbour(a, b object) bool { return neighbourAddr(a) == neighbourAddr(b) }

func neighbourID(n object) string { return string(n.get(unix.NDA_DST)) }
