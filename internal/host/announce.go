package host

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
	"nicteam/team"
)

// Announcement reads what the adapter's neighbours must know after its traffic changed NICs: its addresses, those of
// VLANs, macvlans and a bridge that live behind it, and the multicast groups all of them listen to.
func (h *Host) Announcement(adapter int) (team.Announcement, error) {
	var out team.Announcement
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return out, err
	}
	listening := readListening()
	for _, b := range uppersOf(links, adapter) {
		list, err := h.rt.Addresses(b.index)
		if err != nil {
			return out, err
		}
		var source4, source6 netip.Addr
		for _, a := range list {
			ip := rtnl.AddressPrefix(a).Addr()
			out.Addresses = append(out.Addresses, team.Address{IP: ip, MAC: b.mac, VLAN: b.vlan, Router: ip.Is6() && forwardsIPv6(b.name)})
			switch {
			case ip.Is4() && !source4.IsValid():
				source4 = ip
			case rtnl.IsLinkLocal(a):
				source6 = ip // MLD is sent from the link-local address
			}
		}
		for _, source := range []netip.Addr{source4, source6} {
			var mine []netip.Addr
			for _, g := range listening.groups[b.name] {
				if g.Is4() == source.Is4() {
					mine = append(mine, g)
				}
			}
			if !source.IsValid() || len(mine) == 0 {
				continue
			}
			version := listening.igmp[b.name]
			if source.Is6() {
				version = mldVersion(b.name)
			}
			out.Groups = append(out.Groups, team.GroupReport{Source: source, VLAN: b.vlan, Version: version, Groups: mine})
		}
	}
	return out, nil
}

func forwardsIPv6(nic string) bool {
	v, _ := readSysctl(nic, "ipv6/forwarding")
	return v == "1"
}

// mldVersion is the version of MLD that the host's settings force on a link, 0 none: those for all links first, as the
// kernel has it (mld_force_mld_version in net/ipv6/mcast.c). Which version a querier speaks the kernel tells nobody.
func mldVersion(nic string) int {
	for _, of := range []string{"all", nic} {
		v, _ := readSysctl(of, "ipv6/force_mld_version")
		if n, err := strconv.Atoi(v); err == nil && n != 0 {
			return n
		}
	}
	return 0
}

// ProbeNeighbours has the kernel ask all neighbours that it knows by the adapter, or by a link on it that shares the
// adapter's MAC, whether they are still there: unicast, and nothing waits for the answers.
func (h *Host) ProbeNeighbours(adapter int) error {
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range uppersOf(links, adapter) {
		if b.mac != 0 {
			continue
		}
		list, err := h.rt.LearnedNeighbours(b.index)
		errs = append(errs, err)
		for _, n := range list {
			if rtnl.IsPermanent(n) {
				continue
			}
			errs = append(errs, h.rt.ProbeNeighbour(n))
		}
	}
	return errors.Join(errs...)
}

// upperLink is a link whose frames go through the adapter.
type upperLink struct {
	index int
	name  string
	mac   frame.MAC // zero: the adapter's, which may leave a member as another
	vlan  uint16
}

// uppersOf lists the adapter and the links that stand on it, however high. A VLAN on a VLAN is left out: an
// announcement carries one tag.
func uppersOf(links []netlink.Link, adapter int) []upperLink {
	var out []upperLink
	var own frame.MAC
	seen := map[int]bool{}
	var visit func(index int, vlan uint16)
	visit = func(index int, vlan uint16) {
		i := slices.IndexFunc(links, func(l netlink.Link) bool { return l.Attrs().Index == index })
		if i < 0 || seen[index] {
			return
		}
		seen[index] = true
		a := links[i].Attrs()
		mac := frame.MACFrom(a.HardwareAddr)
		if index == adapter {
			own = mac
		}
		if mac == own {
			mac = 0
		}
		out = append(out, upperLink{index, a.Name, mac, vlan})
		if a.MasterIndex != 0 {
			visit(a.MasterIndex, vlan)
		}
		for _, l := range links {
			if l.Attrs().ParentIndex != index || !hasLower(l) {
				continue
			}
			tag := vlan
			if v, ok := l.(*netlink.Vlan); ok {
				if vlan != 0 || v.VlanProtocol == netlink.VLAN_PROTOCOL_8021AD {
					continue
				}
				tag = uint16(v.VlanId)
			}
			visit(l.Attrs().Index, tag)
		}
	}
	visit(adapter, 0)
	return out
}
