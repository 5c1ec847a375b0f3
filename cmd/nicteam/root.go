// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
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
	f.BoolVarP(&a.yes, "yes", "y", false, "accept filters that stop applying, and wait for no confirmation")
	for _, verb := range []func() *cobra.Command{
		a.createCmd, a.addCmd, a.removeCmd, a.deleteCmd, a.setCmd, a.applyCmd, a.editCmd, a.importCmd, a.confirmCmd,
		a.revertCmd, a.statusCmd, a.listCmd, a.watchCmd, a.eventsCmd, a.explainCmd, a.peersCmd, a.exportCmd,
		a.metricsCmd, a.runCmd, a.unitCmd, a.keeperCmd, a.restartCmd, a.restoreCmd, a.demoCmd, a.versionCmd,
		a.completionCmd, a.manCmd, modesTopic, elbTopic, lacpTopic, watchesTopic, configTopic, settingsTopic,
	} {
		c.AddCommand(verb())
	}
	c.SetHelpCommand(a.helpCmd())
	c.InitDefaultHelpCmd() // adds it
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
	for _, w := range l.Warnings {
		a.warn(w)
	}
	a.showWelcome(l.NICs)
	return nil
}

// showWelcome shows the physical NICs and a create command for those that are free. On a host without any, as in a
// container, it shows the links that software made, and leaves the choice to the user.
func (a *app) showWelcome(nics []api.ListedNIC) {
	physical, virtual := split(nics)
	switch names := proposal(physical); {
	case len(nics) == 0:
		a.say("No team runs on this host, and it has no Ethernet NIC.")
	case len(physical) == 0:
		a.say("No team runs on this host. It has no physical NIC, but %s:\n", kinds(virtual))
		a.showNICs(virtual)
		a.say("\nA team can be made of these, too. Choose them from a list:\n\n  nicteam create\n\n" +
			"or name them: nicteam create team0 NIC NIC")
	default:
		a.say("No team runs on this host. Its NICs:\n")
		a.showNICs(physical)
		if len(virtual) > 0 {
			a.say("and %s: nicteam list", kinds(virtual))
		}
		if len(names) == 0 {
			a.say("\nNone of them is free. The list says why: nicteam create")
			break
		}
		a.say("\nMake one:\n\n  nicteam create team0 %s\n\nor choose from a list: nicteam create",
			strings.Join(names, " "))
	}
	a.say("\nMore: nicteam help")
}

// split separates hardware from the links that software made.
func split(nics []api.ListedNIC) (physical, virtual []api.ListedNIC) {
	for _, n := range nics {
		if n.Physical() {
			physical = append(physical, n)
		} else {
			virtual = append(virtual, n)
		}
	}
	return physical, virtual
}

// kinds counts links by kind: "2 veth and 1 bridge".
func kinds(nics []api.ListedNIC) string {
	count := map[string]int{}
	for _, n := range nics {
		count[n.Kind]++
	}
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		list = append(list, fmt.Sprintf("%d %s", count[kind], kind))
	}
	if n := len(list); n > 1 {
		list = append(list[:n-2], list[n-2]+" and "+list[n-1])
	}
	return strings.Join(list, ", ")
}

// proposal returns at most two free NICs to make a team of. Those with a link come first.
func proposal(physical []api.ListedNIC) []string {
	var linked, others []string
	for _, n := range physical {
		switch {
		case n.Owner != "" || len(n.Uppers) > 0:
		case n.Link:
			linked = append(linked, n.Name)
		default:
			others = append(others, n.Name)
		}
	}
	names := append(linked, others...)
	return names[:min(2, len(names))]
}
