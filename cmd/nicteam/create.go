// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/control"
	"nicteam/internal/daemon"
	"nicteam/internal/launch"
	"nicteam/internal/settings"
)

func (a *app) createCmd() *cobra.Command {
	var file string
	var foreground bool
	var o launch.CreateOptions
	var confirm *string
	c := &cobra.Command{
		Use:     "create TEAM NIC [NIC...]",
		Aliases: []string{"bond"},
		Short:   "Make a team of NICs",
		Long: `Makes a team: a new adapter called TEAM takes over the addresses and routes of the
NICs, and the NICs carry its frames. Returns when the team forwards. All input is checked
before the host is changed; if create fails, the host is put back. The default mode
balances both directions on any switch: nicteam help elb

Without NICs, on a terminal: lists those of the host to choose from (space chooses, Enter shows what
would change, Enter again makes the team, q leaves).

On a terminal it says first what it will do; --dry-run says it in full and changes nothing.
Warns about what stays bound to the NICs: sockets, multicast groups, DHCP clients.
Refuses if firewall rules or tc programs would stop applying, if VLANs or the like on a NIC, or
PPPoE, would lose their traffic, or if the journal of an earlier team cannot be read: mend that,
or accept it with --force.

The fast path (eBPF) moves the frames where the kernel can run it, otherwise the relay in
user space does; nicteam status shows which. --datapath fastpath fails instead of falling back.

Where systemd runs, the team is started as nicteam@TEAM.service, which is enabled: it is back
after a reboot. --no-persist makes a team that ends with the reboot.

` + confirmHelp + `

Flags override NICTEAM_ variables, variables override the file, and the file overrides
defaults: nicteam help config`,
		Example: `  nicteam create
  nicteam create team0 eth1 eth2
  nicteam create team0 eth1 eth2 --mode active-backup --primary eth1
  nicteam create team0 eth1 eth2 --mode round-robin --address 10.0.0.1/24 --gateway 10.0.0.254
  nicteam create team0 eth1 eth2 --mode 802.3ad --lacp-rate fast
  nicteam create team0 eth1 eth2 --confirm 2m
  nicteam create team0 eth1 eth2 --dry-run
  nicteam create team0 --config team0.yaml`,
		Args: func(cmd *cobra.Command, given []string) error {
			if file != "" || len(given) < 2 && a.interactive() && !a.quiet {
				return nil
			}
			return args(2, -1)(cmd, given)
		},
		RunE: func(cmd *cobra.Command, given []string) error {
			load := config.Options{Flags: givenSettings(cmd), Env: a.env, Path: file, New: true,
				RealName: launch.RealNames()}
			if len(given) > 0 {
				load.Team, load.Members = given[0], given[1:]
			}
			if _, err := control.ParseConfirm(*confirm); err != nil {
				return err
			}
			if file == "" && len(given) < 2 {
				if err := a.chooseMembers(cmd, &load, o, foreground); err != nil {
					return err
				}
			}
			l, err := config.Load(load)
			if err != nil {
				return err
			}
			force := o.Force
			if o.ChangeOptions, err = a.changeOptions(*confirm, l.Config.MemberNames()); err != nil {
				return err
			}
			o.Force = force
			return a.create(l, o, foreground)
		},
	}
	settingFlags(c)
	confirm = confirmFlag(c.Flags())
	c.Flags().StringVarP(&file, "config", "c", "", "settings `file`: YAML, TOML or JSON")
	c.Flags().BoolVar(&foreground, "foreground", false, "run the team in this process")
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "print the plan, change nothing; with -v also as ip commands")
	c.Flags().BoolVar(&o.Force, "force", false,
		"accept what would lose its traffic or stop applying; "+forceHelp)
	c.Flags().BoolVar(&o.NoPersist, "no-persist", false, "for this boot only: no TEAM.yaml, no systemd unit")
	return c
}

// create makes the team, shows its steps as they are done, and prints the document.
func (a *app) create(l *config.Loaded, o launch.CreateOptions, foreground bool) error {
	done, err := a.createTeam(l, o, foreground)
	if done == nil || !a.json {
		return err
	}
	return errors.Join(a.document(done), err)
}

// createTeam makes the team and shows its steps as they are done. Of a dry run it shows the plan.
func (a *app) createTeam(l *config.Loaded, o launch.CreateOptions, foreground bool) (done *api.Created, err error) {
	var ctx context.Context
	if foreground {
		ctx, o.Log = a.listen(runsTeam), a.teamLog()
		if o.Confirm > 0 && !o.DryRun {
			a.say("%s is reverted %v after it is made, unless in another session: nicteam confirm %s",
				"create "+l.Config.Team, o.Confirm, l.Config.Team)
		}
		o.Foreground = func(c settings.Config) error {
			ready, _ := launch.ReadyPipe(a.dirs, c.Team)
			return a.runTeam(daemon.Options{Config: c, Ready: ready, Log: o.Log, Strict: true,
				Change: o.ChangeOptions})
		}
	} else {
		ctx, o.Log = a.listen(changesHost), a.log(slog.LevelWarn)
	}
	o.Config, o.Dirs = l.Config, a.dirs
	o.Notes, o.Warn = l.Notes, a.warn
	o.Progress = func(step string) {
		if !a.json {
			a.say("%s", step)
		}
	}
	if terminal(a.out) && !a.json && !a.quiet {
		o.Plan = func(p *api.Plan) { a.showPlan(p, planHead) }
	}
	done, err = launch.Create(ctx, o)
	if done != nil && o.DryRun {
		if !a.json {
			err = errors.Join(a.showPlanned(done.Team, done.Plan), err)
		}
		return done, err
	}
	if err != nil {
		for _, note := range l.Ignored { // a misspelt setting may be the cause
			a.warn(note)
		}
		return nil, err
	}
	if done == nil {
		return nil, nil
	}
	if s := done.Status; s != nil && !a.json {
		a.say("%s is %s", s.Team, s.State)
	}
	if o.Confirm > 0 && !o.DryRun {
		steps, err := a.awaitConfirm(done.Team, "create "+done.Team)
		if err != nil {
			return nil, err
		}
		for _, s := range steps {
			o.Progress(s)
		}
		done.Steps = append(done.Steps, steps...)
	}
	return done, nil
}
