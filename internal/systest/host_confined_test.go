// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// TestConfinedProcess: a team's process has only the rights that a running team needs, which is enough for all changes,
// and somebody who removes its directory gets it again.
func TestConfinedProcess(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	before := w.state()
	dirs := []string{"--run-dir", "/run/other", "--state-dir", "/run/other-state"}
	do := func(args ...string) string { return w.nicteam(append(args, dirs...)...) }
	status := func() (*api.Status, bool) {
		s := &api.Status{}
		r := w.try(append([]string{"status", teamName, "--json"}, dirs...)...)
		return s, r.Code == 0 && json.Unmarshal([]byte(r.Out), s) == nil
	}
	do("create", teamName, "eth1", "eth2", "--mode", "active-backup", "--no-persist")
	conn := w.startEcho()
	was, _ := status()
	if x := was.Supervisor; x == nil || x.Kind != "keeper" || x.WatchdogNS == 0 || x.Lost || len(was.Warnings) > 0 {
		t.Errorf("the supervisor is %+v, warnings %q", x, was.Warnings)
	}
	fields := processStatus(t, was.PID)
	for key, want := range map[string]string{"NoNewPrivs": "1", "Seccomp": "2", "CapEff": "000000c000003000"} {
		if fields[key] != want {
			t.Errorf("%s is %q, want %q", key, fields[key], want)
		}
	}
	do("add", teamName, "eth3")
	do("set", teamName, "mtu=1400", "mode=elb", "datapath=relay")
	do("set", teamName, "mtu=1500", "mode=active-backup", "datapath=auto")
	do("remove", teamName, "eth2")
	w.sh("ip link set eth3 down; ip link set eth3 name nic3; ip link set nic3 up")
	labtest.Eventually(t, "nic3 is a member", func() bool {
		s, ok := status()
		return ok && len(s.Members) == 2 && (s.Members[0].Name == "nic3" || s.Members[1].Name == "nic3")
	})
	w.sh("ip link set nic3 down; ip link set nic3 name eth3; ip link set eth3 up")
	b, err := os.ReadFile(w.box.Path("/run/other-state/" + teamName + ".log"))
	labtest.Must(t, err)
	if log := string(b); strings.Contains(log, "permission denied") || strings.Contains(log, "not permitted") {
		t.Errorf("something is denied:\n%s", log)
	}
	conn.check("after the changes")

	w.sh("rm -rf /run/other")
	labtest.Eventually(t, "the next process", func() bool {
		s, ok := status()
		return ok && s.PID != was.PID && s.State == "up"
	})
	conn.check("after the directory was removed")
	do("delete", teamName)
	w.sh("rm -rf /run/other /run/other-state")
	w.checkUnchanged("after delete", before)
}
