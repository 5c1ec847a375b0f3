// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/nearest"
	"nicteam/internal/settings"
	"nicteam/monitor"
)

func (a *app) helpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|modes|elb|802.3ad|watches|config|settings|SETTING]",
		Short: "Explain a command, a topic or a setting",
		RunE: func(cmd *cobra.Command, given []string) error {
			found, rest, err := cmd.Root().Find(given)
			if err == nil && len(rest) == 0 {
				found.InitDefaultHelpFlag()
				return found.Help()
			}
			word := given[0]
			if err == nil && found != cmd.Root() { // nicteam help set hash
				word = rest[0]
			}
			text := topicOf(word)
			if text == "" {
				return unknownTopic(cmd, word)
			}
			_, err = io.WriteString(a.out, text)
			return err
		},
	}
}

// topicOf is the help of a setting, by any of its names, or of a mode; "" for another word.
func topicOf(word string) string {
	key, _, _ := strings.Cut(settings.Canonical(word), ".")
	if s := settings.Find(key); s != nil {
		return settingTopic(s)
	}
	if modeName(word) != "" {
		return strings.TrimSpace(modesTopic().Long) + "\n"
	}
	return ""
}

func unknownTopic(cmd *cobra.Command, word string) error {
	mode := settings.Find("mode")
	known := slices.Concat(verbs(cmd.Root()), settings.Names(), mode.Words, mode.Others)
	return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("unknown help topic %q", word),
		Why: "it is not a command, a topic, a setting or a mode" + nearest.Hint(word, known),
		Fix: "nicteam help lists the commands, nicteam help settings the settings"}
}

// modesTopic is a help topic: a command that does nothing else.
func modesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "modes",
		Short: "The modes, and what each needs from the switch",
		Long: `The mode decides how frames are spread over the NICs. In brackets: other names of a mode.

` + settings.ModesHelp() + `
balance=off makes any mode work as active-backup, until balance=on.

When a NIC loses its link, the others take over its share, by weight.

Examples:
  nicteam create team0 eth1 eth2                        # elb
  nicteam create team0 eth1 eth2 --mode active-backup --primary eth1
  nicteam create team0 eth1 eth2 --mode 802.3ad --lacp-rate fast
  nicteam set team0 mode=xor hash=layer2+3`,
	}
}

// ofMode selects the settings of a mode, and others that matter in it.
func ofMode(mode string, others ...string) func(*settings.Setting) bool {
	return func(s *settings.Setting) bool { return group(s) == mode || slices.Contains(others, s.Key) }
}

// elbTopic is the topic of the default mode.
func elbTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "elb",
		Short: "The mode elb: what it does, its settings, its limits",
		Long: `elb balances transmitted and received traffic over any mix of NICs; the switch needs no
configuration. Every NIC keeps its own MAC.

Transmit: a flow stays on its NIC while it may have frames in flight, so that none overtakes another. After a pause
it moves to the NIC with the shortest queue. A NIC's rate is its link speed or what was measured: nicteam status
shows it and its source. Flows that never pause are rebalanced at an interval.

Receive: ARP and neighbour discovery give each peer the MAC of one NIC: nicteam peers. One peer uses one NIC per
address of this host; all traffic through a router comes from one peer, the router.

` + settingsTable(ofMode("elb", "balance", "weight")) + `

Examples:
  nicteam create team0 eth1 eth2 wlan0
  nicteam create team0 eth1 eth2 --mode elb --skew 2ms --rebalance 5s
  nicteam create team0 eth1 eth2 --mode balance-tlb     # balances only transmitted traffic
  nicteam set team0 weight.wlan0=0.5 gain=1ms
  nicteam peers team0
  nicteam explain team0 tcp 10.0.0.1:5000 10.0.0.2:80`,
	}
}

