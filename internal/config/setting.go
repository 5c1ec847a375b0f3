package config

import (
	"sort"
	"strings"
)

// shape is what a setting's value looks like.
type shape uint8

const (
	text shape = iota
	word       // text, or a whole number that names the same (mode: 1)
	whole
	number
	toggle // on or off, true or false
	tri    // auto, on or off
	span   // a duration with its unit
	texts  // a list of text, or text with commas
	nics   // a list of names or of {name, weight}
)

// String says what a value of the shape has to be.
func (s shape) String() string {
	switch s {
	case text, word:
		return "text"
	case whole:
		return "a whole number"
	case number:
		return "a number"
	case toggle:
		return "on or off"
	case tri:
		return "auto, on or off"
	case span:
		return "a duration with its unit, such as 100ms or 2s"
	case texts:
		return "a list of text"
	default:
		return "a list of NIC names, or of {name, weight}"
	}
}

// setting is a row of the table of everything that can be configured.
type setting struct {
	key   string
	shape shape
	live  bool   // nicteam set takes it while the team runs
	other string // what the kernel calls it, accepted on the command line
}

// settings is in the order in which files are written and help lists them.
var settings = []setting{
	{key: "team", shape: text, other: "bond"},
	{key: "members", shape: nics, other: "slaves"},
	{key: "mode", shape: word, live: true},
	{key: "balance", shape: toggle, live: true},
	{key: "hash", shape: word, live: true, other: "xmit_hash_policy"},
	{key: "primary", shape: text, live: true},
	{key: "primary_reselect", shape: text, live: true},
	{key: "packets_per_member", shape: whole, live: true, other: "packets_per_slave"},
	{key: "receive_balance", shape: toggle, live: true},
	{key: "min_members", shape: whole, live: true, other: "min_links"},
	{key: "up_delay", shape: span, live: true, other: "updelay"},
	{key: "down_delay", shape: span, live: true, other: "downdelay"},
	{key: "link_watch", shape: texts, live: true},
	{key: "announce_count", shape: whole, live: true, other: "num_grat_arp"},
	{key: "announce_interval", shape: span, live: true, other: "peer_notif_delay"},
	{key: "lacp_rate", shape: text, live: true},
	{key: "address", shape: texts},
	{key: "gateway", shape: text},
	{key: "mac", shape: text},
	{key: "mtu", shape: whole, live: true},
	{key: "datapath", shape: text},
	{key: "tso", shape: tri},
	{key: "uso", shape: tri},
	{key: "gro", shape: tri},
}

// memberSettings are the keys of an entry of members.
var memberSettings = []setting{{key: "name", shape: text}, {key: "weight", shape: number}}

// find returns the row of a key, or nil.
func find(table []setting, key string) *setting {
	for i := range table {
		if table[i].key == key {
			return &table[i]
		}
	}
	return nil
}

// canonical returns our name for a key as people type it: dashes for underscores, the kernel's
// words for ours.
func canonical(key string) string {
	k := strings.ReplaceAll(strings.ToLower(key), "-", "_")
	for _, s := range settings {
		if s.other != "" && s.other == k {
			return s.key
		}
	}
	if k == "active_slave" {
		return "active"
	}
	return k
}

func keys(table []setting) []string {
	list := make([]string, len(table))
	for i, s := range table {
		list[i] = s.key
	}
	sort.Strings(list)
	return list
}

// LiveKeys lists what Set takes.
func LiveKeys() []string {
	list := []string{"active", "weight.NIC"}
	for _, s := range settings {
		if s.live {
			list = append(list, s.key)
		}
	}
	sort.Strings(list)
	return list
}
