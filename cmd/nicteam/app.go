// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/launch"
	"nicteam/internal/logs"
)

// app is one run of the command: its streams and global flags.
type app struct {
	out, err io.Writer
	env      []string

	dirs                 launch.Dirs
	json, quiet, verbose bool
	yes                  bool

	ctx       context.Context  // made by listen
	ignore    func()           // ends what listen began
	reopenLog <-chan os.Signal // made by listen
	stream    bool             // runs until the user ends it: an interrupt is not an error
}

// execute runs the command and returns its exit code.
func execute(args []string, out, errw io.Writer, env []string) int {
	a := &app{out: out, err: errw, env: env}
	root := a.root()
	for _, arg := range args { // so that errors in parsing flags are JSON too
		if arg == "--" {
			break
		}
		a.json = a.json || arg == "--json"
	}
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		a.complete(root)
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errw)
	err := root.Execute()
	if err == nil {
		return 0
	}
	return a.fail(err)
}

// log writes records of level and above to stderr; -v lowers it to Debug, -q raises it to Error.
func (a *app) log(level slog.Level) *slog.Logger {
	switch {
	case a.verbose:
		level = slog.LevelDebug
	case a.quiet:
		level = slog.LevelError
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level}))
}

// teamLog is the log of a team's process, with a limit on repeated lines.
func (a *app) teamLog() *slog.Logger { return slog.New(logs.Limit(a.log(slog.LevelInfo).Handler())) }

// getenv reads the command's environment.
func (a *app) getenv(name string) string {
	for i := len(a.env) - 1; i >= 0; i-- {
		if v, ok := strings.CutPrefix(a.env[i], name+"="); ok {
			return v
		}
	}
	return ""
}

// client returns a client of a team; the caller closes it.
func (a *app) client(name string) *control.Client {
	c := control.NewClient(a.dirs.RunDir, name)
	c.Supervised = func() bool { return launch.HasKeeper(a.dirs, name) }
	c.Waits = func() bool { return a.dirs.Pending(name) != nil }
	if a.verbose {
		c.Log = a.log(slog.LevelDebug)
	}
	return c
}

// teams returns the team that is named, else all running teams.
func (a *app) teams(named []string) ([]string, error) {
	if len(named) > 0 {
		return named, nil
	}
	return control.Running(a.dirs.RunDir)
}

// oneTeam returns the team that is named, else the only running team; what begins the error's text.
func (a *app) oneTeam(what string, named []string) (string, error) {
	names, err := a.teams(named)
	if err != nil {
		return "", err
	}
	switch len(names) {
	case 1:
		return names[0], nil
	case 0:
		return "", &api.Problem{Kind: api.NotFound, What: what + ": no team", Why: "none runs on this host",
			Fix: "create one: nicteam create team0 NIC NIC"}
	}
	return "", &api.Problem{Kind: api.Usage, What: what + ": which team?",
		Why: "these run: " + strings.Join(names, ", "), Fix: "name one of them"}
}

// showSteps prints the steps of a change.
func (a *app) showSteps(name string, steps []string) error {
	if a.json {
		return a.document(api.NewResult(name, steps))
	}
	for _, s := range steps {
		a.say("%s", s)
	}
	return nil
}

// say prints a line, unless -q is given.
func (a *app) say(format string, args ...any) {
	if !a.quiet {
		_, _ = fmt.Fprintf(a.out, format+"\n", args...)
	}
}

// args refuses fewer than low and more than high arguments; high < 0 is without bound.
func args(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, given []string) error {
		fix := "usage: " + cmd.UseLine()
		switch {
		case len(given) < low:
			return &api.Problem{Kind: api.Usage, What: cmd.Name() + " needs " + needs(cmd, low),
				Why: fmt.Sprintf("want %d or more arguments, got %d", low, len(given)), Fix: fix}
		case high >= 0 && len(given) > high:
			return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%s: unexpected argument %q", cmd.Name(),
				given[high]), Why: fmt.Sprintf("want %d at most, got %d", high, len(given)), Fix: fix}
		}
		return nil
	}
}

// needs names the first arguments of a command: "a team name and at least one NIC".
func needs(cmd *cobra.Command, n int) string {
	var list []string
	for _, word := range strings.Fields(cmd.Use)[1:][:n] {
		switch word {
		case "TEAM", "TEAM[/NIC]":
			list = append(list, "a team name")
		case "NIC", "NIC...":
			list = append(list, "at least one NIC")
		default:
			list = append(list, "a "+strings.ToLower(word))
		}
	}
	return strings.Join(list, " and ")
}

// warn prints a warning to stderr; with --json warnings are in the document.
func (a *app) warn(text string) {
	if !a.json && !a.quiet {
		_, _ = fmt.Fprintf(a.err, "warning: %s\n", text)
	}
}
