// SPDX-License-Identifier: MIT

package importer

import (
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// ifcfg is one ifcfg-* file: of initscripts, NetworkManager's plugin, or SUSE's wicked.
type ifcfg struct {
	file string
	vars []Entry
}

func parseIfcfg(file, text string) *ifcfg { return &ifcfg{file, parseShell(file, text)} }

// get returns the last value of a variable, "" if it is not set.
func (f *ifcfg) get(names ...string) (value string) {
	for _, name := range names {
		for _, v := range f.vars {
			if v.Key == name {
				value = v.Value
			}
		}
		if value != "" {
			return value
		}
	}
	return ""
}

// device is the link that the file is of.
func (f *ifcfg) device() string {
	if name := f.get("DEVICE"); name != "" {
		return name
	}
	return strings.TrimPrefix(filepath.Base(f.file), "ifcfg-")
}

func (f *ifcfg) isBond() bool {
	master, _ := truth(f.get("BONDING_MASTER"))
	return strings.EqualFold(f.get("TYPE"), "bond") || master || f.get("BONDING_OPTS", "BONDING_MODULE_OPTS") != ""
}

func (f *ifcfg) isTeam() bool {
	return strings.EqualFold(f.get("DEVICETYPE"), "team") || strings.EqualFold(f.get("TYPE"), "team") ||
		f.get("TEAM_CONFIG") != ""
}

// numberedVar is the name of a variable that may have a number: IPADDR1.
var numberedVar = regexp.MustCompile(`^(IPADDR|GATEWAY|BONDING_SLAVE)_?(\d*)$`)

// ifcfgSilent say nothing that a team does not do.
var ifcfgSilent = regexp.MustCompile(`^(DEVICE|NAME|UUID|TYPE|DEVICETYPE|ONBOOT|STARTMODE|BOOTPROTO|NM_CONTROLLED|USERCTL|` +
	`BONDING_MASTER|PREFIX\d*|NETMASK\d*|NETWORK\d*|BROADCAST\d*|DEFROUTE|PROXY_METHOD|BROWSER_ONLY|` +
	`IPV4_FAILURE_FATAL|IPV6_FAILURE_FATAL|IPV6INIT|IPV6_AUTOCONF|IPV6_DEFROUTE|IPV6_ADDR_GEN_MODE|HOTPLUG|` +
	`AUTOCONNECT_SLAVES|AUTOCONNECT_PORTS)$`)

// addIfcfg adds the bonds and teams of files.
func addIfcfg(s *bonds, files []*ifcfg) error {
	for _, f := range files {
		if f.isBond() || f.isTeam() {
			b := s.named(f.device(), Place{f.file, 1})
			b.Teamd = f.isTeam()
			if err := b.ifcfgBond(f); err != nil {
				return err
			}
		}
	}
	for _, f := range files {
		master := f.get("MASTER", "TEAM_MASTER", "MASTER_UUID", "TEAM_MASTER_UUID")
		if master == "" {
			continue
		}
		for _, m := range files {
			if m.device() != master && m.get("UUID") != master {
				continue
			}
			if b := s.find(m.device()); b != nil {
				if err := b.ifcfgPort(f); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// ifcfgPort adds the member of a file.
func (b *Bond) ifcfgPort(f *ifcfg) error {
	p := b.port(f.device(), Place{f.file, 1})
	for _, v := range f.vars {
		if v.Key == "TEAM_PORT_CONFIG" {
			if err := jsonError(v.At.String(), []byte(v.Value)); err != nil {
				return err
			}
			root, err := readTree(v.At.String(), []byte(v.Value))
			if err != nil {
				return err
			}
			p.Options = append(p.Options, placed(flatten("", root), v.At)...)
		}
	}
	return nil
}

// placed gives entries of a text that stands in another one the place of that.
func placed(list []Entry, at Place) []Entry {
	for i := range list {
		list[i].At = at
	}
	return list
}

// ifcfgBond reads the file of a bond or team.
func (b *Bond) ifcfgBond(f *ifcfg) error {
	for _, v := range f.vars {
		kind, n := "", ""
		if m := numberedVar.FindStringSubmatch(v.Key); m != nil {
			kind, n = m[1], m[2]
		}
		switch {
		case v.Key == "BONDING_OPTS" || v.Key == "BONDING_MODULE_OPTS":
			b.Options = append(b.Options, optionWords(v)...)
		case v.Key == "TEAM_CONFIG":
			if err := b.teamConfig(v); err != nil {
				return err
			}
		case kind == "BONDING_SLAVE":
			b.port(v.Value, v.At)
		case kind == "IPADDR":
			e := v
			e.Key, e.Value = "address", f.withLength(v.Value, n)
			b.Network = append(b.Network, e)
		case kind == "GATEWAY":
			b.network("gateway", v)
		default:
			b.ifcfgNetwork(v)
		}
	}
	return nil
}

// withLength is an address with the length that the variables of its number say.
func (f *ifcfg) withLength(ip, n string) string {
	if strings.Contains(ip, "/") {
		return ip
	}
	if p := f.get("PREFIX"+n, "PREFIXLEN"+n); p != "" {
		return ip + "/" + p
	}
	if n == "" || n == "0" { // IPADDR goes with PREFIX0 and the other way round
		if p := f.get("PREFIX", "PREFIX0", "PREFIXLEN"); p != "" {
			return ip + "/" + p
		}
		if m := f.get("NETMASK", "NETMASK0"); m != "" {
			return withMask(ip, m)
		}
	}
	if m := f.get("NETMASK" + n); m != "" {
		return withMask(ip, m)
	}
	return ip
}

// network adds a value of the network.
func (b *Bond) network(key string, e Entry) {
	e.Key = key
	b.Network = append(b.Network, e)
}

// ifcfgNetwork reads another variable.
func (b *Bond) ifcfgNetwork(v Entry) {
	switch {
	case v.Key == "BOOTPROTO" && strings.HasPrefix(v.Value, "dhcp"):
		b.network("dhcp", v)
	case v.Key == "MTU":
		b.network("mtu", v)
	case v.Key == "MACADDR" || v.Key == "LLADDR":
		b.network("mac", v)
	case v.Key == "IPV6ADDR" || v.Key == "IPV6ADDR_SECONDARIES":
		for _, ip := range words(v.Value) {
			e := v
			e.Value = ip
			b.network("address", e)
		}
	case v.Key == "IPV6_DEFAULTGW":
		v.Value, _, _ = strings.Cut(v.Value, "%")
		b.network("gateway", v)
	case v.Key == "DHCPV6C":
		b.network("dhcp6", v)
	case strings.HasPrefix(v.Key, "DNS") || v.Key == "DOMAIN" || v.Key == "PEERDNS":
		b.network("dns", v)
	case ifcfgSilent.MatchString(v.Key) || v.Value == "":
	default:
		b.network("other", v)
	}
}

// optionWords are options as the kernel's module takes them: "mode=1 miimon=100".
func optionWords(v Entry) (list []Entry) {
	for w := range strings.FieldsSeq(v.Value) {
		key, value, _ := strings.Cut(w, "=")
		list = append(list, Entry{Key: bondingKey(key, nil), Typed: key, Value: value, At: v.At})
	}
	return list
}

// teamConfig reads teamd's JSON in a variable.
func (b *Bond) teamConfig(v Entry) error {
	if err := jsonError(v.At.String(), []byte(v.Value)); err != nil {
		return err
	}
	root, err := readTree(v.At.File, []byte(v.Value))
	if err != nil {
		return err
	}
	name := b.Name
	options, network := len(b.Options), len(b.Network)
	err = readTeamdTree(b, root)
	b.Name = name
	placed(b.Options[options:], v.At)
	placed(b.Network[network:], v.At)
	return err
}

func itoa(n int) string { return strconv.Itoa(n) }