// lacpTopic is the topic of 802.3ad.
func lacpTopic() *cobra.Command {
	return &cobra.Command{
		Use:     "802.3ad",
		Aliases: []string{"lacp"},
		Short:   "The mode 802.3ad: LACP, its settings, what status shows",
		Long: `In 802.3ad, host and switch agree by LACP which NICs form an aggregator. A NIC whose partner has not
agreed is not used. The switch needs an active LACP group on these ports. Frames are spread as in xor: the hash of a
flow chooses its NIC.

NICs that differ in switch, group or speed form separate aggregators. One aggregator is active, the others stand by
and take over. While no partner answers, one NIC works alone, so that the host can be reached before its switch is
configured.

` + settingsTable(ofMode("802.3ad", "balance", "min_members")) + `

All of them can be changed live. lacp_system, lacp_system_priority and lacp_key renegotiate the aggregator, which
interrupts traffic for two seconds; port_priority does so on its NIC. The others interrupt nothing.

nicteam status shows the partner and what each NIC waits for, with -v also the counters. The bits of STATE:
A activity, T short timeout, G aggregation, S synchronization, C collecting, D distributing, F defaulted (no partner
heard), E expired; a dash is a bit that is not set. A healthy port shows ATGSCD-- or A-GSCD--.

Examples:
  nicteam create team0 eth1 eth2 --mode 802.3ad --lacp-rate fast
  nicteam create team0 eth1 eth2 --mode 802.3ad --lacp-fallback off --min-members 2
  nicteam create team0 eth1 eth2 eth3 --mode lacp --ad-select port-priority --port-priority eth3=100
  nicteam set team0 lacp_rate=fast ad_select=bandwidth
  nicteam set team0 mode=802.3ad lacp_system=random
  nicteam status team0 -v
  nicteam events team0 --follow`,
	}
}

// watchesTopic is the topic of link watches.
func watchesTopic() *cobra.Command {
	var kinds strings.Builder
	w := tabwriter.NewWriter(&kinds, 0, 0, 2, ' ', 0)
	for _, k := range monitor.WatchKinds() {
		fmt.Fprintf(w, "  %s\t%s\n", k.Usage(), k.Help)
	}
	_ = w.Flush() // a strings.Builder cannot fail
	watch := []string{"link_watch", "watch_policy", "probe_interval", "probe_misses", "admission_wait", "damping",
		"undamp", "up_delay", "down_delay"}
	return &cobra.Command{
		Use:   "watches",
		Short: "Link watches: what tells whether a NIC works",
		Long: `A NIC with a link may still lead nowhere: a port in the wrong VLAN, a switch that reboots, a broken fibre of a
pair. Link watches ask: from each NIC, with its own MAC. A NIC is down if a target answers another NIC and not this
one. If it answers nobody, the target is the problem, and no NIC goes down.

link_watch is a list of:

` + kinds.String() + `
An address alone stands for arp or nd. In 802.3ad, auto leaves it to LACP.

A NIC that sends and hears nothing while another NIC hears is suspect: it is asked at once and gets no new flows. A NIC
whose link comes is used after its first answer. A NIC that fails again and again waits longer each time.

` + settingsTable(func(s *settings.Setting) bool { return slices.Contains(watch, s.Key) }) + `

Examples:
  nicteam create team0 eth1 eth2 --link-watch arp:10.0.0.254,nd:fd00::fe --watch-policy any
  nicteam set team0 link_watch=carrier           # the link alone
  nicteam set team0 link_watch=auto probe_interval=200ms
  nicteam set team0 undamp=eth2
  nicteam set team0 arp_ip_target=10.0.0.254 arp_interval=100     # as bonding has it`,
	}
}

// settingsTopic lists all settings.
func settingsTopic() *cobra.Command {
	return &cobra.Command{Use: "settings", Short: "All settings, their values and defaults",
		Long: settingsTable(func(*settings.Setting) bool { return true }) +
			"\n\nOne setting: nicteam help KEY. Files and variables: nicteam help config."}
}

func configTopic() *cobra.Command {
	return &cobra.Command{Use: "config", Short: "Configuration files, variables and flags", Long: `A configuration file is YAML, TOML or JSON, by its extension. Flags (--up-delay) override variables
(NICTEAM_UP_DELAY), variables override the file (up_delay), the file overrides defaults. Unknown keys,
durations without a unit and values out of range are errors with file and line. A variable that is
not a setting (NICTEAM_SERVICE_HOST of Kubernetes) is ignored.

` + settingsTable(func(s *settings.Setting) bool { return !s.NoFile }) + `

An example, /etc/nicteam/team0.yaml:

  team: team0
  mode: active-backup        # left out: elb
  members:
    - {name: eth1}
    - {name: eth2, weight: 2}
  primary: eth1
  up_delay: 2s
  address: [10.0.0.1/24]
  gateway: 10.0.0.254`}
}
