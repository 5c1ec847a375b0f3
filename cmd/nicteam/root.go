// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/launch"
	"nicteam/internal/nearest"
)

// root is the command tree.
func (a *app) root() *cobra.Command {
	c := &cobra.Command{
		Use:   "nicteam",
		Short: "Make several NICs work as one",
		Long: `nicteam makes several NICs of this host work as one: a new adapter owns the IP
address, and the NICs carry its frames. It needs no kernel module.

Without a command it shows the teams of this host or, if there are none, its NICs
and the command that makes a team of them.`,
		Example: `  nicteam create team0 eth1 eth2
  nicteam status team0
  nicteam delete team0`,
		Args:              cobra.ArbitraryArgs,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.resolveDirs() },
		RunE: func(cmd *cobra.Command, given []string) error {
			if len(given) > 0 {
				return unknownVerb(cmd, given[0])
			}
			running, err := a.teams(nil)
			if err != nil {
				return err
			}
			if len(running) > 0 {
				return a.status(nil, false)
			}
			return a.welcome()
		},
	}
	c.SetFlagErrorFunc(flagProblem)
	c.CompletionOptions.DisableDefaultCmd = true
	f := c.PersistentFlags()
	f.StringVar(&a.dirs.RunDir, "run-dir", "", "`directory` of the sockets ($NICTEAM_RUN_DIR, /run/nicteam)")
	f.StringVar(&a.dirs.StateDir, "state-dir", "",
		"`directory` of journals and history ($NICTEAM_STATE_DIR, /var/lib/nicteam)")
	f.StringVar(&a.dirs.ConfigDir, "config-dir", "", "`directory` of TEAM.yaml ($NICTEAM_CONFIG_DIR, /etc/nicteam)")
	f.BoolVar(&a.json, "json", false, "print JSON, errors too")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "print errors only")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "print details to stderr")
	f.BoolVarP(&a.yes, "yes", "y", false, "create, add: proceed although filters on the NICs stop applying")
	for _, verb := range []func() *cobra.Command{
		a.createCmd, a.addCmd, a.removeCmd, a.deleteCmd, a.setCmd, a.confirmCmd, a.revertCmd,
		a.statusCmd, a.listCmd, a.watchCmd, a.eventsCmd, a.explainCmd, a.peersCmd, a.exportCmd, a.metricsCmd,
		a.runCmd, a.unitCmd, a.keeperCmd, a.restartCmd, a.restoreCmd, a.demoCmd, a.versionCmd, a.completionCmd,
		modesTopic, elbTopic, lacpTopic, watchesTopic, configTopic, settingsTopic,
	} {
		c.AddCommand(verb())
	}
	c.SetHelpCommand(a.helpCmd())
	return c
}

// resolveDirs sets the directories: flag, else environment, else default.
func (a *app) resolveDirs() error {
	for _, p := range []struct {
		dir           *string
		env, standard string
	}{
		{&a.dirs.RunDir, "NICTEAM_RUN_DIR", "/run/nicteam"},
		{&a.dirs.StateDir, "NICTEAM_STATE_DIR", "/var/lib/nicteam"},
		{&a.dirs.ConfigDir, "NICTEAM_CONFIG_DIR", "/etc/nicteam"},
	} {
		if *p.dir == "" {
			*p.dir = a.getenv(p.env)
		}
		if *p.dir == "" {
			*p.dir = p.standard
		}
		if !strings.HasPrefix(*p.dir, "/") { // the team's process has another working directory
			wd, err := os.Getwd()
			if err != nil {
				return &api.Problem{Kind: api.Failed, What: "find the working directory", Why: err.Error(),
					Fix: "use absolute paths", Err: err}
			}
			*p.dir = wd + "/" + *p.dir
		}
	}
	return nil
}

// verbs lists the commands and their aliases.
func verbs(root *cobra.Command) (list []string) {
	for _, c := range root.Commands() {
		list = append(append(list, c.Name()), c.Aliases...)
	}
	return list
}

func unknownVerb(cmd *cobra.Command, word string) error {
	return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("unknown command %q", word),
		Why: "it is not a command" + nearest.Hint(word, verbs(cmd.Root())), Fix: "nicteam help lists the commands"}
}

// welcome shows the NICs of a host without teams and a create command for them.
func (a *app) welcome() error {
	l, err := launch.List(a.interruptible(), a.dirs)
	if err != nil {
		return err
	}
	if a.json {
		return a.document(l)
	}
	a.say("No team runs on this host. Its NICs:\n")
	a.showNICs(l.NICs)
	a.say("\nMake one:\n\n  nicteam create team0 %s\n\nMore: nicteam help", strings.Join(proposal(l.NICs), " "))
	return nil
}

// proposal returns at most two NICs to make a team of: hardware or, without any, veths (as in a container). NICs with
// a link come first.
func proposal(nics []api.ListedNIC) []string {
	rank := func(n api.ListedNIC) int {
		switch {
		case n.Owner != "" || len(n.Uppers) > 0:
			return 0
		case n.Kind == "device" || n.Kind == "":
			return 2
		case n.Kind == "veth":
			return 1
		}
		return 0 // bridges, the TAPs of virtual machines, VLANs, ifbs, …
	}
	best := 0
	for _, n := range nics {
		best = max(best, rank(n))
	}
	var linked, others []string
	for _, n := range nics {
		switch {
		case best == 0 || rank(n) != best:
		case n.Link:
			linked = append(linked, n.Name)
		default:
			others = append(others, n.Name)
		}
	}
	names := append(linked, others...)
	if len(names) == 0 {
		return []string{"NIC", "NIC"}
	}
	return names[:min(2, len(names))]
}
