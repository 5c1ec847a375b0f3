package daemon_test

import (
	"fmt"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

// TestAdapterSpeed: programs that ask for the adapter's speed are told that of what can carry, in each mode, with members that
// come and go.
func TestAdapterSpeed(t *testing.T) {
	t.Parallel()
	labtest.Tool(t, "ethtool", "ethtool")
	w := newWorld(t, worldOptions{NICs: 3, SpeedMbit: 2500})
	shows := func(when, want string) {
		t.Helper()
		got := ""
		labtest.Eventually(t, fmt.Sprintf("%s: speed %s", when, want), func() bool {
			got = w.sh("ethtool " + teamName + " | grep -E 'Speed|Duplex'")
			return strings.Contains(got, "Speed: "+want) && strings.Contains(got, "Duplex: Full") != strings.HasPrefix(want, "Unknown")
		})
	}
	w.create(nics(3))
	shows("elb", "7500Mb/s")
	for mode, want := range map[string]string{"xor": "7500Mb/s", "round-robin": "7500Mb/s", "active-backup": "2500Mb/s", "broadcast": "2500Mb/s"} {
		w.set("mode=" + mode)
		shows(mode, want)
	}
	w.set("mode=elb")
	shows("elb again", "7500Mb/s")
	w.nicteam("remove", teamName, "eth3")
	shows("two members", "5000Mb/s")
	labtest.Must(t, w.wires["eth1"].Cut())
	shows("one has no link", "2500Mb/s")
	labtest.Must(t, w.wires["eth2"].Cut())
	shows("none has a link", "Unknown!")
	labtest.Must(t, w.wires["eth1"].Mend())
	labtest.Must(t, w.wires["eth2"].Mend())
	shows("both are back", "5000Mb/s")
}
