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
	ndIndex = 4
	ndState = 8
	ndFlags = 10
)

// neighboursOf lists the link's neighbours that are worth keeping: permanent ones, and those among keep whose
// MAC is known.
func (h *Host) neighboursOf(index int, keep []netip.Addr) ([]object, error) {
	all, err := h.rt.dump(unix.RTM_GETNEIGH, unix.AF_UNSPEC, otherHead)
	if err != nil {
		return nil, err
	}
	var list []object
	for _, n := range all {
		if f := n.family(); f != unix.AF_INET && f != unix.AF_INET6 {
			continue
		}
		if int(binary.NativeEndian.Uint32(n.head[ndIndex:])) != index || n.get(unix.NDA_LLADDR) == nil {
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
func (h *Host) learned(index int) ([]object, error) {
	all, err := h.rt.dump(unix.RTM_GETNEIGH, unix.AF_UNSPEC, otherHead)
	if err != nil {
		return nil, err
	}
	var list []object
	for _, n := range all {
		if f := n.family(); f != unix.AF_INET && f != unix.AF_INET6 || !known(n) || n.get(unix.NDA_LLADDR) == nil {
			continue
		}
		if int(binary.NativeEndian.Uint32(n.head[ndIndex:])) == index {
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

// setNeighbour gives a neighbour to a link. One that was learnt is used at once and verified by the kernel as it is used.
func (h *Host) setNeighbour(n object, index int) error {
	n = n.clone()
	binary.NativeEndian.PutUint32(n.head[ndIndex:], uint32(index))
	flags := unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	if !permanent(n) {
		binary.NativeEndian.PutUint16(n.head[ndState:], unix.NUD_STALE)
		// What the kernel has learnt since is fresher.
		flags = unix.NLM_F_CREATE | unix.NLM_F_EXCL
		n.head[ndFlags] &^= unix.NTF_ROUTER // the kernel learns that, too
	}
	return h.change("set neighbour "+neighbourAddr(n).String(), unix.RTM_NEWNEIGH, flags, n)
}

// AskNeighbours has the kernel ask all neighbours that it knows by the adapter, or by a link on it that shares the
// adapter's MAC, whether they are still there: unicast, and nothing waits for the answers.
func (h *Host) AskNeighbours(adapter int) error {
	links, err := retry(h.nl.LinkList)
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range behind(links, adapter) {
		if b.mac != 0 {
			continue
		}
		list, err := h.learned(b.index)
		errs = append(errs, err)
		for _, n := range list {
			if permanent(n) {
				continue
			}
			binary.NativeEndian.PutUint16(n.head[ndState:], unix.NUD_PROBE)
			err := h.change("ask neighbour "+neighbourAddr(n).String(), unix.RTM_NEWNEIGH, unix.NLM_F_REPLACE, n)
			if !errors.Is(err, unix.ENOENT) { // forgotten meanwhile
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}
