package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/settings"
)

func (a *app) helpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|modes|elb|802.3ad|config]",
		Short: "Explain a command or a topic",
		RunE: func(cmd *cobra.Command, given []string) error {
			found, rest, err := cmd.Root().Find(given)
			if err != nil || len(rest) > 0 {
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

  elb            balances both directions over mixed NICs, flow by flow; any switch. The
                 default: nicteam help elb. [balance-alb, 6; balance-tlb, 5 is it with
                 receive_balance off]
  round-robin    frame by frame, by weight: one connection can use all NICs, frames may
                 overtake each other; the switch needs a static LAG. [balance-rr, 0]
  active-backup  one NIC works, the others stand by; any switch. [1]
  xor            each flow keeps to a NIC, chosen by its hash; the switch needs a static
                 LAG. [balance-xor, 2]
  802.3ad        as xor, agreed with the switch by LACP, which must know it: nicteam help
                 802.3ad. [lacp, 4]
  broadcast      every frame by every NIC; for two networks that must both get it. [3]

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
		Long: `elb balances what is sent and what is received over any mix of NICs, and the switch need
not know. Every NIC keeps its own MAC.

Sending: a flow stays on its NIC while frames of it may be under way, so none is overtaken;
when it pauses it goes to the NIC whose queue is shortest. How much a NIC carries is its link
speed, or what it was measured to carry: nicteam status shows it and where it is known from.
Flows that never pause are evened out once a rebalance.

Receiving: each peer is told by ARP or neighbour discovery by which NIC to reach this host:
nicteam peers. One peer uses one NIC to reach one address of ours; what comes through a router
comes from one peer, the router.

  gain=100us           a flow changes NICs only when it wins as much; 0s to 1s
  skew=500us           the most that the ways by two NICs differ in time; 0s to 1s
  rebalance=1s         how often flows that never pause are evened out; 100ms to 1h, 0s for never
  receive_balance=on   off: every peer reaches this host by the active NIC
  weight.NIC=1         scales what a NIC is taken to carry
  balance=on           off: one active NIC, the others stand by

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
		Long: `In 802.3ad host and switch agree by LACP which NICs belong together; a NIC whose other end
has not agreed is not used. The switch needs a LACP group on these ports, active, with the same
speed. Frames are spread as in xor: each flow keeps to a NIC, chosen by its hash.

NICs that see another switch, another group of it or that have another speed make a group of
their own. One group is used, the others stand by and take over. While nobody answers at all
one NIC works alone, so that the host is reached before its switch is configured.

  lacp_rate=slow          fast: the switch is asked to speak once a second, not each 30 s, and
                          its silence is noticed within 3 s, not 90 s
  lacp_active=on          off: speaks when spoken to; one side has to be on
  lacp_fallback=on        off: nobody answers, nobody works
  ad_select=stable        which group is used: stable keeps the one that works; bandwidth, count
                          and port-priority take the best
  min_members=1           with fewer NICs in use the adapter has no carrier
  lacp_system=auto        who we are to the switch: the adapter's MAC, random, or a MAC
  lacp_system_priority=65535
                          0 to 65535, the lower the better
  lacp_key=0              0 to 1023: upper bits of the ports' keys
  port_priority.NIC=255   0 to 65535, the lower the better
  balance=on              off: one NIC of those that agreed is active, the others stand by

All of them can be changed while the team runs. lacp_system, lacp_system_priority and lacp_key have
the group agreed on anew, and nothing passes for two seconds; port_priority has its NIC alone
stop for as long. The rest costs nothing. nicteam status shows who is at the other end and
what each NIC waits for, with -v also the counters. STATE bits there: A active, T short timeout,
G can be aggregated, S in sync, C collecting, D distributing, F nobody heard, E expired; a dash
stands for a bit that is not set, and ATGSCD-- or A-GSCD-- is how it should be.

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
	for i := range settings.Table {
		if s := &settings.Table[i]; !s.NoFile {
			fmt.Fprintf(&b, "  %-21s%s\n", s.Key, settingHelp(s))
		}
	}
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
