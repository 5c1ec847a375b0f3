package main

import (
	"github.com/spf13/cobra"

	"nicteam/team"
)

// notYet is what verbs answer that the contract has and this build has not.
func notYet(what, fix string) error {
	return &team.Problem{Kind: team.Failed, What: what + ": not in this build yet", Why: "the command is known, but its code has not landed", Fix: fix}
}

func (a *app) exportCmd() *cobra.Command {
	return &cobra.Command{
		Use:                "export TEAM --last 1h --format svg|png|csv|json|md -o FILE",
		Short:              "Save a picture of the traffic (not in this build yet)",
		Example:            `  nicteam export team0 --last 1h --format svg -o team0.svg`,
		DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error {
			return notYet("export", "nicteam watch TEAM --json writes the traffic as it flows")
		},
	}
}
