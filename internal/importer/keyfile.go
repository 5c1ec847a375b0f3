// SPDX-License-Identifier: MIT

package importer

import (
	"fmt"
	"strings"
)

// keyfile is a connection profile of NetworkManager (nm-settings-keyfile(5)).
type keyfile struct {
	file     string
	sections map[string][]Entry
	order    []string
}

// parseKeyfile reads the format of GLib's key files: sections, KEY=VALUE, comments at the beginning of a line.
func parseKeyfile(file, text string) (*keyfile, error) {
	k := &keyfile{file: file, sections: map[string][]Entry{}}
	section := ""
	for i, line := range strings.Split(text, "\n") {
		at := Place{file, i + 1}
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#' || line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			section = line[1 : len(line)-1]
			if _, ok := k.sections[section]; !ok {
				k.order = append(k.order, section)
				k.sections[section] = nil
			}
		default:
			key, value, ok := strings.Cut(line, "=")
			if !ok || section == "" {
				return nil, badSource(at, fmt.Sprintf("%q is neither a section nor KEY=VALUE", line))
			}
			key = strings.TrimSpace(key)
			k.sections[section] = append(k.sections[section],
				Entry{Key: key, Typed: key, Value: unescapeKeyfile(strings.TrimSpace(value)), At: at})
		}
	}
	return k, nil
}

