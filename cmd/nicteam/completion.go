// SPDX-License-Identifier: MIT

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/nearest"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

func (a *app) completionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write the completion script of a shell",
		Long:  `Writes what bash, zsh, fish or powershell need to complete nicteam's commands.`,
		Example: `  nicteam completion bash > /etc/bash_completion.d/nicteam
  source <(nicteam completion zsh)`,
		Args:      args(1, 1),
		ValidArgs: shells,
		RunE: func(cmd *cobra.Command, given []string) error {
			root := cmd.Root()
			switch given[0] {
			case "bash":
				return root.GenBashCompletionV2(a.out, true)
			case "zsh":
				return root.GenZshCompletion(a.out)
			case "fish":
				return root.GenFishCompletion(a.out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(a.out)
			}
			return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("unknown shell %q", given[0]),
				Why: "there is no script for it" + nearest.Hint(given[0], shells),
				Fix: "shells are bash, zsh, fish and powershell"}
		},
	}
}
