// SPDX-License-Identifier: MIT

package settings

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

const (
	maxPriority = 65535 // IEEE 802.1AX: 16 bits
	maxKey      = 1023  // bonding: ad_user_port_key is 10 bits

	receiveBalance = "receive_balance"

	// see the topic 802.3ad of nicteam help
	renegotiates    = "at once; the aggregator is renegotiated, which interrupts traffic for two seconds"
	renegotiatesNIC = "at once; the NIC is renegotiated, and carries nothing for two seconds"
)

// Table has a row a setting, in the order of files and help. A setting comes after those by which its value is read.
// It is not to be changed.
var Table = []Setting{
	{Key: "team", Kernel: "bond", Help: "name of the team and of its adapter",
		Example: "team0", Effect: "when the team is made", value: teamName},
	{Key: "members", Kernel: "slaves", Help: "the NICs: names, or in a file {name, weight, port_priority}",
		Example: "eth1,eth2", Effect: "when the team is made; later nicteam add and nicteam remove change them",
		value: nics},
	{Key: "match", Live: true,
		Help:    "what identifies the NIC of a member that was gone",
		Example: "mac", value: choice(func(c *Config) *MatchPolicy {
			return &c.Match
		}, []MatchPolicy{MatchName, MatchMAC}, named[MatchPolicy]([]string{"name", "mac"}, false)).
			says("name", "any NIC of its name", "mac", "the same NIC")},
	{Key: "mode", Live: true, Event: "mode-changed", Help: "how frames are spread over the NICs: nicteam help modes",
		Example: "active-backup", value: mode},
	{Key: "balance", Live: true, Help: "off: one active NIC, the others stand by, in every mode",
		Example: "off", value: toggle(func(c *Config) *bool { return &c.Balance })},
	{Key: "hash", Kernel: "xmit_hash_policy", Live: true, Help: "fields of a frame that make a flow",
		Example: "layer2+3", value: choice(func(c *Config) *spread.HashPolicy {
			return &c.Hash
		}, spread.HashPolicies(), parsed(spread.ParseHash))},
	{Key: "primary", Live: true, Help: "NIC that is active whenever it is usable",
		Example: "eth1", value: nicName(func(c *Config) *string { return &c.Primary })},
	{Key: "primary_reselect", Live: true, Help: "when a primary that is usable again becomes active again",
		Example: "failure", value: choice(func(c *Config) *modes.Reselect { return &c.PrimaryReselect },
			[]modes.Reselect{modes.ReselectAlways, modes.ReselectBetter, modes.ReselectFailure},
			parsed(modes.ParseReselect)).says("always", "at once", "better", "if it is faster than the active one",
			"failure", "when the active one fails")},
	{Key: "active", Kernel: "active_slave", Live: true, NoFile: true,
		Help:    "active member until it fails; none: back to the rules of the mode",
		Example: "eth2", Effect: "at once, until that NIC fails; not kept over a restart",
		value: nicName(func(c *Config) *string { return &c.Active })},
	{Key: "packets_per_member", Kernel: "packets_per_slave", Live: true, Mode: modes.RoundRobin,
		Help:    "consecutive frames on one NIC, 0 for a random NIC each",
		Example: "8", value: whole(func(c *Config) *int { return &c.PacketsPerMember }, 0, 65535)},
	{Key: receiveBalance, Live: true, Mode: modes.ELB, Help: "tell each peer which NIC to send to",
		Example: "off", value: toggle(func(c *Config) *bool { return &c.ReceiveBalance })},
	{Key: "gain", Live: true, Mode: modes.ELB, Help: "minimum advantage before a flow moves to another NIC",
		Example: "1ms", value: duration(func(c *Config) *time.Duration { return &c.Gain }, 0, time.Second, "")},
	{Key: "skew", Live: true, Mode: modes.ELB, Help: "largest expected difference in path delay between two NICs",
		Example: "2ms", value: duration(func(c *Config) *time.Duration { return &c.Skew }, 0, time.Second, "")},
	{Key: "rebalance", Live: true, Mode: modes.ELB, Help: "interval at which flows that never pause are rebalanced",
		// a shorter one would measure noise
		Example: "5s", value: duration(func(c *Config) *time.Duration {
			return &c.Rebalance
		}, 100*time.Millisecond, time.Hour, "never")},
	{Key: "min_members", Kernel: "min_links", Live: true, Help: "usable NICs below which the team is down",
		Example: "2", value: whole(func(c *Config) *int { return &c.MinMembers }, 1, spread.MaxMembers)},
	{Key: "up_delay", Kernel: "updelay", Live: true, Help: "how long a link must be up before its NIC is used",
		Example: "2s", value: duration(func(c *Config) *time.Duration { return &c.UpDelay }, 0, time.Hour, "")},
	{Key: "down_delay", Kernel: "downdelay", Live: true, Help: "how long a NIC without link is still used",
		Example: "1s", value: duration(func(c *Config) *time.Duration { return &c.DownDelay }, 0, time.Hour, "")},
	{Key: "link_watch", Kernel: "arp_ip_target, ns_ip6_target, miimon", Live: true,
		Help:    "what tells whether a NIC works, besides its carrier: nicteam help watches",
		Example: "gateway,arp:10.0.0.254", value: linkWatch},
	{Key: "watch_policy", Kernel: "arp_all_targets", Live: true,
		Help:    "whether a NIC has to satisfy all link watches, or any",
		Example: "any", value: choice(func(c *Config) *WatchPolicy {
			return &c.WatchPolicy
		}, []WatchPolicy{WatchAll, WatchAny}, named[WatchPolicy]([]string{"all", "any"}, false)).
			says("all", "down if one of them says so", "any", "up if one of them says so")},
	{Key: "probe_interval", Kernel: "arp_interval", Live: true,
		Help:    "how often a NIC asks a target while all is well",
		Example: "200ms", value: duration(func(c *Config) *time.Duration {
			return &c.ProbeInterval
		}, 10*time.Millisecond, time.Minute, "")},
	{Key: "probe_misses", Kernel: "arp_missed_max", Live: true,
		Help:    "asks without an answer after which a NIC is down, if another NIC gets answers",
		Example: "5", value: whole(func(c *Config) *int { return &c.ProbeMisses }, 2, 20)},
	{Key: "admission_wait", Live: true,
		Help:    "how long a NIC whose link comes waits for its first answer before it is used",
		Example: "10s",
		value:   duration(func(c *Config) *time.Duration { return &c.AdmissionWait }, 0, time.Minute, "")},
	{Key: "damping", Live: true, Help: "on: a NIC that fails again and again waits before it is used again",
		Example: "off", value: toggle(func(c *Config) *bool { return &c.Damping })},
	{Key: "undamp", Live: true, NoFile: true, Help: "NIC whose wait for its failures ends now",
		Example: "eth2", Effect: "at once, and once", value: nicName(func(c *Config) *string { return &c.Undamp })},
	{Key: "announce_count", Kernel: "num_grat_arp", Live: true,
		Help:    "announcements of the adapter's addresses after a change, 0 for none",
		Example: "3", value: whole(func(c *Config) *int { return &c.AnnounceCount }, 0, 255)},
	{Key: "announce_interval", Kernel: "peer_notif_delay", Live: true, Help: "time between two announcements",
		Example: "200ms",
		value: duration(func(c *Config) *time.Duration { return &c.AnnounceInterval }, 10*time.Millisecond, time.Minute,
			"")},
	{Key: "lacp_rate", Live: true, Mode: modes.LACP, Strict: true,
		Help:    "how often the partner is asked to send: each 30 s or each second",
		Example: "fast", value: lacpRate},
	{Key: "lacp_active", Live: true, Mode: modes.LACP, Strict: true,
		Help:    "off: send LACPDUs only to a partner that sends them",
		Example: "off", value: toggle(func(c *Config) *bool { return &c.LACP.Active })},
	{Key: "lacp_fallback", Live: true, Mode: modes.LACP, Strict: true,
		Help:    "on: one NIC works alone while no partner answers",
		Example: "off", value: toggle(func(c *Config) *bool { return &c.LACP.Fallback })},
	{Key: "ad_select", Live: true, Mode: modes.LACP, Strict: true, Help: "which aggregator is used of several",
		Example: "bandwidth",
		value:   choice(func(c *Config) *lacp.Select { return &c.LACP.Select }, lacp.Selects(), parseSelect)},
	{Key: "lacp_system", Kernel: "ad_actor_system", Live: true, Mode: modes.LACP, Strict: true,
		Help:    "MAC of the Actor's system; auto: the adapter's",
		Example: "random", Effect: renegotiates, value: lacpSystem},
	{Key: "lacp_system_priority", Kernel: "ad_actor_sys_prio", Live: true, Mode: modes.LACP, Strict: true,
		Help:    "system priority, the lower the better",
		Example: "100", Effect: renegotiates,
		value: whole(func(c *Config) *uint16 { return &c.LACP.SystemPriority }, 0, maxPriority)},
	{Key: "lacp_key", Kernel: "ad_user_port_key", Live: true, Mode: modes.LACP, Strict: true,
		Help:    "upper bits of the ports' keys",
		Example: "5", Effect: renegotiates, value: whole(func(c *Config) *uint16 { return &c.LACP.Key }, 0, maxKey)},
	{Key: "address", Help: "the adapter's addresses; auto: those of the NICs move to it",
		Example: "10.0.0.1/24", value: addresses},
	{Key: "gateway", Help: "default gateway",
		Example: "10.0.0.254", With: "address=10.0.0.1/24", value: gateway},
	{Key: "mac", Help: "the adapter's MAC; keep: that of the NIC with the default route, else of the first",
		Example: "new", value: mac},
	{Key: "mtu", Live: true, Event: "mtu-changed",
		Help:    "MTU of the adapter and the NICs; left out: the largest of NICs with addresses",
		Example: "9000", value: mtu},
	{Key: "datapath", Live: true, Help: "what moves the frames: eBPF programs (fastpath), this process (relay), " +
		"or the first that works",
		Example: "relay", value: datapath},
	{Key: "tso", Help: "TCP segmentation offload on the adapter",
		Example: "off", value: offload(func(c *Config) *Offload { return &c.TSO })},
	{Key: "uso", Help: "UDP segmentation offload on the adapter",
		Example: "off", value: offload(func(c *Config) *Offload { return &c.USO })},
	{Key: "gro", Help: "receive coalescing on members",
		Example: "off", value: offload(func(c *Config) *Offload { return &c.GRO })},
	{Key: "weight", PerNIC: true, Live: true, Help: "share of a NIC: 2 is twice that of 1",
		Example: "2", value: weight},
	{Key: "port_priority", Kernel: "ad_actor_port_prio", PerNIC: true, Live: true, Mode: modes.LACP, Strict: true,
		Help:    "priority of a NIC's port, the lower the better",
		Example: "100", Effect: renegotiatesNIC, value: portPriority},
}

