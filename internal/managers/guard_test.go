// SPDX-License-Identifier: MIT

package managers

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func TestToken(t *testing.T) {
	h := labtest.Host(t, "box")
	ip := func(args string) string { return labtest.Run(t, h, "ip", strings.Fields(args)...) }
	ip("link add team0 type veth peer name peer0")
	ip("link set team0 up")
	for _, a := range []string{"fd09::1/64 nodad", "fd09::2/64 nodad valid_lft 100 preferred_lft 100",
		"fd09::a:b:c:d/64 nodad valid_lft 100 preferred_lft 100"} {
		ip("address add " + a + " dev team0")
	}
	index := indexOf(t, h)
	labtest.Must(t, h.Do(func() error {
		l := Links{Adapter: NIC{"team0", index}, Origin: func(a netip.Addr) string {
			if a == netip.MustParseAddr("fd09::2") {
				return "eth2"
			}
			return "eth1"
		}}
		if got, want := l.token("eth1"), netip.MustParseAddr("::a:b:c:d"); got != want {
			t.Errorf("token %v, want %v", got, want)
		}
		if got := l.token("eth3"); got.IsValid() {
			t.Errorf("token of another NIC: %v", got)
		}
		return nil
	}))
	s := nmSettings{"ipv6": {"method": dbus.MakeVariant("auto")}}
	s.setToken(netip.MustParseAddr("::a:b:c:d"))
	if got := s["ipv6"]; got["token"].Value() != "::a:b:c:d" || got["addr-gen-mode"].Value() != int32(0) {
		t.Errorf("profile: %v", got)
	}
}

func indexOf(t *testing.T, h *lab.Host) (index int) {
	t.Helper()
	_, err := fmt.Sscan(labtest.Run(t, h, "cat", "/sys/class/net/team0/ifindex"), &index)
	labtest.Must(t, err)
	return index
}

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
	index := indexOf(t, h)
	begun := false
	labtest.Must(t, h.Do(func() error {
		return New(Options{}).guarded(t.Context(), []NIC{{"team0", index}}, func(context.Context) error {
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
