// SPDX-License-Identifier: MIT

package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nicteam/internal/api"
	"nicteam/internal/config"
	"nicteam/internal/launch"
	"nicteam/internal/settings"
	"nicteam/internal/tui"
)

// chooseMembers has the user choose the NICs of a new team from a list on the terminal, and shows the plan of each
// choice; load gets the team and the NICs whose plan was accepted. Nothing is changed before that.
func (a *app) chooseMembers(cmd *cobra.Command, load *config.Options, o launch.CreateOptions,
	foreground bool) (err error) {
	if load.Team == "" {
		if load.Team, err = launch.FreeName(a.dirs); err != nil {
			return err
		}
	}
	if err := launch.CanCreate(a.dirs, load.Team); err != nil {
		return err
	}
	use := changesHost
	if foreground {
		use = runsTeam
	}
	ctx := a.listen(use)
	read := func(ctx context.Context) ([]tui.Choice, error) {
		list, err := launch.Candidates(ctx, a.dirs, load.Team, o.Force)
		return choices(list), err
	}
	nics, err := read(ctx)
	if err != nil {
		return err
	}
	// A wrong name or flag is an error before anything is chosen. Flags that name a NIC are right if it can be chosen.
	if first := *load; allMembers(&first, nics) {
		if _, err := config.Load(first); err != nil {
			return err
		}
	}
	p := tui.PickOptions{Team: load.Team, Choices: nics, Reread: read}
	if !o.DryRun { // else the plan is what follows anyway
		p.Plan = func(ctx context.Context, names []string) ([]string, error) { return a.plan(ctx, *load, o, names) }
	}
	view, err := (&watchFlags{words: standardWords()}).options(a)
	if err != nil {
		return err
	}
	p.Screen = view.Draw
	p.Screen.Width, p.Screen.Height = size(a.out)
	load.Members, err = tui.Pick(ctx, p, tui.Terminal{In: os.Stdin, Out: a.out, Env: a.env})
	switch {
	case errors.Is(err, tui.ErrLeft), errors.Is(err, tui.ErrInterrupted):
		a.say("nothing is changed")
		return exitCode(api.Interrupted)
	case err != nil:
		return err
	}
	typed := slices.Concat([]string{load.Team}, load.Members, givenFlags(cmd))
	a.say("nicteam create %s", strings.Join(typed, " "))
	return nil
}

// givenFlags are the flags of a command line as they could be typed again.
func givenFlags(cmd *cobra.Command) (list []string) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		text := "--" + f.Name
		switch value := f.Value.String(); {
		case f.Value.Type() == "bool" && value == "true":
		case strings.ContainsFunc(value, func(r rune) bool { return !isPlain(r) }) || value == "":
			text += "='" + strings.ReplaceAll(value, "'", `'\''`) + "'"
		default:
			text += "=" + value
		}
		list = append(list, text)
	})
	return list
}

// isPlain reports whether a shell takes a character for itself wherever it is.
func isPlain(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,+@%=", r)
}

// plan is what a create with these NICs would do, warnings first.
func (a *app) plan(ctx context.Context, load config.Options, o launch.CreateOptions, names []string) ([]string, error) {
	load.Members = names
	l, err := config.Load(load)
	if err != nil {
		return nil, err
	}
	o.Config, o.Dirs, o.Notes, o.Accept, o.DryRun = l.Config, a.dirs, l.Notes, a.yes, true
	done, err := launch.Create(ctx, o)
	if done == nil || done.Plan == nil { // else what it would do is known, also of what is refused
		return nil, err
	}
	var lines []string
	for _, w := range done.Warnings {
		lines = append(lines, "warning: "+w)
	}
	detail := planFull
	if a.verbose {
		detail = planCommands
	}
	return append(lines, planLines(done.Plan, detail)...), err
}

// allMembers makes all NICs that can be chosen members, and reports whether there are some, and not too many for a
// team.
func allMembers(load *config.Options, nics []tui.Choice) bool {
	load.Members = nil
	for _, c := range nics {
		if c.Why == "" {
			load.Members = append(load.Members, c.Name)
		}
	}
	return len(load.Members) > 0 && len(load.Members) <= settings.MaxMembers
}

// choices are NICs for the list on the terminal.
func choices(list []launch.Candidate) []tui.Choice {
	if list == nil {
		return nil
	}
	out := make([]tui.Choice, len(list))
	for i, c := range list {
		out[i] = tui.Choice{ListedNIC: c.ListedNIC, Manager: c.Manager, SSH: c.Session}
		if p := c.Problem; p != nil {
			out[i].Why, out[i].Fix = cmp.Or(p.Why, p.What), p.Fix
		}
	}
	return out
}