var teamName = func() value {
	v := text(func(c *Config) *string { return &c.Team })
	v.check = checkTeamName
	return v
}()

// mode reads bonding's names too. Its balance-tlb is elb that does not steer what is received, its balance-alb elb that
// does; elb by its own name leaves that as it is. receive_balance comes later in the table, and wins.
var mode = func() value {
	v := choice(func(c *Config) *modes.Kind { return &c.Mode }, modes.Kinds(), parsed(modes.ParseKind))
	names := v.Words
	v.Says = map[string]string{}
	for _, r := range modes.Table {
		v.Says[r.Name] = r.Help
		v.Others = slices.Concat(v.Others, r.Aliases, r.TransmitOnly)
	}
	v.set = func(c *Config, to any) *Fault {
		s := asText(to)
		a, err := modes.ParseAlias(s)
		if err != nil {
			f := unknownWord(s, names)
			if u, ok := errors.AsType[*spread.UnknownError](err); ok && u.Near != "" {
				f.Why = fmt.Sprintf("there is no such mode; did you mean %q?", u.Near)
			}
			f.Fix += "; see: nicteam help modes"
			return f
		}
		c.Mode = a.Kind
		if a.Kind == modes.ELB && !strings.EqualFold(strings.TrimSpace(s), a.Kind.String()) {
			c.ReceiveBalance = !a.ReceiveBalanceOff
		}
		return nil
	}
	return v
}()

