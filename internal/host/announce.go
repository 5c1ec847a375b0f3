package host

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/team"
)

// Announcement reads what the adapter's neighbours must know after its traffic changed NICs: its addresses, those of
// VLANs, macvlans and a bridge that live behind it, and the multicast groups all of them listen to.
func (h *Host) Announcement(adapter int) (team.Announcement, error) {
	var out team.Announcement
	links, err := retry(h.nl.LinkList)
	if err != nil {
		return out, err
	}
	listening := readListening()
	for _, b := range behind(links, adapter) {
		list, err := h.addresses(b.index)
		if err != nil {
			return out, err
		}
		var source4, source6 netip.Addr
		for _, a := range list {
			ip := addressPrefix(a).Addr()
			out.Addresses = append(out.Addresses, team.Address{IP: ip, MAC: b.mac, VLAN: b.vlan, Router: ip.Is6() && forwards(b.name)})
			switch {
			case ip.Is4() && !source4.IsValid():
				source4 = ip
			case linkLocal(a):
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

// station is a link whose frames go through the adapter.
type station struct {
	index int
	name  string
	mac   frame.MAC // zero: the adapter's, which may leave a member as another
	vlan  uint16
}

// behind lists the adapter and the links that stand on it, however high. A VLAN on a VLAN is left out: an
// announcement carries one tag.
func behind(links []netlink.Link, adapter int) []station {
	var out []station
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
		out = append(out, station{index, a.Name, mac, vlan})
		if a.MasterIndex != 0 {
			visit(a.MasterIndex, vlan)
		}
		for _, l := range links {
			if l.Attrs().ParentIndex != index || !standsOn(l) {
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

func forwards(nic string) bool {
	v, _ := readSysctl(nic, "ipv6/forwarding")
	return v == "1"
}

// listening is what the host's links listen to.
type listening struct {
	groups map[string][]netip.Addr // by link
	igmp   map[string]int          // the version that a link uses, as its querier and the host's settings want
}

func readListening() listening {
	l := listening{groups: map[string][]netip.Addr{}, igmp: map[string]int{}}
	if b, err := os.ReadFile("/proc/thread-self/net/igmp"); err == nil {
		l.parseIGMP(b)
	}
	if b, err := os.ReadFile("/proc/thread-self/net/igmp6"); err == nil {
		l.parseIGMP6(b)
	}
	return l
}

// parseIGMP reads /proc/net/igmp: a line a link with the version, then an indented line a group, whose address is
// printed as the word that it is in memory. A link's name of ten characters and more has the colon after it.
func (l *listening) parseIGMP(b []byte) {
	nic := ""
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		line := s.Text()
		f := strings.Fields(line)
		switch {
		case len(f) < 2:
		case line[0] != '\t':
			nic = strings.TrimSuffix(f[1], ":")
			if version, found := strings.CutPrefix(f[len(f)-1], "V"); found {
				l.igmp[nic], _ = strconv.Atoi(version)
			}
		default:
			raw, err := hex.DecodeString(f[0])
			if err != nil || len(raw) != 4 {
				continue
			}
			if littleEndian {
				slices.Reverse(raw)
			}
			if a, ok := netip.AddrFromSlice(raw); ok && a.IsMulticast() {
				l.groups[nic] = append(l.groups[nic], a)
			}
		}
	}
}

// parseIGMP6 reads /proc/net/igmp6: index, link, group, …
func (l *listening) parseIGMP6(b []byte) {
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f := strings.Fields(s.Text())
		if len(f) < 3 {
			continue
		}
		raw, err := hex.DecodeString(f[2])
		if err != nil || len(raw) != 16 {
			continue
		}
		if a, ok := netip.AddrFromSlice(raw); ok && a.IsMulticast() {
			l.groups[f[1]] = append(l.groups[f[1]], a)
		}
	}
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
