// SPDX-License-Identifier: MIT

package lab_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

const hangVariable = "NICTEAM_LAB_TEST_HANG"

func TestMain(m *testing.M) {
	if os.Getenv(hangVariable) == "" {
		labtest.Main(m)
	}
	fmt.Fprintln(os.Stderr, hang())
	os.Exit(1)
}

// hang is what TestKillLeavesNothing runs in another copy of this program. It returns only if it fails.
func hang() error {
	code, done, err := lab.Isolate()
	if done || err != nil {
		return fmt.Errorf("isolated copy ended: %d %v", code, err)
	}
	a, err := lab.NewHost("a")
	if err != nil {
		return err
	}
	b, err := lab.NewHost("b")
	if err != nil {
		return err
	}
	_, err1 := lab.NewCable(a, "eth0", b, "eth0", lab.CableOptions{})
	_, err2 := lab.NewWire(a, "eth1", b, "eth1", lab.WireOptions{})
	err3 := a.Command("sh", "-c", "setsid sleep 4321 >/dev/null 2>&1 &").Run()
	err4 := b.Command("sleep", "4321").Start()
	_, err5 := lab.StartWitness()
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	fmt.Println("hanging")
	select {}
}

// world is what must be the same before and after.
func world(t *testing.T) (out []string) {
	t.Helper()
	for _, dir := range []string{"/proc", "/run/netns", "/run/lab", "/sys/class/net"} {
		entries, err := os.ReadDir(dir)
		labtest.Must(t, err)
		for _, e := range entries {
			if _, err := strconv.Atoi(e.Name()); dir != "/proc" || err == nil {
				out = append(out, dir+"/"+e.Name())
			}
		}
	}
	return out
}

func TestKillLeavesNothing(t *testing.T) {
	labtest.Root(t)
	before := world(t)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	labtest.Must(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), hangVariable+"=1")
	out, err := cmd.StdoutPipe()
	labtest.Must(t, err)
	cmd.Stderr = os.Stderr
	labtest.Must(t, cmd.Start())
	hanging := false
	for s := bufio.NewScanner(out); !hanging && s.Scan(); {
		hanging = strings.Contains(s.Text(), "hanging")
	}
	during := world(t)
	labtest.Check(t, cmd.Process.Kill())
	_ = cmd.Wait()
	if !hanging {
		t.Fatal("the copy did not come to hang")
	}
	// Outer, init, inner, two sleeps, witness.
	if len(during)-len(before) < 6 {
		t.Errorf("only %d processes while it hung", len(during)-len(before))
	}
	labtest.Eventually(t, "all gone", func() bool { return slices.Equal(before, world(t)) })
	after, err := os.ReadFile("/proc/self/mountinfo")
	labtest.Must(t, err)
	if string(after) != string(mounts) {
		t.Errorf("mounts changed from\n%s\nto\n%s", mounts, after)
	}
}