var lacpRate = value{Type: Word, Values: "slow or fast", Words: []string{"slow", "fast"},
	get: func(c *Config) any {
		if c.LACP.Fast {
			return "fast"
		}
		return "slow"
	},
	set: func(c *Config, v any) *Fault {
		rate, ok := named[int]([]string{"slow", "fast"}, true)(asText(v))
		if !ok {
			return unknownWord(asText(v), []string{"slow", "fast"})
		}
		c.LACP.Fast = rate == 1
		return nil
	},
}

// parseSelect reads a policy, and what bonding calls it.
func parseSelect(s string) (lacp.Select, bool) {
	if strings.EqualFold(s, "actor_port_prio") || strings.EqualFold(s, "port_priority") {
		return lacp.PortPriority, true
	}
	var names []string
	for _, p := range lacp.Selects() {
		names = append(names, p.String())
	}
	return named[lacp.Select](names, true)(s)
}

// mtu is not set where it follows the NICs.
var mtu = func() value {
	v := whole(func(c *Config) *int { return &c.MTU }, MinMTU, MaxMTU)
	get, check := v.get, v.check
	v.get = func(c *Config) any {
		if c.MTU == 0 {
			return nil
		}
		return get(c)
	}
	v.check = func(c *Config) *Fault {
		if c.MTU == 0 {
			return nil
		}
		f := check(c)
		if f != nil {
			f.Fix = "choose a value in that range, or leave mtu out"
		}
		return f
	}
	return v
}()

var datapaths = []string{"auto", "relay", "fastpath"}

var datapath = value{Type: Text, Values: OneOf(datapaths), Words: datapaths,
	get: func(c *Config) any { return c.Datapath },
	set: func(c *Config, v any) *Fault {
		i, ok := named[int](datapaths, false)(asText(v))
		if !ok {
			return unknownWord(asText(v), datapaths)
		}
		c.Datapath = datapaths[i]
		return nil
	},
	check: func(c *Config) *Fault {
		if !slices.Contains(datapaths, c.Datapath) {
			return unknownWord(c.Datapath, datapaths)
		}
		return nil
	},
}

// offload is auto, or as a toggle.
func offload(at func(*Config) *Offload) value {
	v := choice(at, []Offload{OffloadAuto, OffloadOn, OffloadOff}, func(s string) (Offload, bool) {
		if strings.EqualFold(s, "auto") {
			return OffloadAuto, true
		}
		on, ok := ParseOnOff(s)
		if on {
			return OffloadOn, ok
		}
		return OffloadOff, ok
	})
	v.Type = AutoOnOff
	return v
}

// parsed makes a parser for choice of one that says what is wrong.
func parsed[T any](parse func(string) (T, error)) func(string) (T, bool) {
	return func(s string) (T, bool) {
		v, err := parse(s)
		return v, err == nil
	}
}
