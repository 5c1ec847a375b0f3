// SPDX-License-Identifier: MIT

package nfnl

import (
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// From linux/netfilter/ipset/ip_set.h.
const (
	ipsetSubsystem = 6 // NFNL_SUBSYS_IPSET
	ipsetList      = 7 // IPSET_CMD_LIST
	ipsetProtocol  = 1 // IPSET_ATTR_PROTOCOL …
	ipsetName      = 2 // IPSET_ATTR_SETNAME
	ipsetEntries   = 8 // IPSET_ATTR_ADT
	ipsetIface     = 23
	ipsetVersion   = 6
)

// InterfaceSets maps ipsets with interfaces in their entries (hash:net,iface) to these interfaces. iptables rules that
// use an ipset are not evaluated: their match is opaque.
func InterfaceSets() (sets map[string][]string, err error) {
	sets = map[string][]string{}
	if _, err := os.Stat("/sys/module/ip_set"); err != nil {
		return sets, nil // a query would load it
	}
	_, err = dumpObjects(ipsetSubsystem, ipsetList, unix.AF_INET, func(o rtnl.Object) bool {
		name, nics := parseIPSet(o)
		sets[name] = append(sets[name], nics...) // a long set comes in parts
		return false
	}, rtnl.Attr(ipsetProtocol, []byte{ipsetVersion}))
	return sets, err
}

func parseIPSet(o rtnl.Object) (name string, nics []string) {
	for _, a := range o.Nest(ipsetEntries).Attrs {
		if nic := rtnl.ParseNested(a.Value).Text(ipsetIface); nic != "" {
			nics = append(nics, nic)
		}
	}
	return o.Text(ipsetName), nics
}

// SetsWithout returns the ipsets that have nic and not other.
func SetsWithout(sets map[string][]string, nic, other string) (names []string) {
	for name, nics := range sets {
		if slices.Contains(nics, nic) && !slices.Contains(nics, other) {
			names = append(names, "ipset "+name)
		}
	}
	slices.Sort(names)
	return names
}
