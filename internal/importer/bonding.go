// SPDX-License-Identifier: MIT

package importer

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"nicteam/modes"
	"nicteam/monitor"
)

// Bonding are the options of the kernel's bond (Documentation/networking/bonding.rst, and drivers/net/bonding for those
// that came later), in the order in which they are read: the mode decides what else is allowed.
var Bonding = []Option{
	{Key: "mode", Netplan: "mode", Setting: "mode",
		Note: "balance-alb is elb, balance-tlb elb with `receive_balance: off`; a bond without a mode is balance-rr"},
	{Key: "primary", Netplan: "primary", Setting: "primary", take: (*builder).primary},
	{Key: "primary_reselect", Netplan: "primary-reselect-policy", Setting: "primary_reselect",
		take: numbered("primary_reselect", "always", "better", "failure")},
	{Key: "miimon", Netplan: "mii-monitor-interval", Setting: "link_watch", take: (*builder).miimon,
		Note: "`link_watch: carrier`; the interval has no equal: a carrier that changes is known at once"},
	{Key: "arp_interval", Netplan: "arp-interval", Setting: "probe_interval", take: (*builder).arpInterval},
	{Key: "arp_ip_target", Netplan: "arp-ip-targets", Setting: "link_watch", take: targets(monitor.KindARP),
		Note: "`link_watch: arp:ADDRESS`"},
	{Key: "ns_ip6_target", Setting: "link_watch", take: targets(monitor.KindND), Note: "`link_watch: nd:ADDRESS`"},
	{Key: "arp_missed_max", Setting: "probe_misses", take: (*builder).missedMax,
		Note: "bonding's default is 2"},
	{Key: "arp_all_targets", Netplan: "arp-all-targets", Setting: "watch_policy",
		take: numbered("watch_policy", "any", "all"), Note: "bonding's default is `any`"},
	{Key: "arp_validate", Netplan: "arp-validate", Same: []string{"all", "3"}, take: (*builder).validate,
		Note: validateNote},
	{Key: "updelay", Netplan: "up-delay", Setting: "up_delay", take: milliseconds("up_delay")},
	{Key: "downdelay", Netplan: "down-delay", Setting: "down_delay", take: milliseconds("down_delay")},
	{Key: "use_carrier", Same: []string{"1", "on"},
		Note: "the carrier is what the driver reports; for a driver that reports none use link_watch: gateway"},
	{Key: "xmit_hash_policy", Netplan: "transmit-hash-policy", Setting: "hash", take: (*builder).hash,
		Note: "bonding's default is `layer2`; encap2+3 and encap3+4 become `layer2+3` and `layer3+4`"},
	{Key: "min_links", Netplan: "min-links", Setting: "min_members", take: (*builder).minLinks},
	{Key: "packets_per_slave", Netplan: "packets-per-member", Setting: "packets_per_member",
		take: ofMode(modes.RoundRobin, setting("packets_per_member"))},
	{Key: "tlb_dynamic_lb", Setting: "rebalance", Same: []string{"1", "on"}, take: (*builder).tlbDynamic,
		Note: "off: `rebalance: 0s`, flows that never pause stay where they began"},
	{Key: "lp_interval", Netplan: "learn-packet-interval", Same: []string{"1", "1s"},
		Note: "switches are taught when the way to a MAC changes, not at intervals"},
	{Key: "num_grat_arp", Netplan: "gratuitous-arp", Setting: "announce_count", take: setting("announce_count")},
	{Key: "num_unsol_na", Setting: "announce_count", take: setting("announce_count")},
	{Key: "peer_notif_delay", Setting: "announce_interval", take: (*builder).notifyDelay},
	{Key: "resend_igmp", Netplan: "resend-igmp", Same: []string{"1"},
		Note: "multicast reports are sent with each announcement of addresses: announce_count"},
	{Key: "fail_over_mac", Netplan: "fail-over-mac-policy", Same: []string{"none", "0"},
		Note: "NICs keep their own MACs, and the adapter keeps its MAC when another NIC takes over"},
	{Key: "all_slaves_active", Netplan: "all-members-active", Same: []string{"0", "off", "false", "dropped"},
		Note: "frames that arrive by a NIC that stands by are dropped"},
	{Key: "lacp_rate", Netplan: "lacp-rate", Setting: "lacp_rate", take: (*builder).lacpRate},
	{Key: "lacp_active", Setting: "lacp_active", take: switched("lacp_active")},
	{Key: "ad_select", Netplan: "ad-select", Setting: "ad_select",
		take: strict(numbered("ad_select", "stable", "bandwidth", "count", "port-priority"))},
	{Key: "ad_actor_sys_prio", Setting: "lacp_system_priority", take: strict(setting("lacp_system_priority"))},
	{Key: "ad_actor_system", Setting: "lacp_system", take: (*builder).actorSystem},
	{Key: "ad_user_port_key", Setting: "lacp_key", take: strict(setting("lacp_key"))},
	{Key: "ad_actor_port_prio", Setting: "port_priority.NIC", port: (*builder).portPriority},
	{Key: "coupled_control", Same: []string{"0", "off", "1", "on"},
		Note: "collecting and distributing have states of their own; a partner may couple them"},
	{Key: "broadcast_neighbor", Same: []string{"0", "off"}, Note: "ARP and ND leave by one NIC, as other frames do"},
	{Key: "active_slave", Note: "the active NIC is chosen while the team runs: nicteam set TEAM active=NIC"},
	{Key: "queue_id", Same: []string{"0"}, Note: "a NIC is not chosen by the queue of a frame"},
	{Key: "prio", Same: []string{"0"}, Note: "of several NICs only one can be preferred: primary"},
	{Key: "max_bonds", Same: []string{"0", "1"}, Note: "each team is made by its name"},
	{Key: "balance_slb", Same: []string{"0"}, Note: "mode elb spreads flows over NICs of any switch"},
}

