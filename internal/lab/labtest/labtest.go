// Package labtest ties package lab to package testing.
package labtest

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/lab"
)

// Main is the body of a TestMain. As root it runs the test binary again in private namespaces
// (see lab.Isolate) with the same arguments; otherwise the tests run as they are, and those that call Root skip.
func Main(m *testing.M) {
	// A fuzz worker is started by a coordinator that is isolated already.
	if os.Geteuid() != 0 || slices.ContainsFunc(os.Args, isWorker) {
		os.Exit(m.Run())
	}
	code, done, err := lab.Isolate()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v; the tests run without private namespaces and those that need them skip\n", err)
		os.Exit(m.Run())
	}
	if done {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func isWorker(arg string) bool { return strings.Contains(arg, "test.fuzzworker") }

// Root skips a test that cannot make hosts here.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: run it as root, for example: sudo env PATH=$PATH go test ./...")
	}
	if !lab.Inside() {
		t.Skip("needs private namespaces: give the package func TestMain(m *testing.M) { labtest.Main(m) } and allow unshare")
	}
}

// Tool skips a test unless a program is installed.
func Tool(t testing.TB, name, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("needs %s: apt-get install %s", name, debianPackage)
	}
}

// Host makes a host that lives as long as the test.
func Host(t testing.TB, name string) *lab.Host {
	t.Helper()
	Root(t)
	h, err := lab.NewHost(name)
	Must(t, err)
	t.Cleanup(func() { Check(t, h.Close()) })
	return h
}

// Must ends the test on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Check reports an error and goes on.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// Eventually waits until a condition holds; it ends the test after the time given.
func Eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(time.Millisecond)
	}
}
