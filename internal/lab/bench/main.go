// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"nicteam/internal/lab"
)

func main() {
	// First: a copy of this program may be a stage of isolation, or the witness.
	code, done, err := lab.Isolate()
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
	if done {
		os.Exit(code)
	}
	os.Exit(run(os.Args))
}

// options are the flags.
type options struct {
	binary, out string
	rounds      int
	turn        time.Duration
	only        *regexp.Regexp
	quick       bool
	counting    bool
	subject     *regexp.Regexp
	soak        time.Duration
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.StringVar(&o.binary, "binary", "bin/nicteam", "the nicteam to measure")
	f.StringVar(&o.out, "o", "bench.json", "where the figures go as JSON; empty for nowhere")
	f.IntVar(&o.rounds, "rounds", 5, "turns of each contestant")
	f.DurationVar(&o.turn, "turn", 2*time.Second, "how long a turn lasts")
	only := f.String("only", "", "run measures whose name matches this regular expression")
	f.BoolVar(&o.quick, "quick", false, "two rounds of one second and few repetitions: whether it works, not how well")
	f.DurationVar(&o.soak, "soak", 0, "how long watch-false-downs takes a data path; 0: not taken")
	f.BoolVar(&o.counting, "count", false, "take the measures of make bench-count, in its machine, and print no table")
	subject := f.String("subjects", "", "with -count: take subjects whose name matches this regular expression")
	list := f.Bool("list", false, "name the measures and stop")
	if err := f.Parse(args[1:]); err != nil {
		return o, err
	}
	var err error
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.rounds < 1:
		return o, fmt.Errorf("-rounds is %d, want at least 1", o.rounds)
	case o.turn < time.Second:
		return o, fmt.Errorf("-turn is %v, want at least 1s", o.turn)
	}
	if o.quick {
		o.rounds, o.turn = min(o.rounds, 2), time.Second
	}
	if o.only, err = regexp.Compile(*only); err != nil {
		return o, fmt.Errorf("-only: %w", err)
	}
	if o.subject, err = regexp.Compile(*subject); err != nil {
		return o, fmt.Errorf("-subjects: %w", err)
	}
	// Hosts' commands run in other working directories.
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return o, err
	}
	if *list {
		listed := groups
		if o.counting {
			listed = []group{countGroup}
		}
		for _, g := range listed {
			for _, name := range g.measures {
				fmt.Println(name)
			}
		}
		if o.counting {
			for _, s := range (&bench{options: o}).subjects() {
				fmt.Println(s.name)
			}
		}
		return o, flag.ErrHelp
	}
	if _, err := os.Stat(o.binary); err != nil {
		return o, fmt.Errorf("-binary: %w", err)
	}
	return o, nil
}

func run(args []string) int {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{options: o, report: newReport(ctx, o)}
	b.all(ctx)
	b.report.finish()
	if !o.counting {
		b.report.print(os.Stdout)
	}
	if o.out != "" {
		if err := b.report.save(o.out); err != nil {
			fmt.Fprintf(os.Stderr, "error: %v\n", err)
			return 1
		}
	}
	if ctx.Err() != nil {
		return 130
	}
	return 0
}
