// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// A manager that begins to serve a link removes everything and adds one address and its own default route again.
func TestAddressesAreKept(t *testing.T) {
	h := labtest.Host(t, "box")
	ip := func(args string) string { return labtest.Run(t, h, "ip", strings.Fields(args)...) }
	ip("link add team0 type veth peer name peer0")
	ip("link set peer0 up")
	ip("link set team0 up")
	for _, a := range []string{"10.9.0.103/24 metric 1024 valid_lft 100 preferred_lft 100", "10.9.0.77/24",
		"fd09::77/64 nodad"} {
		ip("address add " + a + " dev team0")
	}
	ip("route add default via 10.9.0.254 proto dhcp metric 1024")
	ip("route add 10.8.0.0/16 via 10.9.0.253")
	index := labtest.Run(t, h, "cat", "/sys/class/net/team0/ifindex")
	begun := false
	labtest.Must(t, h.Do(func() error {
		nic := NIC{Name: "team0"}
		for _, d := range strings.TrimSpace(index) {
			nic.Index = 10*nic.Index + int(d-'0')
		}
		return New(Options{}).guarded(t.Context(), []NIC{nic}, func(context.Context) error {
			ip("address flush dev team0 scope global")
			ip("address add 10.9.0.103/24 dev team0")
			ip("route add default via 10.9.0.254 proto dhcp src 10.9.0.103 metric 1024")
			return nil
		}, func([]NIC) bool { begun = true; return begun })
	}))
	defaultRoute := "default via 10.9.0.254 dev team0 proto dhcp src 10.9.0.103 metric 1024"
	for args, want := range map[string]string{
		"-br address show dev team0 scope global":  "10.9.0.103/24 10.9.0.77/24 fd09::77/64",
		"route show default":                       defaultRoute,
		"route show 10.8.0.0/16":                   "10.8.0.0/16 via 10.9.0.253 dev team0",
		"-6 route show fd09::/64":                  "fd09::/64 dev team0",
		"address show dev team0 to 10.9.0.103/32":  "valid_lft forever",
		"address show dev team0 permanent to ::/0": "fd09::77/64",
	} {
		if got := strings.Join(strings.Fields(ip(args)), " "); !strings.Contains(got, want) {
			t.Errorf("ip %s:\n%s\nwant %s", args, got, want)
		}
	}
	if got := ip("route show default"); strings.Count(got, "default") != 1 {
		t.Errorf("the default route is doubled:\n%s", got)
	}
}
