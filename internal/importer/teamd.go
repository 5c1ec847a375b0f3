// SPDX-License-Identifier: MIT

package importer

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/modes"
	"nicteam/monitor"
)

// Teamd are the options of teamd (teamd.conf(5)), in the order in which they are read. Those of a port are after
// "ports.NIC.".
var Teamd = []Option{
	{Key: "runner.name", Setting: "mode", take: (*builder).runner,
		Note: "roundrobin, activebackup, broadcast; lacp is `802.3ad`, loadbalance `xor`, random `round-robin` with " +
			"`packets_per_member: 0`; without one it is roundrobin"},
	{Key: "runner.tx_hash", Setting: "hash", take: (*builder).txHash,
		Note: "ports make it `layer3+4`, addresses `layer2+3`, MACs only `layer2`; without one it is `layer2+3`"},
	{Key: "runner.tx_balancer.name", Note: "slots of xor do not move with the load; mode elb balances by load, and " +
		"needs no static LAG"},
	{Key: "runner.tx_balancer.balancing_interval", Note: "as runner.tx_balancer.name"},
	{Key: "runner.active", Setting: "lacp_active", take: switched("lacp_active")},
	{Key: "runner.fast_rate", Setting: "lacp_rate", take: (*builder).fastRate},
	{Key: "runner.sys_prio", Setting: "lacp_system_priority", take: strict(setting("lacp_system_priority"))},
	{Key: "runner.min_ports", Setting: "min_members", take: (*builder).minLinks},
	{Key: "runner.agg_select_policy", Setting: "ad_select", take: (*builder).aggSelect,
		Note: "lacp_prio is `port-priority`, lacp_prio_stable and port_config are `stable`"},
	{Key: "runner.hwaddr_policy", Same: []string{"same_all"},
		Note: "NICs keep their own MACs, and the adapter keeps its MAC when another NIC takes over"},
	{Key: "notify_peers.count", Setting: "announce_count", take: setting("announce_count")},
	{Key: "notify_peers.interval", Setting: "announce_interval", take: (*builder).notifyDelay},
	{Key: "mcast_rejoin.count", Same: []string{"0", "1"},
		Note: "multicast reports are sent with each announcement of addresses: announce_count"},
	{Key: "mcast_rejoin.interval", Same: []string{"0"}, Note: "as mcast_rejoin.count: announce_interval"},
	{Key: "link_watch.name", Setting: "link_watch", take: (*builder).watchName,
		Note: "ethtool is `carrier`, arp_ping `arp:ADDRESS`, nsna_ping `nd:ADDRESS`"},
	{Key: "link_watch.target_host", Setting: "link_watch", take: (*builder).watchTarget,
		Note: "an address, not a name"},
	{Key: "link_watch.interval", Setting: "probe_interval", take: (*builder).watchInterval},
	{Key: "link_watch.missed_max", Setting: "probe_misses", take: (*builder).watchMisses,
		Note: "one more: teamd says how many may be missed"},
	{Key: "link_watch.delay_up", Setting: "up_delay", take: milliseconds("up_delay")},
	{Key: "link_watch.delay_down", Setting: "down_delay", take: milliseconds("down_delay")},
	{Key: "link_watch.init_wait", Same: []string{"0"}, Note: "a NIC is asked as soon as its link is up"},
	{Key: "link_watch.source_host", Note: "asks carry an address of the adapter"},
	{Key: "link_watch.vlanid", Note: "targets are asked in the VLAN in which the host reaches them"},
	{Key: "link_watch.validate_active", Same: []string{"true"}, Note: validateNote},
	{Key: "link_watch.validate_inactive", Same: []string{"true"}, Note: validateNote},
	{Key: "link_watch.send_always", Same: []string{"true"}, Note: "every NIC asks, also one that stands by"},
	{Key: "link_watch_policy", Setting: "watch_policy", take: (*builder).watchPolicy, Note: "teamd's default is `any`"},
	{Key: "prio", Setting: "primary", port: (*builder).portPrio,
		Note: "activebackup: the port with the highest is `primary`; the others are equal"},
	{Key: "sticky", Setting: "primary_reselect", port: (*builder).sticky,
		Note: "`failure`, for the whole team"},
	{Key: "lacp_prio", Setting: "port_priority.NIC", port: (*builder).portPriority},
	{Key: "lacp_key", Same: []string{"0"}, Note: "a port's key follows its speed; lacp_key is of the whole team"},
	{Key: "queue_id", Same: []string{"0"}, Note: "a NIC is not chosen by the queue of a frame"},
	{Key: "debug_level", Same: []string{"0"}, Note: "nicteam -v writes details to its log"},
}

