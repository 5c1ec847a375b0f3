package host

import (
	"errors"
	"net/netip"
	"strconv"

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
	for _, b := range behind(links, adapter) {
		list, err := h.rt.Addresses(b.index)
		if err != nil {
			return out, err
		}
		var source4, source6 netip.Addr
		for _, a := range list {
			ip := rtnl.AddressPrefix(a).Addr()
			out.Addresses = append(out.Addresses, team.Address{IP: ip, MAC: b.mac, VLAN: b.vlan, Router: ip.Is6() && forwards(b.name)})
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

func forwards(nic string) bool {
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

// AskNeighbours has the kernel ask all neighbours that it knows by the adapter, or by a link on it that shares the
// adapter's MAC, whether they are still there: unicast, and nothing waits for the answers.
func (h *Host) AskNeighbours(adapter int) error {
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range behind(links, adapter) {
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
