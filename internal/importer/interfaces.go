// SPDX-License-Identifier: MIT

package importer

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// stanza is one iface of /etc/network/interfaces (interfaces(5)).
type stanza struct {
	name, family, method string
	at                   Place
	options              []Entry // Key as written
}

// logicalLines returns the lines of a text without comments, those that end with a backslash with the next one, and
// where they begin.
func logicalLines(file, text string, emit func(Place, string)) {
	held, from := "", 0
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if held == "" {
			from = i + 1
			if strings.HasPrefix(strings.TrimSpace(line), "#") {
				continue
			}
		}
		if more, ok := strings.CutSuffix(line, "\\"); ok {
			held += more + " "
			continue
		}
		if full := strings.TrimSpace(held + line); full != "" {
			emit(Place{file, from}, full)
		}
		held = ""
	}
	if full := strings.TrimSpace(held); full != "" {
		emit(Place{file, from}, full)
	}
}

// parseInterfaces returns the stanzas of a file, and the patterns of files that it includes.
func parseInterfaces(file, text string) (list []stanza, include []string) {
	var now *stanza
	logicalLines(file, text, func(at Place, line string) {
		key, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
		rest = strings.TrimSpace(rest)
		switch {
		case key == "iface":
			f := strings.Fields(rest)
			list = append(list, stanza{at: at})
			now = &list[len(list)-1]
			for i, to := range []*string{&now.name, &now.family, &now.method} {
				if i < len(f) {
					*to = f[i]
				}
			}
		case key == "source":
			include = append(include, rest)
			now = nil
		case key == "source-directory":
			include = append(include, filepath.Join(rest, "*"))
			now = nil
		case key == "auto" || strings.HasPrefix(key, "allow-") || key == "mapping" || key == "no-auto-down" ||
			key == "no-scripts" || key == "rename" || key == "template":
			now = nil
		case now != nil:
			now.options = append(now.options, Entry{Key: key, Typed: key, Value: rest, At: at})
		}
	})
	return list, include
}

// memberKeys are the names of the list of members.
var memberKeys = []string{"bond_slaves", "slaves", "bond_members"}

func isMemberKey(key string) bool {
	for _, k := range memberKeys {
		if canonical(key) == k {
			return true
		}
	}
	return false
}

// addInterfaces adds the bonds of all stanzas.
func addInterfaces(s *bonds, list []stanza) {
	for _, st := range list {
		for _, o := range st.options {
			switch {
			case canonical(o.Key) == "bond_master":
				s.named(o.Value, o.At).port(st.name, st.at)
			case isMemberKey(o.Key):
				b := s.named(st.name, st.at)
				for _, nic := range words(o.Value) {
					if nic != "none" {
						b.port(nic, o.At)
					}
				}
			case canonical(o.Key) == "bond_mode" && !isPort(st):
				s.named(st.name, st.at)
			}
		}
	}
	for _, st := range list {
		if b := s.find(st.name); b != nil {
			b.At = st.at
			b.stanza(st)
			continue
		}
		for _, b := range s.list {
			if stands(st, b.Name) {
				b.Network = append(b.Network, Entry{Key: "upper", Typed: "iface", Value: st.name, At: st.at})
			}
			if i := portIndex(b, st.name); i >= 0 {
				b.portStanza(st)
			}
		}
	}
}

// isPort reports whether a stanza is one of a member: it may repeat options of its bond.
func isPort(st stanza) bool {
	for _, o := range st.options {
		if canonical(o.Key) == "bond_master" {
			return true
		}
	}
	return false
}

func portIndex(b *Bond, name string) int {
	for i := range b.Ports {
		if b.Ports[i].Name == name {
			return i
		}
	}
	return -1
}

// portStanza takes the options of the bond that a member has: ifenslave reads them from either.
func (b *Bond) portStanza(st stanza) {
	for _, o := range st.options {
		key, ok := strings.CutPrefix(canonical(o.Key), "bond_")
		if !ok || key == "master" {
			continue
		}
		if _, has := b.option(key); !has {
			b.Options = append(b.Options, Entry{Key: key, Typed: o.Key, Value: o.Value, At: o.At})
		}
	}
}

// stands reports whether the link of a stanza stands on a bond: bond0.5, a bridge, a VLAN.
func stands(st stanza, bond string) bool {
	if strings.HasPrefix(st.name, bond+".") || strings.HasPrefix(st.name, bond+":") {
		return true
	}
	for _, o := range st.options {
		switch canonical(o.Key) {
		case "vlan_raw_device", "bridge_ports":
			if slices.Contains(words(o.Value), bond) {
				return true
			}
		}
	}
	return false
}

// ifupdownSilent say nothing that a team does not do.
var ifupdownSilent = map[string]bool{"broadcast": true, "network": true, "metric": true, "scope": true}

// stanza adds what a stanza says of its bond.
func (b *Bond) stanza(st stanza) {
	if st.method == "dhcp" {
		key := "dhcp"
		if st.family == "inet6" {
			key = "dhcp6"
		}
		b.Network = append(b.Network, Entry{Key: key, Typed: "iface", Value: st.family + " dhcp", At: st.at})
	}
	mask := ""
	for _, o := range st.options {
		if o.Key == "netmask" {
			mask = o.Value
		}
	}
	for _, o := range st.options {
		key := canonical(o.Key)
		if option, ok := strings.CutPrefix(key, "bond_"); ok && !isMemberKey(key) {
			b.Options = append(b.Options, Entry{Key: option, Typed: o.Key, Value: o.Value, At: o.At})
			continue
		}
		if e, ok := ifupdownNetwork(o, key, mask); ok {
			b.Network = append(b.Network, e)
		}
	}
}

// ifupdownNetwork reads an option of the network.
func ifupdownNetwork(o Entry, key, mask string) (e Entry, ok bool) {
	e = o
	switch key {
	case "address":
		e.Key = "address"
		if !strings.Contains(e.Value, "/") && mask != "" {
			e.Value = withMask(e.Value, mask)
		}
	case "gateway":
		e.Key = "gateway"
	case "mtu":
		e.Key = "mtu"
	case "hwaddress":
		e.Key = "mac"
		e.Value = strings.TrimSpace(strings.TrimPrefix(e.Value, "ether"))
	case "dns_nameservers", "dns_nameserver", "dns_search", "dns_domain":
		e.Key = "dns"
	case "up", "pre_up", "post_up", "down", "pre_down", "post_down":
		e.Key = "command"
		if isRouteCommand(o.Value) {
			e.Key = "route"
		}
	case "netmask":
		return e, false
	default:
		e.Key = "other"
		if ifupdownSilent[key] || isMemberKey(key) {
			return e, false
		}
	}
	return e, true
}

func isRouteCommand(s string) bool {
	return strings.Contains(s, "route add") || strings.Contains(s, "route replace")
}

// withMask is an address with its length, from a dotted mask or a length.
func withMask(ip, mask string) string {
	if m, err := netip.ParseAddr(mask); err == nil && m.Is4() {
		n := 0
		for _, b := range m.As4() {
			for ; b&0x80 != 0; b <<= 1 {
				n++
			}
			if b != 0 {
				return ip + "/" + mask // not a mask: the setting says so
			}
		}
		return ip + "/" + itoa(n)
	}
	return ip + "/" + mask
}
