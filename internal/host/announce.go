// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"net/netip"
	"slices"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
	"nicteam/team"
)

// Announcement reads what the LAN must learn after the adapter's traffic changed NICs: its addresses, those of VLANs,
// macvlans and a bridge on it, and the multicast groups of all of them.
func (h *Host) Announcement(adapter int) (team.Announcement, error) {
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return team.Announcement{}, err
	}
	return h.announcementOf(adapter, links, readListening())
}

// announcementOf is Announcement with what was read of all links.
func (h *Host) announcementOf(adapter int, links []netlink.Link, heard listening) (team.Announcement, error) {
	var out team.Announcement
	for _, b := range uppersOf(links, adapter) {
		list, err := h.rt.Addresses(b.index)
		if err != nil {
			return out, err
		}
		var source4, source6 netip.Addr
		for _, a := range list {
			ip := rtnl.AddressPrefix(a).Addr()
			if rtnl.AddressFlags(a)&unix.IFA_F_DADFAILED != 0 {
				continue // another host has it, and this one's stack does not use it
			}
			out.Addresses = append(out.Addresses,
				team.Address{IP: ip, MAC: b.mac, VLAN: b.vlan, Router: ip.Is6() && forwardsIPv6(b.name)})
			switch {
			case ip.Is4() && !source4.IsValid():
				source4 = ip
			case rtnl.IsLinkLocal(a):
				source6 = ip // MLD is sent from the link-local address
			}
		}
		for _, source := range []netip.Addr{source4, source6} {
			var mine []netip.Addr
			for _, g := range heard.groups[b.name] {
				if g.Is4() == source.Is4() {
					mine = append(mine, g)
				}
			}
			if !source.IsValid() || len(mine) == 0 {
				continue
			}
			version := heard.igmp[b.name]
			if source.Is6() {
				version = mldVersion(b.name)
			}
			out.Groups = append(out.Groups, team.GroupReport{Source: source, VLAN: b.vlan, Version: version,
				Groups: mine})
		}
	}
	return out, nil
}

func forwardsIPv6(nic string) bool {
	v, _ := readSysctl(nic, "ipv6/forwarding")
	return v == "1"
}

// mldVersion returns the MLD version that sysctls force on a link, 0 for none; "all" overrides the link, as in
// mld_force_mld_version (net/ipv6/mcast.c). The kernel does not report the querier's version.
func mldVersion(nic string) int {
	for _, of := range []string{"all", nic} {
		v, _ := readSysctl(of, "ipv6/force_mld_version")
		if n, err := strconv.Atoi(v); err == nil && n != 0 {
			return n
		}
	}
	return 0
}

// ProbeNeighbours makes the kernel probe all neighbours of the adapter, and of links on it with the adapter's MAC, by
// unicast. It does not wait for answers.
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
	mac   frame.MAC // zero: the adapter's MAC, which a member may replace
	vlan  uint16
	port  int // ifindex of the bridge port below it; 0: no bridge is
}

// uppersOf lists the adapter and all links on top of it. A VLAN in a VLAN is left out, because an announcement carries
// one tag.
func uppersOf(links []netlink.Link, adapter int) []upperLink {
	var out []upperLink
	var own frame.MAC
	seen := map[int]bool{}
	var visit func(index int, vlan uint16, port int)
	visit = func(index int, vlan uint16, port int) {
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
		out = append(out, upperLink{index, a.Name, mac, vlan, port})
		if a.MasterIndex != 0 {
			visit(a.MasterIndex, vlan, portOf(links, a, port))
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
			visit(l.Attrs().Index, tag, port)
		}
	}
	visit(adapter, 0, 0)
	return out
}

// portOf returns the bridge port below the master of a link: the link itself if that is a bridge, else the one below.
func portOf(links []netlink.Link, a *netlink.LinkAttrs, below int) int {
	for _, l := range links {
		if _, bridge := l.(*netlink.Bridge); bridge && l.Attrs().Index == a.MasterIndex {
			return a.Index
		}
	}
	return below
}
