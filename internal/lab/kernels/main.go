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
	"runtime"
	"strings"
	"syscall"
	"time"

	"nicteam/internal/lab/vm"
)

func main() {
	if os.Getpid() == 1 {
		vm.Guest(setUpVirtio)
	}
	// QEMU dies with the thread that starts it (Pdeathsig): keep this one.
	runtime.LockOSThread()
	o, err := parse(os.Args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err == nil:
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	cache                   string
	kernel, modules         string
	apt                     []string
	packages                *regexp.Regexp
	run                     string
	limit                   time.Duration
	quick, verbose, listing bool
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.StringVar(&o.cache, "cache", "bin/kernels", "where fetched kernels are kept")
	f.StringVar(&o.kernel, "kernel", "", "a kernel image, or a Debian kernel package in a file; empty: fetch one")
	f.StringVar(&o.modules, "modules", "", "the modules of the kernel image, as in /lib/modules/RELEASE")
	apt := f.String("package", "linux-image-amd64,linux-image-6.12-amd64",
		"the packages to fetch, separated by commas, each for a machine of its own")
	packages := f.String("packages", "", "run the packages that match this regular expression")
	f.StringVar(&o.run, "run", "", "run the tests that match this regular expression instead of those of the table")
	f.DurationVar(&o.limit, "limit", 25*time.Minute, "switch the machine off after this time")
	f.BoolVar(&o.quick, "quick", false, "some tests of each kind")
	f.BoolVar(&o.verbose, "v", false, "show what the kernel wrote")
	f.BoolVar(&o.listing, "list", false, "say what is left out and why, and stop")
	if err := f.Parse(args[1:]); err != nil {
		return o, flagError(err)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	o.apt = strings.Split(*apt, ",")
	if o.kernel != "" {
		o.apt = []string{""}
	}
	if _, err := regexp.Compile(o.run); err != nil {
		return o, fmt.Errorf("-run: %w", err)
	}
	var err error
	if o.packages, err = regexp.Compile(*packages); err != nil {
		return o, fmt.Errorf("-packages: %w", err)
	}
	if o.listing {
		list()
		return o, flag.ErrHelp
	}
	return o, nil
}

// flagError makes a refused flag end with code 1, and a request for help with 0.
func flagError(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return err
	}
	return fmt.Errorf("arguments: %w", err)
}

func list() {
	for _, s := range suites {
		fmt.Println(s.Package)
		for _, l := range s.Skip {
			for _, t := range l.Tests {
				on := ""
				if l.Below != "" {
					on = " before Linux " + l.Below
				}
				fmt.Printf("  without %s%s: %s\n", t, on, l.Why)
			}
		}
	}
}

func run(ctx context.Context, o options) error {
	var chosen []suite
	var packages []string
	for _, s := range suites {
		if o.packages.MatchString(s.Package) {
			chosen, packages = append(chosen, s), append(packages, s.Package)
		}
	}
	if len(chosen) == 0 {
		return errors.New("-packages matches none")
	}
	var errs []error
	for _, name := range o.apt {
		k, err := vm.FetchKernel(o.kernel, o.modules, name, o.cache)
		if err == nil {
			err = runOn(ctx, o, k, chosen, packages)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// runOn runs the tests on one kernel.
func runOn(ctx context.Context, o options, k vm.Kernel, chosen []suite, packages []string) error {
	dir, err := os.MkdirTemp("", "nicteam-kernels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	image, err := makeImage(o, k, chosen, dir)
	if err != nil {
		return err
	}

	began, r, console := time.Now(), &reader{out: os.Stdout}, filepath.Join(dir, "console")
	err = vm.Machine{Kernel: k, Image: image, Console: console, Limit: o.limit, Devices: virtioNICs(),
		CPU: []string{"-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2"}}.Run(ctx, r.read)
	text, alarm := vm.ReadConsole(console)
	verdict := r.verdict(packages)
	if alarm || o.verbose || err != nil || r.kernel == "" {
		fmt.Printf("the kernel wrote:\n%s\n", text)
	}
	left := 0
	for _, s := range chosen {
		left += len(s.skippedOn(k.Release))
	}
	fmt.Printf("%d tests passed, %d failed, %d skipped, %d left out, on %s, in %v\n",
		r.passed, r.failed, len(r.skipped), left, k.Release, time.Since(began).Round(time.Second))
	if alarm && err == nil && verdict == nil {
		verdict = errors.New("the kernel complained of itself")
	}
	if err = errors.Join(err, verdict); err != nil {
		return fmt.Errorf("on %s: %w", k.Release, err)
	}
	return nil
}

// makeImage builds what runs in the guest, packs it and returns the file.
func makeImage(o options, k vm.Kernel, chosen []suite, dir string) (string, error) {
	fmt.Printf("build the tests of %d packages for %s\n", len(chosen), k.Release)
	tests, root := filepath.Join(dir, "tests"), filepath.Join(dir, "root")
	for _, d := range []string{tests, root} {
		if err := os.Mkdir(d, 0o755); err != nil {
			return "", err
		}
	}
	if err := compile(chosen, tests); err != nil {
		return "", err
	}
	for _, s := range chosen {
		have, err := listTests(filepath.Join(tests, s.name()+".test"))
		if err != nil {
			return "", err
		}
		unmentioned, err := s.check(have)
		if err != nil {
			return "", err
		}
		for _, t := range unmentioned {
			fmt.Printf("not run, for the table of %s does not mention it: %s\n", s.Package, t)
		}
	}
	modules, err := vm.FindModules(k, wantedModules)
	if err != nil {
		return "", err
	}
	c := content{Kernel: k, Modules: modules, Suites: chosen, Tests: tests, Quick: o.quick, Run: o.run}
	if err := c.build(root); err != nil {
		return "", err
	}
	file := filepath.Join(dir, "image")
	if err := vm.Pack(root, file); err != nil {
		return "", err
	}
	if info, err := os.Stat(file); err == nil {
		fmt.Printf("boot %s with %d modules in an image of %d MB\n", k.Release, len(modules.Files), info.Size()>>20)
	}
	return file, nil
}
