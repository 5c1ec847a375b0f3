// SPDX-License-Identifier: MIT

package host

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/rtnl"
	"nicteam/team"
)

func TestAnnouncement(t *testing.T) {
	w := newWorld(t)
	adapter := w.tap()
	run(t, `ip addr add 10.9.0.1/24 dev team0; ip -6 addr add fd09::1/64 dev team0 nodad
		ip link add link team0 name mv9 address 02:00:00:00:00:99 type macvlan mode bridge; ip link set mv9 up; ip addr add 10.9.0.5/24 dev mv9`)
	h := w.open(nil)
	got, err := h.Announcement(adapter)
	must(t, err)
	var addresses []string
	for _, a := range got.Addresses {
		if a.IP.IsLinkLocalUnicast() {
			continue
		}
		mac := "own"
		if a.MAC != 0 {
			mac = a.MAC.String()
		}
		addresses = append(addresses, a.IP.String()+" "+mac)
	}
	slices.Sort(addresses)
	want := []string{"10.9.0.1 own", "10.9.0.5 02:00:00:00:00:99", "fd09::1 own"}
	if d := cmp.Diff(want, addresses); d != "" {
		t.Errorf("addresses (-want +got):\n%s", d)
	}
	has := func(ip, source string) bool {
		return slices.ContainsFunc(got.Groups, func(g team.GroupReport) bool {
			return g.Source.String() == source && slices.Contains(g.Groups, netip.MustParseAddr(ip))
		})
	}
	if !has("224.0.0.1", "10.9.0.1") || !has("224.0.0.1", "10.9.0.5") {
		t.Errorf("groups: %+v", got.Groups)
	}
}

// Groups are reported in the version that the kernel uses, link by link.
func TestAnnouncementVersions(t *testing.T) {
	w := newWorld(t)
	adapter := w.tap()
	run(t, `ip addr add 10.9.0.1/24 dev team0; ip -6 addr add fd09::1/64 dev team0 nodad; ip -6 addr add fe80::9/64 dev team0 nodad
		ip link add link team0 name mv9 address 02:00:00:00:00:99 type macvlan mode bridge; ip link set mv9 addrgenmode none; ip link set mv9 up
		ip addr add 10.9.0.5/24 dev mv9; ip -6 addr add fe80::5/64 dev mv9 nodad`)
	h := w.open(nil)
	versions := func() map[string]int {
		t.Helper()
		got, err := h.Announcement(adapter)
		must(t, err)
		all := map[string]int{}
		for _, g := range got.Groups {
			family := "6"
			if g.Source.Is4() {
				family = "4"
			}
			if own := g.Source.AsSlice(); own[len(own)-1] == 5 {
				family += " of mv9"
			}
			all[family] = g.Version
		}
		return all
	}
	for _, c := range []struct {
		set  string
		want map[string]int
	}{
		{"true", map[string]int{"4": 3, "6": 0, "4 of mv9": 3, "6 of mv9": 0}},
		{"echo 2 >/proc/sys/net/ipv4/conf/team0/force_igmp_version; echo 1 " +
			">/proc/sys/net/ipv6/conf/mv9/force_mld_version",
			map[string]int{"4": 2, "6": 0, "4 of mv9": 3, "6 of mv9": 1}},
		{"echo 1 >/proc/sys/net/ipv4/conf/all/force_igmp_version; echo 2 " +
			">/proc/sys/net/ipv6/conf/all/force_mld_version",
			map[string]int{"4": 1, "6": 2, "4 of mv9": 1, "6 of mv9": 2}},
	} {
		run(t, c.set)
		if d := cmp.Diff(c.want, versions()); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.set, d)
		}
	}
}

func TestAskNeighbours(t *testing.T) {
	w := newWorld(t)
	adapter := w.tap()
	run(t, `ip addr add 10.9.0.1/24 dev team0
		ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev team0 nud stale
		ip neigh add fd09::2 lladdr 02:00:00:00:00:02 router dev team0 nud stale
		ip neigh add 10.9.0.3 lladdr 02:00:00:00:00:03 dev team0 nud permanent
		ip neigh add 10.9.0.4 lladdr 02:00:00:00:00:04 dev na nud stale`)
	must(t, w.open(nil).ProbeNeighbours(adapter))
	got := run(t, "ip neigh show")
	for _, want := range []string{"10.9.0.2 dev team0 lladdr 02:00:00:00:00:02 PROBE",
		"fd09::2 dev team0 lladdr 02:00:00:00:00:02 router PROBE",
		"10.9.0.3 dev team0 lladdr 02:00:00:00:00:03 PERMANENT", "10.9.0.4 dev na lladdr 02:00:00:00:00:04 STALE"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestParseGroups(t *testing.T) {
	l := listening{groups: map[string][]netip.Addr{}, igmp: map[string]int{}}
	text := "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n" +
		"1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
		"3\tabcdefghij:     1      V1\n\t\t\t\tFC0000E0     1 0:00000000\t\t0\n" +
		"4\teth0      :     2      V2\n\t\t\t\tFB0000E0     1 0:00000000\t\t0\n\t\t\t\t010000E0     1 " +
		"0:00000000\t\t0\n\t\t\t\tzz\n"
	if !rtnl.LittleEndian {
		t.Skip("the sample is of a little-endian machine")
	}
	l.parseIGMP([]byte(text))
	l.parseIGMP6([]byte("4    eth0            ff020000000000000000000000000001     1 0000000C 0\nx y\n4 eth0 00 1\n"))
	if d := cmp.Diff(map[string]int{"lo": 3, "abcdefghij": 1, "eth0": 2}, l.igmp); d != "" {
		t.Errorf("versions (-want +got):\n%s", d)
	}
	want := map[string][]string{"lo": {"224.0.0.1"}, "abcdefghij": {"224.0.0.252"},
		"eth0": {"224.0.0.251", "224.0.0.1", "ff02::1"}}
	got := map[string][]string{}
	for k, list := range l.groups {
		for _, a := range list {
			got[k] = append(got[k], a.String())
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("groups (-want +got):\n%s", d)
	}
}

func FuzzGroups(f *testing.F) {
	f.Add([]byte("1\tlo        :     1      V3\n\t\t\t\t010000E0     1\n"),
		[]byte("4 eth0 ff020000000000000000000000000001 1"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		l := listening{groups: map[string][]netip.Addr{}, igmp: map[string]int{}}
		l.parseIGMP(a)
		l.parseIGMP6(b)
		for _, list := range l.groups {
			for _, g := range list {
				if !g.IsMulticast() {
					t.Fatalf("%s is no group", g)
				}
				isKernelGroup(g, []netip.Prefix{netip.MustParsePrefix("fd09::1/64")})
			}
		}
	})
}
