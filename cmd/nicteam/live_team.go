// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"io"

	"nicteam/internal/control"
	"nicteam/internal/launch"
	"nicteam/internal/tui"
)

// liveTeam is a team for the live view. What the verbs look at before and after they ask the team, the view does too.
type liveTeam struct {
	*control.Client
	a *app // writes nothing: the view has the screen
}

func newLiveTeam(a *app, c *control.Client) liveTeam {
	silent := *a
	silent.out, silent.err, silent.json = io.Discard, io.Discard, true
	return liveTeam{c, &silent}
}

// choices lists the NICs that could be added; nil if the team is in another network namespace.
func (t liveTeam) choices(ctx context.Context) ([]tui.Choice, error) {
	st, err := t.Status(ctx)
	if err != nil {
		return nil, err
	}
	list, err := launch.AddCandidates(ctx, t.a.dirs, st)
	return choices(list), err
}

// Add adds NICs as nicteam add does. Warnings follow the steps.
func (t liveTeam) Add(ctx context.Context, names []string, _ control.ChangeOptions) ([]string, error) {
	warnings, looked, err := t.a.bystanders(t.Client, names, control.ChangeOptions{Accept: t.a.yes})
	if err != nil {
		return nil, err
	}
	o, err := t.a.changeTeamOptions(t.Client, "", names...)
	if err != nil {
		return nil, err
	}
	o.Accept = looked || t.a.yes
	steps, err := t.Client.Add(ctx, names, o)
	return append(steps, warnings...), err
}

// Remove removes NICs as nicteam remove does.
func (t liveTeam) Remove(ctx context.Context, names []string, _ control.ChangeOptions) ([]string, error) {
	o, err := t.a.changeTeamOptions(t.Client, "")
	if err != nil {
		return nil, err
	}
	return t.Client.Remove(ctx, names, o)
}

// Confirm keeps a change as nicteam confirm does.
func (t liveTeam) Confirm(ctx context.Context) ([]string, error) {
	st, err := t.Status(ctx)
	if err != nil {
		return nil, err
	}
	return t.a.confirm(ctx, st.Team)
}
