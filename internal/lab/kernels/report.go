// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"nicteam/internal/lab/vm"
)

// A reader reads the guest's report and prints a line for each test, and the output of those that failed.
type reader struct {
	out io.Writer

	kernel, modules string
	done            bool
	trouble         []string
	ended           []vm.Event
	passed, failed  int
	skipped         []string
	held            []string // output of the running test
	empty           bool     // the package has run no test so far
}

// read reads until the report ends.
func (r *reader) read(from io.Reader) error {
	s := bufio.NewScanner(from)
	s.Buffer(nil, 4<<20)
	for s.Scan() {
		line := strings.TrimSuffix(s.Text(), "\r")
		e, ok, err := vm.ParseEvent(line)
		if err != nil {
			return err
		}
		if ok {
			r.readEvent(e)
			continue
		}
		r.readLine(line)
	}
	return s.Err()
}

func (r *reader) readEvent(e vm.Event) {
	switch e.Kind {
	case vm.KernelIs:
		r.kernel = e.Text
		fmt.Fprintf(r.out, "kernel %s\n", e.Text)
	case vm.Begin:
		r.held, r.empty = nil, true
		fmt.Fprintf(r.out, "%s\n", e.Text)
	case vm.End:
		if e.Code != 0 {
			// The output of a test that did not end: it panicked or was killed.
			r.dump()
			fmt.Fprintf(r.out, "FAIL\tnicteam/%s\t%.1fs\t%s\n", e.Package, e.Seconds, e.Text)
		} else if r.empty {
			e.Code, e.Text = 1, "no test ran"
			fmt.Fprintf(r.out, "FAIL\tnicteam/%s\t%s\n", e.Package, e.Text)
		} else {
			fmt.Fprintf(r.out, "ok  \tnicteam/%s\t%.1fs\n", e.Package, e.Seconds)
		}
		r.ended, r.held = append(r.ended, e), nil
	case vm.Modules:
		r.modules = e.Text
	case vm.Trouble:
		r.trouble = append(r.trouble, e.Text)
		fmt.Fprintf(r.out, "the guest: %s\n", e.Text)
	case vm.Done:
		r.done = true
	}
}

// readLine takes in a line of a test binary with -test.v. The results of a test's parts follow its own.
func (r *reader) readLine(l string) {
	result := strings.TrimLeft(l, " ")
	if !strings.HasPrefix(result, "--- ") {
		switch {
		case strings.HasPrefix(l, "=== RUN") && !strings.Contains(l, "/"):
			r.held = nil
		case strings.HasPrefix(l, "=== PAUSE"), strings.HasPrefix(l, "=== CONT"), l == "PASS", l == "FAIL":
		case l != "":
			r.held = append(r.held, l)
		}
		return
	}
	whole := result == l
	if whole {
		r.empty = false
	}
	switch {
	case strings.HasPrefix(result, "--- FAIL: "):
		if whole {
			r.failed++
			r.dump()
		}
		fmt.Fprintln(r.out, l)
	case strings.HasPrefix(result, "--- PASS: "):
		if whole {
			r.passed++
			r.held = nil
			fmt.Fprintln(r.out, l)
		}
	case strings.HasPrefix(result, "--- SKIP: "):
		name, _, _ := strings.Cut(strings.TrimPrefix(result, "--- SKIP: "), " ")
		r.skipped = append(r.skipped, name)
		why := ""
		if whole {
			why = r.reason()
			r.held = nil
		}
		fmt.Fprintln(r.out, strings.TrimRight(l+" "+why, " "))
	default:
		r.held = append(r.held, l)
	}
}

// reason returns a test's output in one line.
func (r *reader) reason() string {
	var words []string
	for _, l := range r.held {
		if !strings.HasPrefix(l, "===") {
			words = append(words, strings.TrimSpace(l))
		}
	}
	return strings.Join(words, " ")
}

func (r *reader) dump() {
	for _, l := range r.held {
		fmt.Fprintln(r.out, l)
	}
	r.held = nil
}

// verdict returns an error unless every suite ended and no test failed.
func (r *reader) verdict(packages []string) error {
	if len(r.trouble) > 0 {
		return fmt.Errorf("the guest could not go on: %s", strings.Join(r.trouble, "; "))
	}
	var bad []string
	for _, p := range packages {
		end := vm.Event{Code: 1}
		for _, e := range r.ended {
			if e.Package == p {
				end = e
			}
		}
		if end.Code != 0 {
			bad = append(bad, p)
		}
	}
	switch {
	case r.kernel == "":
		return fmt.Errorf("the kernel did not come to run the tests")
	case !r.done:
		return fmt.Errorf("the guest ended before its tests did")
	case len(bad) > 0 || r.failed > 0:
		return fmt.Errorf("failed on %s: %s", r.release(), strings.Join(bad, ", "))
	}
	return nil
}

func (r *reader) release() string {
	release, _, _ := strings.Cut(r.kernel, " ")
	return release
}