const validateNote = "only answers to a NIC's own asks count, whatever else arrives"

// bonding reads the options of a bond.
func (b *builder) bonding() {
	if _, ok := b.src.option("mode"); !ok { // bonding's default
		b.src.Options = append(b.src.Options, Entry{Key: "mode", Value: "balance-rr", At: b.src.At, Implied: true})
	}
	b.table(Bonding)
	if b.c.Mode == modes.XOR || b.c.Mode == modes.LACP {
		if _, ok := b.src.option("xmit_hash_policy"); !ok {
			b.set(Entry{Key: "xmit_hash_policy", At: b.src.At}, "hash", "layer2")
		}
	}
	b.watches()
}

// asks is what a bond monitors by.
type asks struct {
	targets  []string
	interval time.Duration
	at       *Entry // arp_interval
	carrier  *Entry // miimon
	misses   *Entry // arp_missed_max
}

// miimon: a bond without an ARP monitor has it by default.
func (b *builder) miimon(e Entry) {
	if d, ok := b.duration(e); ok && d > 0 {
		b.asks.carrier = &e
	}
}

func (b *builder) arpInterval(e Entry) {
	d, ok := b.duration(e)
	if !ok || d == 0 {
		return
	}
	b.asks.interval, b.asks.at = d, &e
}

// validate: bonding counts any traffic as a sign of life unless it is told to validate.
func (b *builder) validate(e Entry) {
	if b.asks.at != nil || !e.Implied {
		b.note(e, "no equal: "+validateNote)
	}
}

// targets collects addresses that NICs ask.
func targets(kind string) func(*builder, Entry) {
	return func(b *builder, e Entry) {
		for _, s := range words(e.Value) {
			ip, err := netip.ParseAddr(strings.TrimPrefix(s, "+"))
			if err != nil || ip.Is4() != (kind == monitor.KindARP) {
				b.note(e, fmt.Sprintf("%q is not an address to ask", s))
				continue
			}
			b.asks.targets = append(b.asks.targets, kind+":"+ip.String())
		}
	}
}

// missedMax: bonding has 1 to 255, and bonding's default is another than ours.
func (b *builder) missedMax(e Entry) {
	b.asks.misses = &e
	b.clamp(e, "probe_misses", 0, 2, 20)
}

// watches makes link watches of what the bond monitors by.
func (b *builder) watches() {
	a := &b.asks
	switch {
	case a.interval > 0 && len(a.targets) > 0:
		b.set(*a.at, "link_watch", strings.Join(a.targets, ","))
		b.bounded(*a.at, "probe_interval", a.interval, 10*time.Millisecond, time.Minute)
		if a.misses == nil {
			b.set(*a.at, "probe_misses", "2")
		}
		if _, given := b.src.option("arp_all_targets"); !given && len(a.targets) > 1 {
			b.set(*a.at, "watch_policy", "any")
		}
		if a.carrier != nil && !a.carrier.Implied {
			b.note(*a.carrier, "the carrier is watched besides the targets, which a bond does not")
		}
		return
	case a.interval > 0:
		b.note(*a.at, "there is no target to ask: link_watch stays auto")
	case len(a.targets) > 0:
		b.note(b.targetEntry(), "not used without arp_interval: link_watch does not ask them")
	}
	if a.misses != nil && !a.misses.Implied {
		b.note(*a.misses, "left out: nobody is asked")
	}
	b.c.WatchPolicy, b.c.ProbeMisses = b.standard.WatchPolicy, b.standard.ProbeMisses
	if a.carrier != nil {
		b.set(*a.carrier, "link_watch", monitor.KindCarrier)
	}
}