// unescapeKeyfile undoes GLib's escapes.
func unescapeKeyfile(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	return strings.NewReplacer(`\\`, `\`, `\s`, " ", `\n`, "\n", `\t`, "\t", `\r`, "\r", `\;`, ";").Replace(s)
}

// get returns the last value of a key in the first of the sections that has it.
func (k *keyfile) get(key string, sections ...string) (value string) {
	for _, s := range sections {
		for _, e := range k.sections[s] {
			if e.Key == key {
				value = e.Value
			}
		}
		if value != "" {
			return value
		}
	}
	return ""
}

func (k *keyfile) kind() string   { return k.get("type", "connection") }
func (k *keyfile) device() string { return k.get("interface-name", "connection", "bond", "team") }

// is reports whether a controller is named by this profile: by its link, its UUID or its name.
func (k *keyfile) is(name string) bool {
	return name != "" && (k.device() == name || k.get("uuid", "connection") == name ||
		k.get("id", "connection") == name)
}

// addKeyfiles adds the bonds and teams of profiles.
func addKeyfiles(s *bonds, files []*keyfile) error {
	owner := map[*keyfile]*Bond{}
	for _, k := range files {
		if k.kind() != "bond" && k.kind() != "team" {
			continue
		}
		name := k.device()
		if name == "" {
			name = k.get("id", "connection")
		}
		b := s.named(name, Place{k.file, 1})
		b.Teamd = k.kind() == "team"
		owner[k] = b
		if err := b.keyfile(k); err != nil {
			return err
		}
	}
	for _, k := range files {
		controller := k.get("controller", "connection")
		if controller == "" {
			controller = k.get("master", "connection")
		}
		for _, m := range files {
			if b := owner[m]; b != nil && m.is(controller) {
				if err := b.keyfilePort(k); err != nil {
					return err
				}
			}
		}
		for _, b := range s.list {
			if parent := k.get("parent", "vlan", "macvlan"); parent == b.Name {
				b.network("upper", Entry{Typed: k.kind(), Value: k.device(), At: Place{k.file, 1}})
			}
		}
	}
	return nil
}

// keyfilePort adds the member of a profile.
func (b *Bond) keyfilePort(k *keyfile) error {
	name := k.device()
	if name == "" {
		name = k.get("id", "connection")
		b.network("other", Entry{Typed: "interface-name", Value: "(none)", At: Place{k.file, 1}})
	}
	p := b.port(name, Place{k.file, 1})
	for _, section := range []string{"bond-port", "team-port"} {
		for _, e := range k.sections[section] {
			if e.Key != "config" {
				e.Key = canonical(e.Key)
				p.Options = append(p.Options, e)
				continue
			}
			if err := jsonError(e.At.String(), []byte(e.Value)); err != nil {
				return err
			}
			root, err := readTree(k.file, []byte(e.Value))
			if err != nil {
				return err
			}
			p.Options = append(p.Options, placed(flatten("", root), e.At)...)
		}
	}
	return nil
}

// keyfileSilent are sections and keys that say nothing of the bond itself.
var keyfileSilent = map[string]bool{"connection": true, "proxy": true, "ethernet.mac-address-blacklist": true,
	"ipv4.dns-search": true, "ipv6.dns-search": true, "ipv6.addr-gen-mode": true, "ipv4.may-fail": true,
	"ipv6.may-fail": true, "bond.interface-name": true, "team.interface-name": true, "ipv6.ip6-privacy": true}

// keyfile reads the profile of a bond or team.
func (b *Bond) keyfile(k *keyfile) error {
	for _, section := range k.order {
		for _, e := range k.sections[section] {
			full := section + "." + e.Key
			e.Typed = full
			switch {
			case keyfileSilent[section] || keyfileSilent[full]:
			case section == "bond":
				e.Key = bondingKey(e.Key, nil)
				b.Options = append(b.Options, e)
			case full == "team.config":
				if err := b.teamConfig(e); err != nil {
					return err
				}
			case section == "team":
				e.Key = strings.ReplaceAll(e.Key, "-", "_")
				b.Options = append(b.Options, teamProperty(e))
			case section == "ipv4" || section == "ipv6":
				b.keyfileIP(section, e)
			case e.Key == "mtu" && e.Value != "0" && e.Value != "auto":
				b.network("mtu", e)
			case e.Key == "cloned-mac-address":
				b.network("mac", e)
			case e.Value == "" || e.Key == "mtu":
			default:
				b.network("other", e)
			}
		}
	}
	return nil
}

// teamProperty names a property of NetworkManager as teamd does: runner-min-ports.
func teamProperty(e Entry) Entry {
	switch {
	case e.Key == "runner":
		e.Key = "runner.name"
	case strings.HasPrefix(e.Key, "runner_tx_balancer"):
		e.Key = "runner.tx_balancer" + strings.Replace(strings.TrimPrefix(e.Key, "runner_tx_balancer"), "_", ".", 1)
		if e.Key == "runner.tx_balancer" {
			e.Key = "runner.tx_balancer.name"
		} else if e.Key == "runner.tx_balancer.interval" {
			e.Key = "runner.tx_balancer.balancing_interval"
		}
	case strings.HasPrefix(e.Key, "runner_"):
		e.Key = "runner." + strings.TrimPrefix(e.Key, "runner_")
	case strings.HasPrefix(e.Key, "notify_peers_"):
		e.Key = "notify_peers." + strings.TrimPrefix(e.Key, "notify_peers_")
	case strings.HasPrefix(e.Key, "mcast_rejoin_"):
		e.Key = "mcast_rejoin." + strings.TrimPrefix(e.Key, "mcast_rejoin_")
	}
	return e
}

// keyfileIP reads what a profile says of IPv4 or IPv6.
func (b *Bond) keyfileIP(section string, e Entry) {
	switch key := e.Key; {
	case key == "method":
		if section == "ipv4" && e.Value == "auto" {
			b.network("dhcp", e)
		}
		if section == "ipv6" && e.Value == "dhcp" {
			b.network("dhcp6", e)
		}
	case strings.HasPrefix(key, "address"):
		for part := range strings.SplitSeq(e.Value, ";") {
			ip, gateway, _ := strings.Cut(strings.TrimSpace(part), ",")
			if ip == "" {
				continue
			}
			e.Value = ip
			b.network("address", e)
			if gateway != "" {
				e.Value = gateway
				b.network("gateway", e)
			}
		}
	case key == "gateway":
		b.network("gateway", e)
	case strings.HasPrefix(key, "route") && !strings.HasPrefix(key, "route-"):
		f := strings.Split(e.Value, ",")
		if len(f) > 1 && isDefault(f[0]) {
			e.Value = f[1]
			b.network("gateway", e)
			return
		}
		b.network("route", e)
	case strings.HasPrefix(key, "dns"):
		b.network("dns", e)
	case e.Value == "":
	default:
		b.network("other", e)
	}
}
