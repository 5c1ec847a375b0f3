// SPDX-License-Identifier: MIT

package systest

import (
	"net/netip"
	"os"
	"os/exec"
	"testing"
	"time"

	"nicteam/internal/lab"
	"nicteam/internal/lab/ha"
	"nicteam/internal/lab/labtest"
)

// TestIPVS shares requests out by IPVS, which keepalived configures and whose servers it checks.
func TestIPVS(t *testing.T) {
	parallelWithTraffic(t)
	labtest.Root(t)
	if os.Getenv(lab.VirtioVariable) != "" { // a machine of make test-kernels
		_ = exec.Command("modprobe", "ip_vs").Run()
		for _, d := range []string{"/etc/keepalived", "/etc/sysctl.d"} {
			labtest.Must(t, os.MkdirAll(d, 0o755))
		}
	}
	if _, err := os.Stat("/proc/net/ip_vs"); err != nil {
		t.Skip("needs a kernel with IPVS: make test-kernels has one")
	}
	s := newSite(t, ha.Options{Mode: "elb", Datapath: "relay", IPVS: true})
	ask := func(port uint16, n int) ha.Answers { return ha.Ask(s.Client, netip.Addr{}, service(port), n) }
	labtest.Eventually(t, "both servers in the table", func() bool {
		a := ask(8080, 2)
		return a.By["real1"] == 1 && a.By["real2"] == 1
	})
	checkShares(t, "rr", ask(8080, 100), 50, 50)
	checkShares(t, "wrr", ask(8081, 99), 66, 33)
	if a := ask(80, 50); len(a.By) != 1 || a.Failed > 0 {
		t.Errorf("persistent: %v", a)
	}

	labtest.Must(t, s.Real[1].StopServices())
	labtest.Eventually(t, "real2 out of the table", func() bool { a := ask(8080, 4); return a.By["real1"] == 4 })
	time.Sleep(time.Second) // the check of each service has a time of its own
	if a := ask(8082, 20); a.By["real1"] != 20 || a.Failed > 0 {
		t.Errorf("without real2: %v", a)
	}
	release, err := s.Hold(t.Context(), service(8082), 10)
	labtest.Must(t, err)
	defer release()
	labtest.Must(t, s.Real[1].StartServices())
	labtest.Eventually(t, "real2 in the table", func() bool { return ask(8082, 1).By["real2"] == 1 })
	checkShares(t, "lc", ask(8082, 20), 0, 20)
}
