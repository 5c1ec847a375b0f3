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
	help  string
}

// rows is in the order in which files are written and help lists them.
var rows = []setting{
	{key: "team", shape: text, other: "bond", help: "name of the team and of its adapter"},
	{key: "members", shape: nics, other: "slaves", help: "the NICs: names, or in a file {name, weight, port_priority}"},
	{key: "match", shape: text, live: true, help: "which NIC is a member that was gone: name (one of that name, another too) or mac (that very one)"},
	{key: "mode", shape: word, live: true, help: "how frames are spread, elb when left out: nicteam help modes"},
	{key: "balance", shape: toggle, live: true, help: "off: one active NIC, the others stand by, whatever the mode"},
	{key: "hash", shape: word, live: true, other: "xmit_hash_policy", help: "what makes a flow: layer2, layer2+3, layer3+4 or vlan+srcmac"},
	{key: "primary", shape: text, live: true, help: "the NIC to be active whenever it can"},
	{key: "primary_reselect", shape: text, live: true, help: "when the primary becomes active again: always, better or failure"},
	{key: "packets_per_member", shape: whole, live: true, other: "packets_per_slave", help: "round-robin: frames in a row on one NIC, 0 for a random NIC each"},
	{key: "receive_balance", shape: toggle, live: true, help: "elb: tell each peer by which NIC to reach us: on or off"},
	{key: "gain", shape: span, live: true, help: "elb: the least that a flow must win to change NICs"},
	{key: "skew", shape: span, live: true, help: "elb: the most that the ways by two NICs differ in time"},
	{key: "rebalance", shape: span, live: true, help: "elb: how often flows that never pause are evened out, 0s for never"},
	{key: "min_members", shape: whole, live: true, other: "min_links", help: "usable NICs below which the team is down"},
	{key: "up_delay", shape: span, live: true, other: "updelay", help: "how long a NIC must have link before it is used"},
	{key: "down_delay", shape: span, live: true, other: "downdelay", help: "how long a NIC may lack link and still be used"},
	{key: "link_watch", shape: texts, live: true, help: "what tells whether a NIC works: carrier, arp:IP, nd:IP, probe"},
	{key: "announce_count", shape: whole, live: true, other: "num_grat_arp", help: "how often addresses are announced after a change"},
	{key: "announce_interval", shape: span, live: true, other: "peer_notif_delay", help: "the time between two announcements"},
	{key: "lacp_rate", shape: word, live: true, help: "802.3ad: how often the switch is asked to speak: slow (30 s) or fast (1 s)"},
	{key: "lacp_active", shape: toggle, live: true, help: "802.3ad: off: speak only when spoken to"},
	{key: "lacp_fallback", shape: toggle, live: true, help: "802.3ad: on: one NIC works alone while nobody answers"},
	{key: "ad_select", shape: word, live: true, help: "802.3ad: which group is used of several: stable, bandwidth, count or port-priority"},
	{key: "lacp_system", shape: text, live: true, other: "ad_actor_system", help: "802.3ad: who we are to the switch: auto, random or a MAC"},
	{key: "lacp_system_priority", shape: whole, live: true, other: "ad_actor_sys_prio", help: "802.3ad: 0 to 65535, the lower the better"},
	{key: "lacp_key", shape: whole, live: true, other: "ad_user_port_key", help: "802.3ad: upper bits of the ports' keys, 0 to 1023"},
	{key: "address", shape: texts, help: "auto (the NICs' own move to the adapter), none, or ADDR/LEN,…"},
	{key: "gateway", shape: text, help: "the default route, with --address ADDR/LEN"},
	{key: "mac", shape: text, help: "keep, new, or a MAC for the adapter"},
	{key: "mtu", shape: whole, live: true, help: "the adapter's and the NICs' MTU; left out, the largest of the NICs with addresses"},
	{key: "datapath", shape: text, live: true, help: "who moves the frames: fastpath (the kernel), relay (this process), or auto"},
	{key: "tso", shape: tri, help: "TCP super-frames from the host: auto, on or off"},
	{key: "uso", shape: tri, help: "UDP super-frames from the host: auto, on or off"},
	{key: "gro", shape: tri, help: "merged super-frames to the host: auto, on or off"},
}

// memberSettings are the keys of an entry of members.
var memberSettings = []setting{{key: "name", shape: text}, {key: "weight", shape: number}, {key: portPriority, shape: whole}}

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
	for _, s := range rows {
		if s.other != "" && s.other == k {
			return s.key
		}
	}
	if k == "active_slave" {
		return "active"
	}
	if nic, ok := strings.CutPrefix(k, "ad_actor_port_prio"); ok && (nic == "" || nic[0] == '.') {
		return portPriority + nic
	}
	return k
}

// Key is a setting as the command line offers it.
type Key struct {
	Name string // as in a file
	Want string // what its value has to be
	Help string
	List bool // may be given several times
	Live bool // nicteam set takes it
}

// Keys lists all settings in the order of help.
func Keys() []Key {
	var list []Key
	for _, s := range rows {
		list = append(list, Key{s.key, s.shape.String(), s.help, s.shape == texts, s.live})
	}
	return list
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
	list := []string{"active", portPriority + ".NIC", "weight.NIC"}
	for _, s := range rows {
		if s.live {
			list = append(list, s.key)
		}
	}
	sort.Strings(list)
	return list
}
