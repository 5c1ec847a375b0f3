// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A suite are the tests of one package that run in the guest.
type suite struct {
	Package string // below the module
	// Only are the tests that run; empty: all that are not skipped.
	Only []string
	// Skip are the tests that do not run. Together with Only, if that is not empty, it names every test. A name may go
	// on with a pattern of parts: TestDeathAnywhere/nft.
	Skip []skipped
	// Quick are the tests that run with -quick; empty: the same ones.
	Quick   []string
	Timeout time.Duration
}

// skipped is why tests do not run in the guest.
type skipped struct {
	Why   string
	Below string // only on kernels older than this one, such as 6.2; empty: on all
	Tests []string
}

// name is the package's last word, which is also its test binary's.
func (s suite) name() string { return path.Base(s.Package) }

// arguments are those of the test binary on a kernel of that release. run overrides the table.
func (s suite) arguments(release string, quick bool, run string) []string {
	args := []string{"-test.v", "-test.timeout=" + s.Timeout.String()}
	if run != "" {
		return append(args, "-test.run="+run)
	}
	only := s.Only
	if quick && len(s.Quick) > 0 {
		only = s.Quick
	}
	if len(only) > 0 {
		args = append(args, "-test.run="+exactPattern(only))
	}
	if skip := s.skippedOn(release); len(skip) > 0 {
		args = append(args, "-test.skip="+exactPattern(skip))
	}
	return args
}

// exactPattern returns a pattern that matches exactly these tests, or parts of them.
func exactPattern(tests []string) string {
	var all []string
	for _, t := range tests {
		test, parts, whole := strings.Cut(t, "/")
		p := "^" + test + "$"
		if whole {
			p += "/" + parts
		}
		all = append(all, p)
	}
	return strings.Join(all, "|")
}

// skippedOn are the tests that do not run on a kernel of that release.
func (s suite) skippedOn(release string) []string {
	var all []string
	for _, l := range s.Skip {
		if l.Below == "" || older(release, l.Below) {
			all = append(all, l.Tests...)
		}
	}
	return all
}

// older compares the first two numbers of releases.
func older(release, than string) bool {
	var a, b [2]int
	fmt.Sscanf(release, "%d.%d", &a[0], &a[1])
	fmt.Sscanf(than, "%d.%d", &b[0], &b[1])
	return slices.Compare(a[:], b[:]) < 0
}

// check compares the table with the tests of a test binary. A test of the table that does not exist is an error. It
// returns the tests that the table does not mention, if it has Only.
func (s suite) check(have []string) (unmentioned []string, err error) {
	var named []string
	for _, l := range s.Skip {
		for _, t := range l.Tests {
			test, _, _ := strings.Cut(t, "/")
			named = append(named, test)
		}
	}
	for _, t := range slices.Concat(s.Only, s.Quick, named) {
		if !slices.Contains(have, t) {
			return nil, fmt.Errorf("table of %s: there is no %s", s.Package, t)
		}
	}
	for _, t := range have {
		if len(s.Only) > 0 && !slices.Contains(s.Only, t) && !slices.Contains(named, t) {
			unmentioned = append(unmentioned, t)
		}
	}
	return unmentioned, nil
}

var testName = regexp.MustCompile(`^Test\w*$`)

// listTests returns the tests of a test binary.
func listTests(binary string) ([]string, error) {
	out, err := exec.Command(binary, "-test.list", "^Test").Output()
	if err != nil {
		return nil, fmt.Errorf("list tests of %s: %w", binary, err)
	}
	var tests []string
	for l := range strings.Lines(string(out)) {
		if l = strings.TrimSpace(l); testName.MatchString(l) {
			tests = append(tests, l)
		}
	}
	return tests, nil
}
