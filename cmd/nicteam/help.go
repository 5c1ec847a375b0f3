package main

import (
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/config"
)

func (a *app) helpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND|modes|config]",
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

// modesTopic is a topic: a command that only has help.
func modesTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "modes",
		Short: "How frames are spread, and what the switch must know",
		Long: `Modes say how frames are spread over the NICs. In brackets what else a mode is called.

  elb            balances both directions over mixed NICs, flow by flow; any switch.
                 Not in this build yet. [balance-alb, 6; balance-tlb, 5 with receive_balance off]
  round-robin    frame by frame, by weight: one connection can use all NICs, frames may
                 overtake each other; the switch needs a static LAG. [balance-rr, 0]
  active-backup  one NIC works, the others stand by; any switch. [1] The default for now.
  xor            each flow keeps to a NIC, chosen by its hash; the switch needs a static
                 LAG. [balance-xor, 2]
  802.3ad        as xor, agreed with the switch by LACP. Not in this build yet. [lacp, 4]
  broadcast      every frame by every NIC; for two networks that must both get it. [3]

balance=off turns any mode into active-backup until balance=on.

A NIC that loses its link is left at once, and its share goes to all others by weight.`,
	}
}

func configTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString(`A file of settings is YAML, TOML or JSON, by its name. Flags (--up-delay) win over variables
(NICTEAM_UP_DELAY), these over the file (up_delay), the file over defaults. Unknown keys,
bare numbers for durations and values out of range are errors that name file and line.

`)
	for _, k := range config.Keys() {
		b.WriteString("  " + k.Name + strings.Repeat(" ", max(1, 20-len(k.Name))) + k.Help + "\n")
	}
	b.WriteString(`
An example, which /etc/nicteam/team0.yaml could be:

  team: team0
  mode: active-backup
  members:
    - {name: eth1}
    - {name: eth2, weight: 2}
  primary: eth1
  up_delay: 2s
  address: [10.0.0.1/24]
  gateway: 10.0.0.254`)
	return &cobra.Command{Use: "config", Short: "Settings: files, variables and flags", Long: b.String()}
}
