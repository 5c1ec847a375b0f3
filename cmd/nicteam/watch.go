// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/launch"
	"nicteam/internal/tui"
)

// watchFlags are the flags of watch.
type watchFlags struct {
	plain, once bool
	count       int
	interval    time.Duration
	words       tui.ViewFlags
}

func (a *app) watchCmd() *cobra.Command {
	var w watchFlags
	c := &cobra.Command{
		Use:   "watch [TEAM[/NIC]]",
		Short: "Show the traffic of a team live",
		Long: `Shows the traffic of a team or of one NIC as a live graph: in above the axis, out below it, and
events of the NICs as marks. ? lists the keys.

If stdout is not a terminal, or with --once, the graph is printed once as text. --plain, --count and
--interval print one line per interval, --plain events as well; --json prints one document
(nicteam.rates/v1) per interval.`,
		Example: `  nicteam watch
  nicteam watch team0/eth1 --unit packets --last 10m
  nicteam watch team0 --once > ticket.txt
  nicteam watch team0 --json --count 10`,
		Args: args(0, 1),
		RunE: func(cmd *cobra.Command, given []string) error {
			o, err := w.options(a)
			if err != nil {
				return err
			}
			nic := ""
			if len(given) == 1 {
				given[0], nic, _ = strings.Cut(given[0], "/")
			}
			name, err := a.oneTeam("watch", given)
			if err != nil {
				return err
			}
			if nic != "" {
				nic = launch.RealNames()(nic)
			}
			o.Team, o.NIC = name, nic
			inLines := a.json || cmd.Flags().Changed("count") || cmd.Flags().Changed("interval")
			switch {
			case inLines || w.plain && !w.once:
				if w.once {
					w.count = 1
				}
				return a.watch(name, nic, w.interval, w.count, w.plain && !a.json)
			case w.plain:
				return a.watchOnce(o, tui.Plain)
			case w.once || !terminal(a.out) || !terminal(os.Stdin):
				return a.watchOnce(o, tui.Once)
			case !a.interactive():
				return a.watch(name, nic, w.interval, 0, true)
			}
			return a.watchLive(o)
		},
	}
	f := c.Flags()
	f.BoolVar(&w.plain, "plain", false, "print sentences, for screen readers and logs")
	f.BoolVar(&w.once, "once", false, "print the graph once, as text")
	f.IntVar(&w.count, "count", 0, "exit after this many intervals")
	f.DurationVar(&w.interval, "interval", time.Second, "length of an interval of --plain and --json")
	std := standardWords()
	f.DurationVar(&w.words.Last, "last", std.Last, "the period to show, 10s to 24h")
	f.Var(oneOf(&w.words.Glyphs, "", tui.FlagWords("glyphs")), "glyphs",
		"draw with braille, block or ascii (what the terminal can)")
	f.Var(oneOf(&w.words.Unit, std.Unit, tui.FlagWords("unit")), "unit",
		"auto, packets, kbit, mbit or gbit")
	f.Var(oneOf(&w.words.View, std.View, tui.FlagWords("view")), "view",
		"nic, protocol or total")
	f.Var(oneOf(&w.words.Scale, std.Scale, tui.FlagWords("scale")), "scale",
		"fit, link, log, or a value such as 500M")
	return c
}

func standardWords() tui.ViewFlags {
	return tui.ViewFlags{Unit: "auto", View: "nic", Scale: "fit", Last: 2 * time.Minute}
}

// options checks the flags and fills in terminal and locale from the environment.
func (w *watchFlags) options(a *app) (o tui.Options, err error) {
	if w.count < 0 {
		return o, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("--count: %d is out of range", w.count),
			Why: "want 0 or more", Fix: "leave it out to run until interrupted"}
	}
	w.words.Term = a.getenv("TERM")
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if w.words.Locale == "" {
			w.words.Locale = a.getenv(name)
		}
	}
	o.Dir = "."
	o.Draw, err = w.words.Options()
	return o, err
}

// terminal reports whether a stream is a terminal.
func terminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// interactive reports whether stdin and stdout can show a full-screen view and read keys.
func (a *app) interactive() bool {
	term := a.getenv("TERM")
	return terminal(a.out) && terminal(os.Stdin) && term != "" && term != "dumb" && !a.json
}

// size returns the size of the terminal, 80 × 24 without one.
func size(out io.Writer) (width, height int) {
	if f, ok := out.(*os.File); ok {
		if ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err == nil && ws.Col > 0 && ws.Row > 0 {
			return int(ws.Col), int(ws.Row)
		}
	}
	return 80, 24
}

// watchLive shows the live view until the user quits.
func (a *app) watchLive(o tui.Options) error {
	ctx := a.interruptible()
	a.stream = true
	c := a.client(o.Team)
	defer c.Close()
	t := newLiveTeam(a, c)
	o.NICs = t.choices
	if os.Geteuid() != 0 {
		o.ReadOnly = "only root changes a team: sudo nicteam watch " + o.Team
	}
	return a.showLive(ctx, t, o)
}

func (a *app) showLive(ctx context.Context, c tui.Source, o tui.Options) error {
	o.Draw.Width, o.Draw.Height = size(a.out)
	err := tui.Run(ctx, c, o, tui.Terminal{In: os.Stdin, Out: a.out, Env: a.env})
	if errors.Is(err, tui.ErrInterrupted) {
		return exitCode(api.Interrupted)
	}
	return err
}

// watchOnce prints what the live view would show.
func (a *app) watchOnce(o tui.Options, text func(context.Context, tui.Source, tui.Options) (string, error)) error {
	c := a.client(o.Team)
	defer c.Close()
	o.Draw.Width, o.Draw.Height = size(a.out)
	s, err := text(a.interruptible(), c, o)
	if err != nil {
		return err
	}
	_, err = io.WriteString(a.out, s)
	return err
}
