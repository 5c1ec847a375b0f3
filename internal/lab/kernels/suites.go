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

// A suite is the tests of one package as they run in the guest.
type suite struct {
	Package string // below the module
	// Only are the tests that run; empty: every one that is not left out.
	Only []string
	// Left are the tests that do not run. Together with Only, if that is not empty, it names every test.
	Left    []left
	Timeout time.Duration
}

// left is why tests do not run in the guest.
type left struct {
	Why   string
	Below string // only on kernels older than this one, such as 6.2; empty: on all
	Tests []string
}

// name is the package's last word, which is also its test binary's.
func (s suite) name() string { return path.Base(s.Package) }

// arguments are those of the test binary on a kernel of that release.
func (s suite) arguments(release, run string) []string {
	args := []string{"-test.v", "-test.timeout=" + s.Timeout.String()}
	if run == "" && len(s.Only) > 0 {
		run = exactly(s.Only)
	}
	if run != "" {
		return append(args, "-test.run="+run)
	}
	if skip := s.leftOut(release); len(skip) > 0 {
		args = append(args, "-test.skip="+exactly(skip))
	}
	return args
}

func exactly(tests []string) string { return "^(" + strings.Join(tests, "|") + ")$" }

// leftOut are the tests that do not run on a kernel of that release.
func (s suite) leftOut(release string) []string {
	var all []string
	for _, l := range s.Left {
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

// check compares the table with the tests that a test binary has: none may be unknown, and none may be
// left out silently.
func (s suite) check(have []string) error {
	var named []string
	for _, l := range s.Left {
		named = append(named, l.Tests...)
	}
	for _, t := range slices.Concat(s.Only, named) {
		if !slices.Contains(have, t) {
			return fmt.Errorf("table of %s: there is no %s", s.Package, t)
		}
	}
	for _, t := range have {
		if len(s.Only) > 0 && !slices.Contains(s.Only, t) && !slices.Contains(named, t) {
			return fmt.Errorf("table of %s: %s neither runs nor is left out with a reason", s.Package, t)
		}
	}
	return nil
}

var testName = regexp.MustCompile(`^Test\w*$`)

// listTests asks a test binary for its tests.
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

// suites is the table.
var suites = []suite{
	{Package: "internal/tap", Timeout: 5 * time.Minute},
	{Package: "internal/nic", Timeout: 5 * time.Minute},
	{Package: "internal/host", Timeout: 10 * time.Minute},
	{
		Package: "internal/relay", Timeout: 10 * time.Minute,
		Left: []left{
			{
				Why: "a TAP takes no datagrams in super-frames (USO)", Below: "6.2",
				Tests: []string{"TestJoinedDatagramsArriveAsTheyWere", "TestJoinedDatagramsAreReceived", "TestSuperFramesGetTheMembersAddress"},
			},
			{
				Why:   "a bound in milliseconds",
				Tests: []string{"TestFlowsWhileClosing"},
			},
			{
				Why:   "rates of shaped members, which an emulated processor does not fill evenly",
				Tests: []string{"TestMembersAreUsedByWhatTheyCarry"},
			},
		},
	},
	{Package: "internal/daemon", Timeout: 28 * time.Minute},
}
