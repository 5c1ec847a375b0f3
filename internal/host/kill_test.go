// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"nicteam/internal/tchook"

	"nicteam/internal/lab/labtest"
)

// crashVariable makes a copy of the test binary take NICs over and kill itself at a fault point.
const crashVariable = "HOST_TEST_VICTIM"

// crashProcess runs that copy: "DIR POINT [METHOD]". At point −1 its programs are attached.
func crashProcess(spec string) {
	var dir string
	var n int
	var m tchook.Method
	fmt.Sscan(spec, &dir, &n, &m)
	count := 0
	die := func(string) error {
		if count++; count == n {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}
	h, err := Open(Options{StateDir: dir, Team: teamName, faultPoint: die})
	if err == nil {
		h.hooks.Method = m
		w := &world{t: &testing.T{}, dir: dir, nics: []string{"na", "nb"}}
		err = takeover(w, h)
		if err == nil {
			err = attachAll(w, h)
		}
		if err == nil && n < 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		if err == nil {
			err = finish(w, h)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	fmt.Fprintln(os.Stderr, "reason:", tchook.WhyNoPrograms(err))
	os.Exit(3)
}

// TestKilled is TestDeathAnywhere with a process that is really killed, at a few points: what its descriptors hold must
// vanish.
func TestKilled(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	w.configure()
	before := snapshot(t)
	self, err := os.Executable()
	must(t, err)
	for n := 5; ; n += 19 {
		c := exec.Command(self)
		c.Env = append(os.Environ(), crashVariable+"="+w.dir+" "+strconv.Itoa(n))
		out, err := c.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 3 {
			if n < 60 {
				t.Errorf("the process ended before point %d: %s", n, out)
			}
			break
		}
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("point %d: %v\n%s", n, err, out)
		}
		h := w.open(nil)
		if _, err := h.Restore(); err != nil {
			t.Errorf("killed at point %d: restore: %v", n, err)
		}
		h.Close()
		compare(t, before, snapshot(t))
		if t.Failed() {
			t.Fatalf("killed at point %d", n)
		}
	}
	compare(t, before, snapshot(t))
}
