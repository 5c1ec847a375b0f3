// SPDX-License-Identifier: MIT

package host

import (
	"slices"
	"strings"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// TestRestoreMAC sets a wrong MAC before the adapter comes up, so that the kernel forms IPv6 addresses of it.
func TestRestoreMAC(t *testing.T) {
	const right, wrong = frame.MAC(0x0200_0000_0042), frame.MAC(0x06dd_0000_0007)
	w := newWorld(t)
	adapter := index(t, "na") // a link with carrier
	run(t, `ip link set na down; echo 0 >/proc/sys/net/ipv6/conf/na/addr_gen_mode; echo 0 >/proc/sys/net/ipv6/conf/na/accept_dad
		ip link set na address `+wrong.String()+` up
		ip -6 addr add fd09::4dd:ff:fe00:7/64 dev na; ip -6 addr add fd09::7/64 dev na; ip addr add 10.9.0.1/24 dev na`)
	addresses := func() string {
		var list []string
		for l := range strings.Lines(run(t, "ip -o addr show dev na")) {
			list = append(list, strings.Fields(l)[3])
		}
		slices.Sort(list)
		return strings.Join(list, " ")
	}
	// The kernel forms it once it has noticed the carrier.
	const before = "10.9.0.1/24 fd09::4dd:ff:fe00:7/64 fd09::7/64 fe80::4dd:ff:fe00:7/64"
	labtest.Eventually(t, "addresses "+before, func() bool { return addresses() == before })

	h := w.open(nil)
	for range 2 {
		if err := h.RestoreMAC(adapter, right, wrong); err != nil {
			t.Fatal(err)
		}
		if got, err := h.ReadLink(adapter); got.MAC != right || err != nil {
			t.Errorf("MAC is %v, %v", got, err)
		}
		if got, want := addresses(), "10.9.0.1/24 fd09::7/64 fe80::ff:fe00:42/64"; got != want {
			t.Errorf("addresses\n%s, want\n%s", got, want)
		}
	}
	labtest.Eventually(t, "local routes of the right MAC only", func() bool {
		got := run(t, "ip -6 route show table local dev na")
		return !strings.Contains(got, "dd:ff:fe00:7") && strings.Contains(got, "fe80::ff:fe00:42")
	})
	if err := h.RestoreMAC(1<<30, right, wrong); err == nil {
		t.Error("an adapter that is not there was given a MAC")
	}
}