// teamd reads the options of a team of teamd.
func (b *builder) teamd() {
	src := b.src
	if _, ok := src.option("runner.name"); !ok {
		src.Options = append(src.Options, Entry{Key: "runner.name", Value: "roundrobin", At: src.At, Implied: true})
	}
	b.portWatches()
	b.table(Teamd)
	if _, ok := src.option("runner.tx_hash"); !ok && (b.c.Mode == modes.XOR || b.c.Mode == modes.LACP) {
		b.set(Entry{Key: "runner.tx_hash", At: src.At}, "hash", "layer2+3")
	}
	if len(b.teamdWatches) > 0 {
		b.set(b.watchAt, "link_watch", strings.Join(b.teamdWatches, ","))
		if _, ok := src.option("link_watch_policy"); !ok && len(b.teamdWatches) > 1 {
			b.set(b.watchAt, "watch_policy", "any")
		}
	}
	if b.best.name != "" && b.c.Mode == modes.ActiveBackup && b.prios > 1 {
		b.set(b.best.at, "primary", b.best.name)
	}
}

// portWatches takes the link watch of the first port that has one of its own, if the team has none: nicteam's are of
// the team.
func (b *builder) portWatches() {
	_, has := b.src.option("link_watch.name")
	var from string
	for i := range b.src.Ports {
		p := &b.src.Ports[i]
		var rest []Entry
		for _, e := range p.Options {
			if !strings.HasPrefix(e.Key, "link_watch.") {
				rest = append(rest, e)
				continue
			}
			if !has && (from == "" || from == p.Name) {
				from = p.Name
				b.src.Options = append(b.src.Options, e)
				if e.Key == "link_watch.name" {
					b.note(e, fmt.Sprintf("the link watch of %s is that of every NIC: link_watch is of the team",
						p.Name))
				}
			} else if !b.hasOption(e) {
				b.note(e, fmt.Sprintf("of %s: link_watch is of the team, not of a NIC", p.Name))
			}
		}
		p.Options = rest
	}
}

// hasOption reports whether the team has an option of this value.
func (b *builder) hasOption(e Entry) bool {
	return slices.ContainsFunc(b.src.Options, func(o Entry) bool { return o.Key == e.Key && o.Value == e.Value })
}

func (b *builder) runner(e Entry) {
	mode, ok := map[string]string{"broadcast": "broadcast", "roundrobin": "round-robin", "random": "round-robin",
		"activebackup": "active-backup", "loadbalance": "xor", "lacp": "802.3ad"}[e.Value]
	if !ok {
		b.note(e, "unknown runner: mode round-robin, which is teamd's default")
		mode = "round-robin"
	}
	b.set(e, "mode", mode)
	if e.Value == "random" {
		b.set(e, "packets_per_member", "0")
	}
}

func (b *builder) txHash(e Entry) {
	value := "layer2"
	for _, w := range words(e.Value) {
		switch w {
		case "l4", "tcp", "udp", "sctp":
			value = "layer3+4"
		case "l3", "ip", "ipv4", "ipv6":
			if value == "layer2" {
				value = "layer2+3"
			}
		case "vlan":
			b.note(e, "vlan has no equal: "+value+" does not look at the VLAN")
		}
	}
	if b.c.Mode != modes.XOR && b.c.Mode != modes.LACP {
		b.note(e, fmt.Sprintf("left out: mode %v does not hash", b.c.Mode))
		return
	}
	b.set(e, "hash", value)
}

func (b *builder) fastRate(e Entry) {
	rate := "slow"
	if on, _ := truth(e.Value); on {
		rate = "fast"
	}
	b.strictly(e, "lacp_rate", rate)
}

func (b *builder) aggSelect(e Entry) {
	value := strings.ReplaceAll(e.Value, "_", "-")
	switch e.Value {
	case "lacp_prio":
		value = "port-priority"
	case "lacp_prio_stable":
		value = "stable"
	case "port_config":
		value = "stable"
		b.note(e, "prio and sticky of ports choose no aggregator: ad_select is stable")
	}
	b.strictly(e, "ad_select", value)
}

// watchName begins a link watch: its other options follow.
func (b *builder) watchName(e Entry) {
	b.watchAt = e
	switch e.Value {
	case "ethtool":
		b.teamdWatches = append(b.teamdWatches, monitor.KindCarrier)
	case "arp_ping", "nsna_ping": // watchTarget
	default:
		b.note(e, "unknown link watch: left out")
	}
}

func (b *builder) watchTarget(e Entry) {
	ip, err := netip.ParseAddr(e.Value)
	if err != nil {
		b.note(e, "left out: a target is an address, not a name")
		return
	}
	kind := monitor.KindND
	if ip.Is4() {
		kind = monitor.KindARP
	}
	b.teamdWatches = append(b.teamdWatches, kind+":"+ip.String())
}

