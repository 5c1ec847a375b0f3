// SPDX-License-Identifier: MIT

package importer

import (
	"slices"
	"strings"
)

// netplanNames are netplan's names of bonding's options, also those of earlier versions.
var netplanNames = func() map[string]string {
	names := map[string]string{"all_slaves_active": "all_slaves_active", "packets_per_slave": "packets_per_slave",
		"gratuiti" + "ous_arp": "num_grat_arp"} // netplan still takes the name that it had misspelt
	for _, o := range Bonding {
		if o.Netplan != "" {
			names[canonical(o.Netplan)] = o.Key
		}
	}
	return names
}()

// netplanSilent are keys that say nothing of the bond itself.
var netplanSilent = []string{"interfaces", "parameters", "optional", "renderer", "critical", "ignore-carrier",
	"optional-addresses", "dhcp-identifier", "link-local"}

// readNetplan adds the bonds of a netplan file. Keys of a later file are added to those of an earlier one.
func readNetplan(s *bonds, file string, text []byte) error {
	root, err := readTree(file, text)
	if err != nil {
		return err
	}
	net := root.get("network")
	if net == nil || net.kind != mapTree {
		return badSource(root.at, "want netplan's key network")
	}
	if list := net.get("bonds"); list != nil {
		for _, p := range list.pairs {
			b := s.named(p.key, p.at)
			for _, id := range p.val.get("interfaces").texts() {
				b.port(id, p.val.get("interfaces").at)
			}
			if params := p.val.get("parameters"); params != nil {
				for _, o := range params.pairs {
					b.Options = append(b.Options, o.entry(bondingKey(o.key, netplanNames), o.key))
				}
			}
			b.Network = append(b.Network, netplanNetwork(p.val)...)
		}
	}
	return nil
}

// netplanNetwork reads what netplan configures of any link.
func netplanNetwork(t *tree) (list []Entry) {
	for _, p := range t.pairs {
		switch p.key {
		case "addresses":
			list = append(list, netplanAddresses(p.val)...)
		case "gateway4", "gateway6":
			list = append(list, p.entry("gateway", p.key))
		case "routes":
			list = append(list, netplanRoutes(p.val)...)
		case "dhcp4":
			list = append(list, p.entry("dhcp", p.key))
		case "dhcp6":
			list = append(list, p.entry("dhcp6", p.key))
		case "mtu":
			list = append(list, p.entry("mtu", p.key))
		case "macaddress":
			list = append(list, p.entry("mac", p.key))
		case "nameservers":
			list = append(list, p.entry("dns", p.key))
		default:
			if !slices.Contains(netplanSilent, p.key) {
				list = append(list, p.entry("other", p.key))
			}
		}
	}
	return list
}

// netplanAddresses: an address may have a map of its own.
func netplanAddresses(t *tree) (list []Entry) {
	for _, item := range t.items {
		switch {
		case item.kind == scalarTree:
			list = append(list, item.entry("address", "addresses"))
		case len(item.pairs) == 1:
			p := item.pairs[0]
			list = append(list, Entry{Key: "address", Typed: "addresses", Value: p.key, At: p.at})
			for _, o := range p.val.pairs {
				list = append(list, o.val.entry("other", "addresses."+o.key))
			}
		}
	}
	return list
}

func netplanRoutes(t *tree) (list []Entry) {
	for _, item := range t.items {
		to, via := item.get("to"), item.get("via")
		e := Entry{Key: "route", Typed: "routes", At: item.at}
		if to != nil {
			e.Value = to.text
		}
		if via != nil {
			if isDefault(e.Value) && item.get("table") == nil {
				list = append(list, Entry{Key: "gateway", Typed: "routes", Value: via.text, At: item.at})
				for _, p := range item.pairs {
					if p.key != "to" && p.key != "via" {
						list = append(list, p.val.entry("other", "routes."+p.key))
					}
				}
				continue
			}
			e.Value += " via " + via.text
		}
		list = append(list, e)
	}
	return list
}

func isDefault(to string) bool {
	return to == "default" || to == "0.0.0.0/0" || to == "::/0" || to == "0/0"
}

// readNetplanLinks puts the names of NICs in place of netplan's identifiers, and notes what stands on the bonds. It is
// called for every file after all bonds are read.
func readNetplanLinks(s *bonds, file string, text []byte) error {
	root, err := readTree(file, text)
	if err != nil {
		return err
	}
	net := root.get("network")
	if nics := net.get("ethernets"); nics != nil {
		for _, p := range nics.pairs {
			for _, b := range s.list {
				renamePort(b, p)
			}
		}
	}
	for _, kind := range []string{"vlans", "bridges", "vrfs"} {
		links := net.get(kind)
		if links == nil {
			continue
		}
		for _, p := range links.pairs {
			for _, below := range append(p.val.get("link").texts(), p.val.get("interfaces").texts()...) {
				if b := s.find(below); b != nil {
					b.Network = append(b.Network, Entry{Key: "upper", Typed: kind, Value: p.key, At: p.at})
				}
			}
		}
	}
	return nil
}

// renamePort gives a member the name that netplan's match finds.
func renamePort(b *Bond, nic treePair) {
	for i := range b.Ports {
		port := &b.Ports[i]
		match := nic.val.get("match")
		if port.Name != nic.key || match == nil {
			continue
		}
		name := ""
		if to := nic.val.get("set-name"); to != nil {
			name = to.text
		} else if by := match.get("name"); by != nil && !strings.ContainsAny(by.text, "*?[") {
			name = by.text
		}
		if name == "" {
			b.Network = append(b.Network, Entry{Key: "other", Typed: "match", Value: nic.key, At: match.at})
			continue
		}
		for j := range b.Options {
			if b.Options[j].Key == "primary" && b.Options[j].Value == port.Name {
				b.Options[j].Value = name
			}
		}
		port.Name = name
	}
}
