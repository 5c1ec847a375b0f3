// SPDX-License-Identifier: MIT

package managers

import (
	"fmt"
	"slices"
	"strings"
)

// networkFile is a systemd.network(5) file for the adapter, made of those of a NIC: the same addresses, routes, DHCP
// client and DNS servers, by the same client identifier.
type networkFile struct {
	team    string
	adapter string
	from    []string // the NIC's file, then its drop-ins, as paths
	texts   []string // of these
	iaid    uint32   // of the NIC's DHCP client; systemd-networkd derives it from the name of a link
}

// copiedSections are those that are about the host. All others are about the NIC itself: its match, bridge port,
// queueing disciplines, CAN, SR-IOV.
var copiedSections = []string{"Link", "Network", "Address", "Neighbor", "IPv6AddressLabel", "RoutingPolicyRule",
	"NextHop", "Route", "DHCP", "DHCPv4", "DHCPv6", "DHCPPrefixDelegation", "DHCPv6PrefixDelegation", "IPv6AcceptRA",
	"DHCPServer", "DHCPServerStaticLease", "IPv6SendRA", "IPv6Prefix", "IPv6RoutePrefix", "IPv6PREF64Prefix"}

// linkKeys are the keys of [Link] that are about the host. MAC, MTU and flags are the team's.
var linkKeys = []string{"RequiredForOnline", "RequiredFamilyForOnline"}

// stackedKeys are the keys of [Network] that put other interfaces on the link, or the link into one. nicteam takes no
// such NIC.
var stackedKeys = []string{"Bridge", "Bond", "VRF", "VLAN", "IPVLAN", "IPVTAP", "MACVLAN", "MACVTAP", "MACsec", "VXLAN",
	"Tunnel", "Xfrm", "BatmanAdvanced", "IPoIB", "BindCarrier"}

// String returns the file.
func (f networkFile) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: the same as for the NIC that %s replaces\n", headerOf(f.team), f.adapter)
	for _, path := range f.from {
		fmt.Fprintf(&b, "# from %s\n", path)
	}
	fmt.Fprintf(&b, "[Match]\nName=%s\n", f.adapter)
	for _, text := range f.texts {
		for _, s := range networkSections(text) {
			if slices.Contains(copiedSections, s.name) {
				s.write(&b)
			}
		}
	}
	if f.iaid != 0 {
		fmt.Fprintf(&b, "\n[DHCPv4]\nIAID=%d\n\n[DHCPv6]\nIAID=%d\n", f.iaid, f.iaid)
	}
	return b.String()
}

// headerOf begins every file that nicteam writes for a team.
func headerOf(team string) string {
	return fmt.Sprintf("# nicteam wrote this for %s, and removes it when the team ends", team)
}

// unmanagedFile tells systemd-networkd to leave NICs alone.
func unmanagedFile(team string, nics []string) string {
	return fmt.Sprintf("%s: members\n[Match]\nName=%s\n\n[Link]\nUnmanaged=yes\n", headerOf(team),
		strings.Join(nics, " "))
}

// networkSection is a section of a file, with its entries: "Key=value", lines that go on with a backslash in one.
type networkSection struct {
	name    string
	entries []string
}

// networkSections parses a file as systemd does; what is no section or entry is left out.
func networkSections(text string) (list []networkSection) {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		if name, ok := strings.CutPrefix(line, "["); ok {
			if name, ok = strings.CutSuffix(name, "]"); ok {
				list = append(list, networkSection{name: name})
			}
			continue
		}
		for strings.HasSuffix(line, `\`) && i+1 < len(lines) {
			i++
			if next := strings.TrimSpace(lines[i]); next == "" || next[0] != '#' && next[0] != ';' {
				line = strings.TrimSuffix(line, `\`) + " " + next
			}
		}
		line = strings.TrimSpace(strings.TrimSuffix(line, `\`))
		if key, _, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) != "" && len(list) > 0 {
			last := &list[len(list)-1]
			last.entries = append(last.entries, line)
		}
	}
	return list
}

// write writes what is for the adapter of a section.
func (s networkSection) write(b *strings.Builder) {
	fmt.Fprintf(b, "\n[%s]\n", s.name)
	for _, e := range s.entries {
		key, _, _ := strings.Cut(e, "=")
		key = strings.TrimSpace(key)
		if s.name == "Link" && !slices.Contains(linkKeys, key) ||
			s.name == "Network" && slices.Contains(stackedKeys, key) {
			continue
		}
		b.WriteString(e + "\n")
	}
}
