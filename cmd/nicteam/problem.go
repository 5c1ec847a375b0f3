// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nicteam/internal/api"
	"nicteam/internal/nearest"
)

// exitCode ends the command without another message.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// fail shows an error on stderr in three lines, or with --json as an object, and returns the exit code.
func (a *app) fail(err error) int {
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	p := a.problem(err)
	if p.Kind == api.Interrupted && a.stream {
		return int(api.Interrupted)
	}
	if a.json {
		b, _ := json.Marshal(p)
		_, _ = fmt.Fprintf(a.err, "%s\n", b)
	} else {
		_, _ = fmt.Fprintf(a.err, "error: %s\nwhy: %s\nfix: %s\n", oneLine(p.What), oneLine(p.Why), oneLine(p.Fix))
	}
	return int(p.Kind)
}

// problem turns any error into a problem with all its parts.
func (a *app) problem(err error) *api.Problem {
	var sig interrupted
	var p *api.Problem
	switch {
	case a.ctx != nil && errors.As(context.Cause(a.ctx), &sig) &&
		(errors.As(err, &sig) || errors.Is(err, context.Canceled)):
		return &api.Problem{Kind: api.Interrupted, What: "interrupted", Why: sig.Error() + " before it finished",
			Fix: "check the state: nicteam list"}
	case errors.As(err, &p):
		p = &api.Problem{Kind: p.Kind, What: p.What, Why: p.Why, Fix: p.Fix}
	default:
		p = &api.Problem{What: "nicteam", Why: err.Error()}
	}
	if p.Kind == 0 {
		p.Kind = api.Failed
	}
	if p.Why == "" {
		p.Why = "no reason given"
	}
	if p.Fix == "" {
		p.Fix = "run it again with -v for details"
	}
	return p
}

// oneLine removes line breaks, so that an error stays three lines.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// flagProblem turns pflag's error into a problem, with the nearest flag.
func flagProblem(cmd *cobra.Command, err error) error {
	p := &api.Problem{Kind: api.Usage, What: cmd.CommandPath() + ": " + err.Error(),
		Why: "the command line cannot be read", Fix: cmd.CommandPath() + " --help shows the flags"}
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) {
		name := unknown.GetSpecifiedName()
		p.What = fmt.Sprintf("%s: unknown flag %q", cmd.CommandPath(), dashed(name))
		p.Why = "there is no such flag"
		var list []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { list = append(list, f.Name) })
		cmd.InheritedFlags().VisitAll(func(f *pflag.Flag) { list = append(list, f.Name) })
		if near := nearest.Word(name, list); near != "" && len(name) > 1 {
			p.Why += `; did you mean "--` + near + `"?`
		}
	}
	return p
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
