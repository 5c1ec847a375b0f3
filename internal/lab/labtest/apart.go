// SPDX-License-Identifier: MIT

package labtest

import (
	"flag"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"nicteam/internal/lab"
)

// apartVariable names, in a copy of the test binary, the one test that this copy runs.
const apartVariable = "NICTEAM_TEST_APART"

// Parallel sets how many parallel tests of a binary run at a time. TestMain calls it before Main.
func Parallel(n int) {
	if f := flag.Lookup("test.parallel"); f != nil {
		_ = f.Value.Set(strconv.Itoa(n))
	}
}

// Apart is for a test that uses the namespaces of the test binary itself, so that no other may run beside it. It runs
// the test again in a copy of the binary, which has namespaces of its own, beside other tests. It returns true in that
// copy, where the test goes on. Otherwise it returns false once the copy has ended, with the test failed or skipped as
// the copy was, and the test returns:
//
//	if !labtest.Apart(t) {
//		return
//	}
//
// Without namespaces, and where the coverage of a copy would be lost, the test goes on as it is. It must not have used
// t before, nor be told from others only by a "#01" that package testing appends to its name.
func Apart(t *testing.T) bool {
	t.Helper()
	if os.Getenv(apartVariable) != "" || !lab.Inside() || testing.CoverMode() != "" {
		return true
	}
	t.Parallel()
	var levels []string
	for level := range strings.SplitSeq(t.Name(), "/") {
		levels = append(levels, "^"+regexp.QuoteMeta(level)+"$")
	}
	// The last one of a repeated flag counts. What go test caches by is listed by this process only.
	c := exec.CommandContext(t.Context(), "/proc/self/exe", append(os.Args[1:], "-test.v=true", "-test.count=1",
		"-test.testlogfile=", "-test.run="+strings.Join(levels, "/"))...)
	c.Env = append(os.Environ(), apartVariable+"="+t.Name())
	out, err := c.CombinedOutput()
	ended := func(how string) bool { return strings.Contains(string(out), "--- "+how+": "+t.Name()+" (") }
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case ended("SKIP"):
		t.Skipf("%s", out)
	case !ended("PASS"):
		t.Errorf("the copy did not run the test\n%s", out)
	default:
		t.Logf("%s", out)
	}
	return false
}
