// SPDX-License-Identifier: MIT

package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/nearest"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

func (a *app) completionCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write the completion script of a shell",
		Long: `Writes what bash, zsh, fish or powershell need to complete nicteam's commands. Packages and make install
bring it; bash needs its package bash-completion, too.

Completed are commands, flags, teams, NICs with what they are, settings and their values: nicteam set TEAM mode=<Tab>.
What needs a value that nobody can know shows what is wanted (NICTEAM_ACTIVE_HELP=0: it does not). Without the right to
ask a team, its NICs are not known.`,
		Example: `  nicteam completion bash > /etc/bash_completion.d/nicteam
  source <(nicteam completion zsh)`,
		Args: args(1, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			root := cmd.Root()
			switch given[0] {
			case "bash":
				var script bytes.Buffer
				if err := root.GenBashCompletionV2(&script, true); err != nil {
					return err
				}
				_, err := io.WriteString(a.out, withCommas(script.String()))
				return err
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

// escapedCommas are the places of cobra's script for bash where printf %q has a backslash before each comma, and what
// they are without it: link_watch=gateway,<Tab> would find nothing.
var escapedCommas = []struct{ was, is string }{
	{`[[ $comp == "$cur"* ]] || continue`, `[[ ${comp//\\,/,} == "${cur//\\,/,}"* ]] || continue`},
	{`COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]%%$tab*}")`,
		`COMPREPLY[0]=$(printf "%q" "${COMPREPLY[0]%%$tab*}"); COMPREPLY[0]=${COMPREPLY[0]//\\,/,}`},
}

// withCommas is cobra's script for bash, which takes commas in words.
func withCommas(script string) string {
	for _, c := range escapedCommas {
		script = strings.Replace(script, c.was, c.is, 1)
	}
	return script
}
