// SPDX-License-Identifier: MIT

package systest

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// TestAdapterSpeed reads the adapter's speed where other programs do: it follows members and modes, and is right at
// once after the process has died.
func TestAdapterSpeed(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, SpeedMbit: 2500})
	shows := func(when, want string) {
		t.Helper()
		labtest.Eventually(t, when+": a speed of "+want, func() bool {
			return strings.TrimSpace(w.sh("cat /sys/class/net/"+teamName+"/speed")) == want
		})
	}
	w.create(nics(3), "--mode", "xor")
	shows("created", "7500")
	if s := w.status(); s.Adapter.SpeedBps != 7_500_000_000 {
		t.Errorf("status says %d", s.Adapter.SpeedBps)
	}
	labtest.Tool(t, "ethtool", "ethtool")
	w.sh("ethtool -s eth2 speed 1000 duplex full autoneg off") // its link stays up
	shows("a NIC at 1 Gbit/s", "6000")
	if out := w.sh("ethtool " + teamName); !strings.Contains(out, "Speed: 6000Mb/s") ||
		!strings.Contains(out, "Duplex: Full") {
		t.Errorf("ethtool says\n%s", out)
	}
	w.sh("ethtool -s eth2 speed 2500 duplex full autoneg off")
	shows("as fast as before", "7500")
	labtest.Must(t, w.wires["eth1"].Cut())
	shows("a cable cut", "5000")
	w.set("mode=active-backup")
	shows("active-backup", "2500")
	w.set("mode=broadcast")
	shows("broadcast", "2500")
	w.set("mode=elb")
	shows("elb", "5000")
	w.nicteam("remove", teamName, "eth3")
	shows("a NIC removed", "2500")
	w.sh("ethtool -s " + teamName + " speed 10 duplex half autoneg off")
	w.nicteam("restart", teamName)
	shows("handed over", "2500")

	w.kill(w.teamProcess(), unix.SIGKILL)
	labtest.Must(t, w.wires["eth1"].Mend())
	w.supervise()
	shows("another process, and the cable back", "5000")
	w.kill(w.teamProcess(), unix.SIGKILL)
	labtest.Must(t, w.wires["eth1"].Cut())
	labtest.Must(t, w.wires["eth2"].Cut())
	w.supervise()
	shows("another process, and no cable", "-1")
	w.nicteam("delete", teamName)
	w.checkNoFiles("after delete")
}
