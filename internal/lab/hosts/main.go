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
	"slices"
	"strings"
	"syscall"

	"nicteam/internal/lab"
)

const usage = `usage: hosts images [-hosts LIST]            makes what is missing: kernel, images
       hosts run [-hosts LIST] [-scenarios LIST] runs scenarios; -o FILE writes the table
       hosts start HOST                         boots one and keeps it; then, elsewhere:
       hosts do HOST install [FILE]             installs a nicteam and the packaging
       hosts do HOST exec COMMAND               runs a command by the agent, without the network
       hosts do HOST login COMMAND              runs a command in a login session over the network
       hosts do HOST link NIC in|out            plugs a cable in, pulls it out
       hosts do HOST reboot | cut | stop          cut: the power, for a moment
flags come before HOST; hosts COMMAND -h prints them`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := parse(os.Args[2:])
	if err != nil {
		exit(err)
	}
	switch os.Args[1] {
	case "images":
		exit(o.store().prepare(ctx, o.chosen))
	case "do":
		exit(do(o))
	case "run", "start":
		// All processes and devices end with this one.
		code, done, err := lab.Isolate()
		if err != nil || done {
			exitWith(code, err)
		}
		if os.Args[1] == "start" {
			exit(start(ctx, o))
		}
		exit(run(ctx, o))
	default:
		fmt.Fprintln(os.Stderr, usage)
		os.Exit(2)
	}
}

func exit(err error) { exitWith(0, err) }

func exitWith(code int, err error) {
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// options are the flags.
type options struct {
	cache, binary, packaging, scratch, out string
	chosen                                 []recipe
	scenarios                              []string
	memory                                 int
	rest                                   []string
}

func (o options) store() store { return store{dir: o.cache} }

func parse(args []string) (options, error) {
	var o options
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "/var/cache"
	}
	f := flag.NewFlagSet("hosts", flag.ContinueOnError)
	f.StringVar(&o.cache, "cache", filepath.Join(cache, "nicteam", "hosts"), "where kernel and images are kept")
	f.StringVar(&o.binary, "binary", "bin/nicteam", "the nicteam to try")
	f.StringVar(&o.packaging, "packaging", "packaging", "what is installed with it")
	f.StringVar(&o.scratch, "scratch", "", "where a run's disks, logs and sockets are kept; empty: a new directory")
	f.StringVar(&o.out, "o", "", "where the table goes as Markdown")
	f.IntVar(&o.memory, "memory", 640, "MiB of a machine")
	hosts := f.String("hosts", "", "the machines, separated by commas; empty: all")
	scenarios := f.String("scenarios", "", "the scenarios, separated by commas; empty: all")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.rest = f.Args()
	if o.chosen, err = chooseRecipes(*hosts); err != nil {
		return o, err
	}
	if *scenarios != "" {
		o.scenarios = strings.Split(*scenarios, ",")
	}
	return o, nil
}

func chooseRecipes(list string) ([]recipe, error) {
	if list == "" {
		return recipes, nil
	}
	var chosen []recipe
	for name := range strings.SplitSeq(list, ",") {
		r, err := findRecipe(name)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, r)
	}
	return chosen, nil
}

func findRecipe(name string) (recipe, error) {
	i := slices.IndexFunc(recipes, func(r recipe) bool { return r.Name == name })
	if i < 0 {
		var names []string
		for _, r := range recipes {
			names = append(names, r.Name)
		}
		return recipe{}, fmt.Errorf("host %q: want one of %s", name, strings.Join(names, ", "))
	}
	return recipes[i], nil
}
