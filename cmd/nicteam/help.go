package main

import (
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/settings"
)

func (a *app) helpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|SETTING|modes|elb|802.3ad|config]",
		Short: "Explain a command, a setting or a topic",
		RunE: func(cmd *cobra.Command, given []string) error {
			found, rest, err := cmd.Root().Find(given)
			if err != nil || len(rest) > 0 {
				key, _, _ := strings.Cut(settings.Canonical(given[0]), ".")
				if setting := settings.Find(key); setting != nil {
					a.say("%s", settingTopic(setting))
					return nil
				}
				return unknownVerb(cmd, given[0])
			}
			found.InitDefaultHelpFlag()
			return found.Help()
		},
	}
}

// modesTopic is a topic: a command that only has help, of which cobra shows the long text.
func modesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "modes",
		Short: "How frames are spread, and what the switch must know",
		Long: `Modes say how frames are spread over the NICs. In brackets what else a mode is called.

` + settings.ModesHelp() + `
balance=off turns any mode into active-backup until balance=on.

A NIC that loses its link is left at once, and its share goes to all others by weight.

Examples:
  nicteam create team0 eth1 eth2                        # elb
  nicteam create team0 eth1 eth2 --mode active-backup --primary eth1
  nicteam create team0 eth1 eth2 --mode 802.3ad --lacp-rate fast
  nicteam set team0 mode=xor hash=layer2+3`,
	}
}

// elbTopic is the topic of the default mode.
func elbTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "elb",
		Short: "The mode elb: what it does, its settings, what it cannot",
		Long: `elb balances both directions over any mix of NICs, on any switch. Every NIC keeps its own MAC.

Transmit: a flow stays on its NIC while frames of it may be in flight, so frames keep their
order; after a pause it moves to the NIC with the shortest queue. The rate of a NIC is its link
speed or its measured capacity: nicteam status shows it and its source. Flows that never pause
are rebalanced.

Receive: ARP and neighbour discovery tell each peer which NIC to send to: nicteam peers. A peer
uses one NIC for one address of this host; what a router forwards comes from one peer, the router.

` + settingTable(func(s *settings.Setting) bool {
			return s.Mode.String() == "elb" || s.Key == "weight" || s.Key == "balance"
		}) + `
Examples:
  nicteam create team0 eth1 eth2 wlan0
  nicteam create team0 eth1 eth2 --mode elb --skew 2ms --rebalance 5s
  nicteam create team0 eth1 eth2 --mode balance-tlb     # balances only what is sent
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
		Short:   "The mode 802.3ad: what both sides agree, its settings, what status says",
		Long: `In 802.3ad host and switch negotiate the aggregation by LACP; a NIC whose partner has not agreed
is not used. The switch needs a LACP group with these ports, active, all of one speed. Frames
are spread as in xor: the hash of a flow selects its NIC.

NICs with another partner, another key or another speed form an aggregator of their own. One
aggregator is used, the others stand by and take over. While no partner answers, one NIC works
alone, so that the host is reachable before its switch is configured.

` + settingTable(func(s *settings.Setting) bool {
			return s.Mode.String() == "802.3ad" || s.Key == "min_members" || s.Key == "balance"
		}) + `
All are live. A change of lacp_system, lacp_system_priority or lacp_key renegotiates the
aggregation: no frame passes for two seconds; port_priority does that to its NIC alone. The rest
costs nothing. nicteam status shows the partner and what each NIC waits for, with -v also the
counters. Its STATE bits: A activity, T short timeout, G aggregation, S synchronization,
C collecting, D distributing, F defaulted, E expired, - not set. ATGSCD-- and A-GSCD-- are good.

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

func configTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString(`A file of settings is YAML, TOML or JSON, by its name. Flags (--up-delay) win over variables
(NICTEAM_UP_DELAY), these over the file (up_delay), the file over defaults. Unknown keys,
bare numbers for durations and values out of range are errors that name file and line. A
variable that only looks like a setting (NICTEAM_SERVICE_HOST of Kubernetes) is ignored.

`)
	b.WriteString(settingTable(func(s *settings.Setting) bool { return !s.NoFile }))
	b.WriteString(`
An example, which /etc/nicteam/team0.yaml could be:

  team: team0
  mode: active-backup        # left out: elb
  members:
    - {name: eth1}
    - {name: eth2, weight: 2}
  primary: eth1
  up_delay: 2s
  address: [10.0.0.1/24]
  gateway: 10.0.0.254`)
	return &cobra.Command{Use: "config", Short: "Settings: files, variables and flags", Long: b.String()}
}