func (b *builder) targetEntry() Entry {
	e, ok := b.src.option("arp_ip_target")
	if !ok {
		e, _ = b.src.option("ns_ip6_target")
	}
	return e
}

func (b *builder) primary(e Entry) {
	if e.Value == "" || strings.EqualFold(e.Value, "none") {
		return
	}
	if b.c.Mode != modes.ActiveBackup && b.c.Mode != modes.ELB {
		b.note(e, fmt.Sprintf("left out: mode %v has no active NIC", b.c.Mode))
		return
	}
	// ifenslave takes a list, of which the first that is there counts.
	list := words(e.Value)
	for i, name := range list {
		if b.c.Index(name) >= 0 {
			b.set(e, "primary", name)
			if len(list) > 1 {
				b.note(e, fmt.Sprintf("only one NIC is preferred: %s", name))
			}
			return
		}
		if i == len(list)-1 {
			b.note(e, "it is not a member")
		}
	}
}

func (b *builder) hash(e Entry) {
	value := word(e.Value, "layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac")
	if e.Implied && b.c.Mode != modes.XOR && b.c.Mode != modes.LACP {
		return
	}
	if inner, ok := strings.CutPrefix(value, "encap"); ok {
		value = "layer" + inner
		b.note(e, "the outer headers of a tunnel are hashed: "+value)
	}
	b.set(e, "hash", value)
}

func (b *builder) minLinks(e Entry) {
	switch {
	case e.Value == "0", e.Value == "1":
	case b.c.Mode != modes.LACP && e.Implied:
	case b.c.Mode != modes.LACP:
		b.note(e, "left out: a bond uses it in 802.3ad only; min_members is for every mode")
	default:
		b.set(e, "min_members", e.Value)
	}
}

func (b *builder) tlbDynamic(e Entry) {
	if b.c.Mode == modes.ELB {
		b.set(e, "rebalance", "0s")
		b.note(e, "rebalance: 0s, flows that never pause stay where they began; new ones go by load, not by hash")
	}
}

func (b *builder) notifyDelay(e Entry) {
	if d, ok := b.duration(e); ok && d > 0 {
		b.bounded(e, "announce_interval", d, 10*time.Millisecond, time.Minute)
	}
}

func (b *builder) lacpRate(e Entry) {
	b.strictly(e, "lacp_rate", word(e.Value, "slow", "fast"))
}

func (b *builder) actorSystem(e Entry) {
	if e.Value == "" || e.Value == "00:00:00:00:00:00" {
		return
	}
	b.strictly(e, "lacp_system", e.Value)
}

func (b *builder) portPriority(port string, e Entry) {
	if e.Value == strconv.Itoa(modes.DefaultPortPriority) {
		return
	}
	b.setMember(e, port, "port_priority", e.Value)
}

// The ways to take a value.

// setting takes the value as it is.
func setting(key string) func(*builder, Entry) {
	return func(b *builder, e Entry) { b.set(e, key, e.Value) }
}

// numbered takes one of words, or the kernel's number of it.
func numbered(key string, list ...string) func(*builder, Entry) {
	return func(b *builder, e Entry) { b.set(e, key, word(e.Value, list...)) }
}

// switched takes on or off of 802.3ad.
func switched(key string) func(*builder, Entry) {
	return func(b *builder, e Entry) {
		value := e.Value
		if on, ok := truth(value); ok {
			value = onOff(on)
		}
		b.strictly(e, key, value)
	}
}

// milliseconds takes a time; a bare number is milliseconds.
func milliseconds(key string) func(*builder, Entry) {
	return func(b *builder, e Entry) {
		if d, ok := b.duration(e); ok {
			b.bounded(e, key, d, 0, time.Hour)
		}
	}
}

// strict takes a value of 802.3ad; in other modes it is left out.
func strict(take func(*builder, Entry)) func(*builder, Entry) { return ofMode(modes.LACP, take) }

func ofMode(k modes.Kind, take func(*builder, Entry)) func(*builder, Entry) {
	return func(b *builder, e Entry) {
		if b.c.Mode == k {
			take(b, e)
		} else if !e.Implied {
			b.note(e, fmt.Sprintf("it is of mode %v, and the mode is %v", k, b.c.Mode))
		}
	}
}

func (b *builder) strictly(e Entry, key, value string) {
	strict(func(b *builder, e Entry) { b.set(e, key, value) })(b, e)
}

// word returns the word that a value is, or that it is the kernel's number of. Names have - for _.
func word(value string, list ...string) string {
	if n, err := strconv.Atoi(value); err == nil && n >= 0 && n < len(list) {
		return list[n]
	}
	return strings.ReplaceAll(strings.ToLower(value), "_", "-")
}

// words splits at commas and spaces.
func words(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == ';' })
}