// firstOnly reports whether an option of link watches counts: they have one value in common, which is the first's.
func (b *builder) firstOnly(e Entry) bool {
	first := b.src.Options[slices.IndexFunc(b.src.Options, func(o Entry) bool { return o.Key == e.Key })]
	if first.At != e.At && first.Value != e.Value {
		b.note(e, fmt.Sprintf("left out: it is the same for all link watches, %s", first.Value))
	}
	return first.At == e.At && first.Value == e.Value
}

func (b *builder) watchInterval(e Entry) {
	if !b.firstOnly(e) {
		return
	}
	if d, ok := b.duration(e); ok && d > 0 {
		b.bounded(e, "probe_interval", d, 10*time.Millisecond, time.Minute)
	}
}

func (b *builder) watchMisses(e Entry) {
	if b.firstOnly(e) {
		b.clamp(e, "probe_misses", 1, 2, 20)
	}
}

func (b *builder) watchPolicy(e Entry) {
	if len(b.teamdWatches) > 1 {
		b.set(e, "watch_policy", e.Value)
	}
}

// bestPort is the port with the highest priority so far.
type bestPort struct {
	name string
	prio int
	at   Entry
}

func (b *builder) portPrio(port string, e Entry) {
	n, err := strconv.Atoi(e.Value)
	switch {
	case err != nil:
		b.note(e, "left out: not a number")
		return
	case b.c.Mode != modes.ActiveBackup:
		b.note(e, fmt.Sprintf("of %s: mode %v prefers no NIC", port, b.c.Mode))
		return
	}
	if b.prios++; b.best.name == "" || n > b.best.prio {
		b.best = bestPort{port, n, e}
	}
	if b.prios > 2 {
		b.note(e, fmt.Sprintf("of %s: only one NIC is preferred, the others are equal", port))
	}
}

func (b *builder) sticky(port string, e Entry) {
	if on, _ := truth(e.Value); !on || b.c.Mode != modes.ActiveBackup {
		return
	}
	b.set(e, "primary_reselect", "failure")
	if len(b.src.Ports) > 1 {
		b.note(e, fmt.Sprintf("of %s: primary_reselect: failure, whichever NIC is active stays so until it fails",
			port))
	}
}

// readTeamd reads teamd's JSON. name is that of a team whose text names no device.
func readTeamd(file string, text []byte, name string) (*Bond, error) {
	if err := jsonError(file, text); err != nil {
		return nil, err
	}
	root, err := readTree(file, text)
	if err != nil {
		return nil, err
	}
	b := &Bond{Name: name, At: Place{file, 1}, Teamd: true}
	return b, readTeamdTree(b, root)
}

// jsonError returns what is no JSON.
func jsonError(file string, text []byte) error {
	var any map[string]any
	err := json.Unmarshal(text, &any)
	if err == nil {
		return nil
	}
	line := 1
	if bad, ok := err.(*json.SyntaxError); ok {
		line = lineOf(text, int(bad.Offset))
	}
	return badSource(Place{file, line}, "not the JSON of teamd: "+err.Error())
}

// readTeamdTree adds what a tree says to a bond.
func readTeamdTree(b *Bond, root *tree) error {
	if root.kind != mapTree {
		return badSource(root.at, "want an object of teamd")
	}
	for _, p := range root.pairs {
		switch p.key {
		case "device":
			b.Name, b.At = p.val.text, p.at
		case "hwaddr":
			b.Network = append(b.Network, p.val.entry("mac", p.key))
		case "ports":
			for _, port := range p.val.pairs {
				to := b.port(port.key, port.at)
				to.Options = append(to.Options, flatten("", port.val)...)
			}
		default:
			b.Options = append(b.Options, flatten(p.key, p.val)...)
		}
	}
	return nil
}

// flatten lists the values of a tree by their paths: runner.name. Lists of objects follow each other, others are one
// value with commas.
func flatten(path string, t *tree) (list []Entry) {
	switch t.kind {
	case mapTree:
		for _, p := range t.pairs {
			key := p.key
			if path != "" {
				key = path + "." + p.key
			}
			list = append(list, flatten(key, p.val)...)
		}
	case listTree:
		var texts []string
		for _, item := range t.items {
			if item.kind == scalarTree {
				texts = append(texts, item.text)
			} else {
				list = append(list, flatten(path, item)...)
			}
		}
		if len(texts) > 0 {
			list = append(list, Entry{Key: path, Value: strings.Join(texts, ","), At: t.at})
		}
	default:
		list = append(list, t.entry(path, path))
	}
	return list
}

// badSource is the problem of a source that cannot be read.
func badSource(at Place, why string) error {
	return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%v: cannot be read", at), Why: why,
		Fix: "correct it, or say what it is with --format"}
}
