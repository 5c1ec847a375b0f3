// SPDX-License-Identifier: MIT

package host

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
)

// Reach is a neighbour by which this host can be reached: the gateway of a default route, or a host of the LAN. A
// self-test asks it.
type Reach struct {
	IP      netip.Addr
	VLAN    uint16
	Gateway bool

	Link int    // it is asked on this link
	Name string // of the link

	mac frame.MAC // zero: not known
}

// Bounds of how many are asked.
const (
	maxReachHosts    = 4
	maxReachGateways = 8
)

// ReachTargets lists the gateways of default routes over links and over what is on top of them, then those neighbours
// in the networks of their addresses that were heard from last.
func (h *Host) ReachTargets(of ...int) ([]Reach, error) {
	on, err := h.reachLinks(of)
	if err != nil {
		return nil, err
	}
	var gateways, hosts []Reach
	for _, l := range on {
		list, err := h.gatewaysOn(l)
		if err != nil {
			return nil, err
		}
		for _, ip := range list {
			gateways = append(gateways, Reach{IP: ip, VLAN: l.vlan, Gateway: true, Link: l.index, Name: l.name})
		}
	}
	if gateways, err = h.withMACs(gateways[:min(len(gateways), maxReachGateways)]); err != nil {
		return nil, err
	}
	ago := map[Reach]time.Duration{}
	for _, l := range on {
		near, err := h.behindPort(l)
		if err != nil {
			return nil, err
		}
		own, err := h.rt.Addresses(l.index)
		if err != nil {
			return nil, err
		}
		for _, n := range near {
			r := Reach{IP: rtnl.NeighbourAddr(n), VLAN: l.vlan, Link: l.index, Name: l.name, mac: rtnl.NeighbourMAC(n)}
			// A NIC may also know neighbours of a network that is another NIC's, and the adapter has another link-local
			// address.
			same := func(g Reach) bool { return g.IP == r.IP && g.Link == r.Link }
			if !r.IP.IsLinkLocalUnicast() && inNetworkOf(r.IP, own) && !slices.ContainsFunc(gateways, same) {
				hosts = append(hosts, r)
				ago[r] = rtnl.ConfirmedAgo(n)
			}
		}
	}
	slices.SortStableFunc(hosts, func(a, b Reach) int { return cmp.Compare(ago[a], ago[b]) })
	return append(gateways, hosts[:min(len(hosts), maxReachHosts)]...), nil
}

func (h *Host) withMACs(list []Reach) ([]Reach, error) {
	for i := range list {
		n, ok, err := h.rt.NeighbourOn(list[i].Link, list[i].IP)
		if err != nil {
			return nil, err
		}
		if ok {
			list[i].mac = rtnl.NeighbourMAC(n)
		}
	}
	return list, nil
}

// reachLinks lists links and what is on top of them, each once.
func (h *Host) reachLinks(of []int) (on []upperLink, err error) {
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return nil, err
	}
	for _, index := range of {
		for _, u := range uppersOf(links, index) {
			if !slices.ContainsFunc(on, func(o upperLink) bool { return o.index == u.index }) {
				on = append(on, u)
			}
		}
	}
	return on, nil
}

// ReachOn finds a neighbour on other links, or on what is on top of them: where it is a gateway or in the network of an
// address. False: it can not be asked there.
func (h *Host) ReachOn(r Reach, of ...int) (Reach, bool, error) {
	on, err := h.reachLinks(of)
	if err != nil {
		return r, false, err
	}
	for _, l := range on {
		if l.vlan != r.VLAN {
			continue
		}
		own, err := h.rt.Addresses(l.index)
		if err != nil {
			return r, false, err
		}
		near := inNetworkOf(r.IP, own)
		if !near && r.Gateway {
			gateways, err := h.gatewaysOn(l)
			if err != nil {
				return r, false, err
			}
			near = slices.Contains(gateways, r.IP)
		}
		if near {
			r.Link, r.Name = l.index, l.name
			return r, true, nil
		}
	}
	return r, false, nil
}

// inNetworkOf reports whether an IP address is in the network of one of a link's addresses that can be used.
func inNetworkOf(ip netip.Addr, own []rtnl.Object) bool {
	return slices.ContainsFunc(own, func(a rtnl.Object) bool {
		return rtnl.AddressPrefix(a).Contains(ip) && rtnl.AddressFlags(a)&unix.IFA_F_TENTATIVE == 0
	})
}

// Ask makes the kernel ask a neighbour, and does not wait for the answer. False: it cannot be asked. anew: it may have
// another MAC than the one known.
func (h *Host) Ask(r Reach, anew bool) (bool, error) {
	var mac []byte
	if r.mac != 0 {
		mac = make([]byte, 6)
		r.mac.Put(mac, 0)
	}
	return h.rt.AskNeighbour(r.Link, r.IP, mac, anew)
}

// Answered reports whether a neighbour has answered since Ask.
func (h *Host) Answered(r Reach) (bool, error) {
	n, ok, err := h.rt.NeighbourOn(r.Link, r.IP)
	return ok && rtnl.IsReachable(n), err
}

// StopAsking ends what Ask began for a neighbour that did not answer.
func (h *Host) StopAsking(r Reach) error { return h.rt.StopAsking(r.Link, r.IP) }

// ReachBy is a neighbour on a link, if that is one of the others or on top of one.
func (h *Host) ReachBy(link int, ip netip.Addr, of ...int) (r Reach, ok bool, err error) {
	on, err := h.reachLinks(of)
	for _, l := range on {
		if l.index == link {
			r, ok = Reach{IP: ip, VLAN: l.vlan, Link: l.index, Name: l.name}, true
		}
	}
	if !ok || err != nil {
		return r, false, err
	}
	list, err := h.withMACs([]Reach{r})
	if err != nil {
		return r, false, err
	}
	return list[0], true, nil
}
