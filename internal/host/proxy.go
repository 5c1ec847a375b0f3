package host

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

const neighbourProxy = 1 << 3 // NTF_PROXY

// proxiesOf lists the addresses for which a link answers ARP and neighbour solicitations in another's stead.
func (h *Host) proxiesOf(index int) ([]object, error) {
	ask := object{head: make([]byte, otherHead)}
	ask.head[ndFlags] = neighbourProxy
	all, err := h.rt.list(unix.RTM_GETNEIGH, ask, otherHead)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(n object) bool {
		f := n.family()
		return f != unix.AF_INET && f != unix.AF_INET6 || n.head[ndFlags]&neighbourProxy == 0 ||
			int(binary.NativeEndian.Uint32(n.head[ndIndex:])) != index
	}), nil
}

// proxyFor is a proxy as it can be sent to the kernel, for a link.
func proxyFor(n object, index int) object {
	n = n.clone()
	n.drop(unix.NDA_CACHEINFO, unix.NDA_PROBES)
	binary.NativeEndian.PutUint32(n.head[ndIndex:], uint32(index))
	binary.NativeEndian.PutUint16(n.head[ndState:], unix.NUD_PERMANENT) // else it would go with the carrier
	return n
}

func (h *Host) addProxy(n object, index int) error {
	return h.change("add proxy for "+neighbourAddr(n).String(), unix.RTM_NEWNEIGH, unix.NLM_F_CREATE, proxyFor(n, index))
}

func (h *Host) deleteProxy(n object, index int) error {
	return h.change("remove proxy for "+neighbourAddr(n).String(), unix.RTM_DELNEIGH, 0, proxyFor(n, index))
}

// adoptProxies gives the adapter those of a member.
func (h *Host) adoptProxies(from, to NIC) error {
	list, err := h.proxiesOf(from.Index)
	if err != nil {
		return err
	}
	for _, n := range list {
		if err := h.addProxy(n, to.Index); err != nil {
			return err
		}
	}
	return nil
}

// dropProxies takes all away from a link.
func (h *Host) dropProxies(index int) error {
	list, err := h.proxiesOf(index)
	if err != nil {
		return err
	}
	for _, n := range list {
		if err := h.deleteProxy(n, index); err != nil {
			return err
		}
	}
	return nil
}

// proxies gives NICs theirs back, those that the adapter still has, and the inheritor those that came since.
func (b *back) proxies(inheritor *returning) error {
	var held []object
	if b.adapter != nil {
		var err error
		if held, err = b.h.proxiesOf(b.adapter.Index); err != nil {
			return err
		}
	}
	give := func(n object, to *returning) error {
		if n.family() == unix.AF_INET6 && to.m.Sysctls[disableIPv6] != "0" {
			return nil
		}
		return b.soften(b.h.addProxy(n, to.nic.Index))
	}
	for _, r := range b.members {
		for _, n := range r.m.Proxies {
			if r.m.adopted && b.adapter != nil && b.adapter.AdminUp && !hasNeighbour(held, n) {
				continue // somebody took it away
			}
			if err := give(n, r); err != nil {
				return err
			}
		}
	}
	for _, n := range held {
		lent := slices.ContainsFunc(b.j.state.members, func(m *memberState) bool { return b.of(m) != nil && hasNeighbour(m.Proxies, n) })
		if lent || inheritor == nil {
			continue
		}
		if err := give(n, inheritor); err != nil {
			return err
		}
	}
	return nil
}

func hasNeighbour(list []object, n object) bool {
	return slices.ContainsFunc(list, func(o object) bool { return sameNeighbour(o, n) })
}
