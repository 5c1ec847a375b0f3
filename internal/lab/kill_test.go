package lab_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

const hangVariable = "NICTEAM_LAB_TEST_HANG"

// TestHang is not a test: TestKillLeavesNothing runs it in another copy of this program.
func TestHang(t *testing.T) {
	if os.Getenv(hangVariable) == "" {
		t.Skip("run by TestKillLeavesNothing")
	}
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	_, err := lab.NewCable(a, "eth0", b, "eth0", lab.CableOptions{})
	labtest.Must(t, err)
	_, err = lab.NewWire(a, "eth1", b, "eth1", lab.WireOptions{})
	labtest.Must(t, err)
	labtest.Must(t, a.Command("sh", "-c", "setsid sleep 4321 >/dev/null 2>&1 &").Run())
	labtest.Must(t, b.Command("sleep", "4321").Start())
	_, err = lab.StartWitness()
	labtest.Must(t, err)
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
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHang$", "-test.v")
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
	labtest.Eventually(t, 5*time.Second, "all gone", func() bool { return slices.Equal(before, world(t)) })
	after, err := os.ReadFile("/proc/self/mountinfo")
	labtest.Must(t, err)
	if string(after) != string(mounts) {
		t.Errorf("mounts changed from\n%s\nto\n%s", mounts, after)
	}
}
