// SPDX-License-Identifier: MIT

package lab_test

import (
	"os"
	"strings"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

func TestIsolatedNamespaces(t *testing.T) {
	labtest.Root(t)
	if got := os.Getpid(); got > 100 {
		t.Errorf("process id is %d, want a small one of a new namespace", got)
	}
	names, err := os.ReadDir("/sys/class/net")
	labtest.Must(t, err)
	if len(names) != 1 || names[0].Name() != "lo" {
		t.Errorf("devices in /sys are %v, want lo alone", names)
	}
	for _, d := range []string{"/run/nicteam", "/etc/nicteam", "/var/lib/nicteam", "/run/netns"} {
		got, err := os.ReadDir(d)
		if err != nil || len(got) != 0 {
			t.Errorf("%s: %v %v, want an empty directory", d, got, err)
		}
	}
	if v := os.Getenv("NICTEAM_LAB_STAGE"); v != "" {
		t.Errorf("stage %q is still in the environment", v)
	}
}

func TestHostSeparation(t *testing.T) {
	a, b := labtest.Host(t, "a"), labtest.Host(t, "b")
	labtest.Must(t, os.WriteFile(a.Path("/run/nicteam/mark"), []byte("of a\n"), 0o600))
	out, err := a.Command("sh", "-c", "cat /run/nicteam/mark; hostname; ls /sys/class/net").Output()
	labtest.Must(t, err)
	if got := strings.Fields(string(out)); strings.Join(got, " ") != "of a a lo" {
		t.Errorf("process in a sees %q", got)
	}
	if out, err := b.Command("cat", "/run/nicteam/mark").CombinedOutput(); err == nil {
		t.Errorf("process in b sees a's file: %s", out)
	}
	wd, _ := os.Getwd()
	out, err = b.Command("pwd").Output()
	labtest.Must(t, err)
	if got := strings.TrimSpace(string(out)); got != wd {
		t.Errorf("working directory is %s, want %s", got, wd)
	}
}

func TestCloseEndsDaemons(t *testing.T) {
	labtest.Root(t)
	h, err := lab.NewHost("h")
	labtest.Must(t, err)
	c := h.Command("sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!")
	out, err := c.Output()
	labtest.Must(t, err)
	pid := strings.TrimSpace(string(out))
	if _, err := os.Stat("/proc/" + pid + "/exe"); err != nil {
		t.Fatalf("daemon does not run: %v", err)
	}
	labtest.Must(t, h.Close())
	labtest.Must(t, h.Close())
	labtest.Eventually(t, "daemon ended", func() bool { _, err := os.Stat("/proc/" + pid); return err != nil })
	left, err := os.ReadDir("/run/netns")
	labtest.Must(t, err)
	if len(left) != 0 {
		t.Errorf("left in /run/netns: %v", left)
	}
}
