// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"nicteam/internal/lab/vm"
)

func main() {
	if os.Getpid() == 1 {
		vm.Guest(nil)
	}
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
	cache, out      string
	kernel, modules string
	apt             []string
	only, subjects  string
	boots, shift    int
	limit           time.Duration
	verbose         bool
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet(args[0], flag.ContinueOnError)
	f.StringVar(&o.cache, "cache", "bin/kernels", "where fetched kernels are kept")
	f.StringVar(&o.kernel, "kernel", "", "a kernel image, or a Debian kernel package in a file; empty: fetch one")
	f.StringVar(&o.modules, "modules", "", "the modules of the kernel image, as in /lib/modules/RELEASE")
	apt := f.String("package", "linux-image-amd64,linux-image-6.12-amd64",
		"the packages to fetch, separated by commas, each for machines of its own")
	f.StringVar(&o.only, "only", "", "take measures whose name matches this regular expression")
	f.StringVar(&o.subjects, "subjects", "",
		"take subjects whose name matches this regular expression, and the plain NIC")
	f.IntVar(&o.boots, "boots", 2, "boots of each kernel, each with other random numbers")
	f.IntVar(&o.shift, "shift", 0, "an instruction takes 2^SHIFT ns")
	f.DurationVar(&o.limit, "limit", time.Hour, "switch a machine off after this time")
	f.StringVar(&o.out, "o", "bench-count.json", "where the figures go as JSON; empty for nowhere")
	f.BoolVar(&o.verbose, "v", false, "show what the kernel wrote")
	list := f.Bool("list", false, "name the measures and subjects, and stop")
	if err := f.Parse(args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("arguments: %w", err)
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.boots < 1:
		return o, fmt.Errorf("-boots is %d, want at least 1", o.boots)
	case o.shift < 0 || o.shift > 10:
		return o, fmt.Errorf("-shift is %d, want 0 to 10", o.shift)
	}
	for name, re := range map[string]string{"-only": o.only, "-subjects": o.subjects} {
		if _, err := regexp.Compile(re); err != nil {
			return o, fmt.Errorf("%s: %w", name, err)
		}
	}
	o.apt = strings.Split(*apt, ",")
	if o.kernel != "" {
		o.apt = []string{""}
	}
	if *list {
		cmd := exec.Command("go", "run", benchPackage, "-count", "-list")
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return o, err
		}
		return o, flag.ErrHelp
	}
	return o, nil
}

func run(ctx context.Context, o options) error {
	r := report{Schema: "nicteam.bench-count/v1", Time: time.Now(), Instruction: 1 << o.shift}
	var errs []error
	for _, name := range o.apt {
		k, err := vm.FetchKernel(o.kernel, o.modules, name, o.cache)
		if err == nil {
			err = runOn(ctx, o, k, &r)
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	r.print(os.Stdout)
	if o.out != "" && len(r.Kernels) > 0 {
		errs = append(errs, r.save(o.out))
	}
	return errors.Join(errs...)
}

// runOn boots one kernel and adds its figures to the report.
func runOn(ctx context.Context, o options, k vm.Kernel, r *report) error {
	dir, err := os.MkdirTemp("", "nicteam-count-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	image, err := makeImage(o, k, dir)
	if err != nil {
		return err
	}
	boots, versions, errs := make([]document, o.boots), make([]string, o.boots), make([]error, o.boots)
	// At the same time: the clock of a machine knows nothing of the other.
	var all sync.WaitGroup
	room := make(chan struct{}, runtime.NumCPU())
	for i := range boots {
		room <- struct{}{}
		all.Go(func() {
			// QEMU dies with the thread that starts it (Pdeathsig).
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			boots[i], versions[i], errs[i] = bootOnce(ctx, o, k, image, dir, i+1)
			<-room
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("on %s: %w", k.Release, err)
	}
	r.Kernels = append(r.Kernels, compare(versions[0], boots, r.Instruction))
	return nil
}

// bootOnce returns the figures of a boot, and the kernel that ran.
func bootOnce(ctx context.Context, o options, k vm.Kernel, image, dir string, boot int) (document, string, error) {
	name := fmt.Sprintf("%s, boot %d", k.Release, boot)
	began, in := time.Now(), &reader{progress: os.Stderr, name: name}
	console := filepath.Join(dir, fmt.Sprintf("console-%d", boot))
	err := machine(o, k, image, console, boot).Run(ctx, in.read)
	if err == nil {
		err = in.verdict()
	}
	text, alarm := vm.ReadConsole(console)
	if alarm || o.verbose || err != nil && ctx.Err() == nil {
		fmt.Fprintf(os.Stderr, "the kernel wrote:\n%s\n", text)
	}
	if alarm && err == nil {
		err = errors.New("the kernel complained of itself")
	}
	if err != nil {
		return document{}, "", err
	}
	fmt.Fprintf(os.Stderr, "%s: took %v\n", name, time.Since(began).Round(time.Second))
	d, err := parseDocument(in.figures.String())
	return d, in.kernel, err
}
