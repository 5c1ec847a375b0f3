// SPDX-License-Identifier: MIT

// Package labtest ties package lab to package testing.
package labtest

import (
	"context"
	"errors"
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

// lacks skips a test that cannot run here. With CI set everything is expected to be there, and it fails.
func lacks(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// Root skips a test that cannot make hosts here.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lacks(t, "needs root: run it as root, for example: sudo env PATH=$PATH go test ./...")
	}
	if !lab.Inside() {
		lacks(t, "needs private namespaces: give the package func TestMain(m *testing.M) { labtest.Main(m) "+
			"} and allow unshare")
	}
}

// Tool skips a test unless a program is installed.
func Tool(t testing.TB, name, debianPackage string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		lacks(t, fmt.Sprintf("needs %s: apt-get install %s", name, debianPackage))
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

// Switch makes a switch that lives as long as the test.
func Switch(t testing.TB, name string, o lab.SwitchOptions) *lab.Switch {
	t.Helper()
	Root(t)
	s, err := lab.NewSwitch(name, o)
	Must(t, err)
	t.Cleanup(func() { Check(t, s.Close()) })
	return s
}

// Cable joins two nodes as long as the test lives.
func Cable(t testing.TB, a lab.Node, nameA string, b lab.Node, nameB string, o lab.CableOptions) *lab.Cable {
	t.Helper()
	c, err := lab.NewCable(a, nameA, b, nameB, o)
	Must(t, err)
	t.Cleanup(func() { Check(t, c.Close()) })
	return c
}

// VirtioCable joins two nodes by virtio NICs as long as the test lives. It skips the test where the machine has none of
// them, which is everywhere but in one that internal/lab/kernels has started.
func VirtioCable(t testing.TB, a lab.Node, nameA string, b lab.Node, nameB string) *lab.VirtioCable {
	t.Helper()
	Root(t)
	if os.Getenv(lab.VirtioVariable) == "" {
		t.Skip("needs virtio NICs of QEMU: make test-kernels has them")
	}
	c, err := lab.NewVirtioCable(a, nameA, b, nameB)
	Must(t, err)
	t.Cleanup(func() { Check(t, c.Close()) })
	return c
}

// Wire joins two nodes by TAP NICs as long as the test lives.
func Wire(t testing.TB, a lab.Node, nameA string, b lab.Node, nameB string, o lab.WireOptions) *lab.Wire {
	t.Helper()
	w, err := lab.NewWire(a, nameA, b, nameB, o)
	Must(t, err)
	t.Cleanup(func() { Check(t, w.Close()) })
	return w
}

// Udev gives new devices of a host addresses of its own as long as the test lives.
func Udev(t testing.TB, h *lab.Host, delay time.Duration) *lab.Udev {
	t.Helper()
	u, err := lab.NewUdev(h, delay)
	Must(t, err)
	t.Cleanup(func() { Check(t, u.Close()) })
	return u
}

// Start starts a stream; it stops with the test at the latest.
func Start(t testing.TB, s lab.Stream) *lab.Running {
	t.Helper()
	r, err := s.Start()
	Must(t, err)
	t.Cleanup(func() { _, err := r.Stop(); Check(t, err) })
	return r
}

// Run runs a command in a host and returns what it wrote to standard output; it ends the test if the command fails.
func Run(t testing.TB, h *lab.Host, name string, args ...string) string {
	t.Helper()
	out, err := h.Command(name, args...).Output()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, exit.Stderr)
	}
	Must(t, err)
	return string(out)
}

// Settled returns a host's state once nothing is under way in its kernel.
func Settled(t testing.TB, h *lab.Host) lab.Snapshot {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	s, err := lab.SettledSnapshot(ctx, h)
	Must(t, err)
	return s
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

// Patience bounds every wait for what must happen. It measures nothing: on a machine full of other work all takes long.
const Patience = 30 * time.Second

// Eventually waits until a condition holds; it ends the test if that takes longer than Patience. It looks at once, and
// the less often the longer it waits and the longer looking takes, since what it waits for needs the processors more
// than a prompt answer.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	const least, most, mostForLooking = time.Millisecond, 20 * time.Millisecond, 100 * time.Millisecond
	start := time.Now()
	for {
		look := time.Now()
		if holds() {
			return
		}
		now := time.Now()
		if now.Sub(start) > Patience {
			t.Fatalf("not within %v: %s", Patience, what)
		}
		time.Sleep(max(least, min(now.Sub(start)/10, most), min(2*now.Sub(look), mostForLooking)))
	}
}

// Systemd boots systemd in a host; it lives as long as the test.
func Systemd(t testing.TB, h *lab.Host, o lab.SystemdOptions) *lab.Systemd {
	t.Helper()
	Root(t)
	if err := lab.HasSystemd(); errors.Is(err, lab.ErrNoControlGroups) {
		t.Skip(err.Error())
	} else if err != nil {
		lacks(t, err.Error())
	}
	s, err := lab.NewSystemd(h, o)
	Must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("systemd of %s:\n%s", h.Name, s.Log())
		}
		Check(t, s.Close())
	})
	return s
}
