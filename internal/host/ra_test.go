// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"

	"nicteam/internal/lab/labtest"
)

// router sends router advertisements to a NIC.
type router struct {
	t *testing.T
	i *injector
	a frame.RouterAdvert
}

func newRouter(t *testing.T, n int, prefix string) *router {
	t.Helper()
	i, err := newInjector()
	must(t, err)
	t.Cleanup(i.close)
	a := frame.RouterAdvert{From: netip.MustParseAddr(fmt.Sprintf("fe80::%d", 100+n)), MAC: 0x020000000100 +
		frame.MAC(n), Lifetime: 1800, HopLimit: 64}
	if prefix != "" {
		p := netip.MustParsePrefix(prefix)
		a.Prefixes = []frame.AdvertisedPrefix{{Prefix: p, OnLink: true, Valid: 600, Preferred: 500},
			{Prefix: p, Autonomous: true, Valid: 600, Preferred: 500}}
	}
	return &router{t, i, a}
}

func (r *router) advertise(nic string) {
	r.t.Helper()
	index, err := interfaceIndex(nic)
	must(r.t, err)
	must(r.t, r.i.receive(index, r.a.Frame()))
}

// learned lists what a NIC's kernel learned from routers, without lifetimes.
func learned(t *testing.T, nic string) []string {
	t.Helper()
	h, err := Open(Options{})
	must(t, err)
	defer h.Close()
	all, err := h.rt.AdvertisedRoutes()
	must(t, err)
	index, err := interfaceIndex(nic)
	must(t, err)
	list := []string{}
	for _, r := range rtnl.RoutesVia(all, index) {
		list = append(list, fmt.Sprint(rtnl.Destination(r), " ", rtnl.Gateway(r), " proto ", rtnl.RouteProtocol(r),
			" pref ", rtnl.RouterPreference(r), " hops ", rtnl.HopLimit(r),
			" ends ", rtnl.RouteLifetime(r) != rtnl.Forever))
	}
	slices.Sort(list)
	return list
}

// TestAdvertisedRoutes takes over a NIC that learned from two routers: the adapter has learned the same, and the NIC
// again after the give-back, with lifetimes.
func TestAdvertisedRoutes(t *testing.T) {
	w := newWorld(t)
	run(t, `for n in nb nc; do echo 0 >/proc/sys/net/ipv6/conf/$n/accept_ra; done
		echo 64 >/proc/sys/net/ipv6/conf/na/accept_ra_rt_info_max_plen`)
	one, two := newRouter(t, 1, "fd0a::/64"), newRouter(t, 2, "fd0b::/64")
	one.a.Preference, one.a.Managed, one.a.MTU = frame.RouterHigh, true, 1400
	two.a.Routes = []frame.AdvertisedRoute{{Prefix: netip.MustParsePrefix("fd0c::/48"), Preference: frame.RouterLow,
		Lifetime: 900}}
	one.advertise("na")
	two.advertise("na")
	run(t, "ip addr add fd0d::1/64 dev na nodad")
	settled(t)
	before, had := snapshot(t), learned(t, "na")
	if len(had) != 5 {
		t.Fatalf("the NIC learned %q", had)
	}
	h := w.open(nil)
	must(t, takeover(w, h))
	if d := cmp.Diff(had, learned(t, teamName)); d != "" {
		t.Errorf("the adapter learned other things (-NIC +adapter):\n%s", d)
	}
	if n := learned(t, "na"); len(n) > 0 {
		t.Errorf("the NIC still knows %q", n)
	}
	must(t, finish(w, h))
	compare(t, before, snapshot(t))
	if d := cmp.Diff(had, learned(t, "na")); d != "" {
		t.Errorf("the NIC learned other things (-before +after):\n%s", d)
	}
}

// TestRouterSpeaksOn: routers change their advertisements during and after the takeover.
func TestRouterSpeaksOn(t *testing.T) {
	w := newWorld(t)
	run(t, "echo 0 >/proc/sys/net/ipv6/conf/nb/accept_ra")
	one, two := newRouter(t, 1, "fd0a::/64"), newRouter(t, 2, "")
	one.advertise("na")
	two.advertise("na")
	settled(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, donate("na")(w, h))
	has := func(what, nic, line string, want bool) {
		t.Helper()
		got := run(t, "ip -6 route show dev "+nic+"; ip -6 addr show dev "+nic)
		got = regexp.MustCompile(`\b(\d+)\d\dsec`).ReplaceAllString(strings.ReplaceAll(got, " linkdown", ""), "${1}xx")
		if strings.Contains(got, line) != want {
			t.Errorf("%s: %q there: %v, want %v:\n%s", what, line, !want, want, got)
		}
	}
	two.a.Lifetime = 0
	two.advertise(teamName)
	has("after the second router's goodbye", teamName, "default via fe80::101", true)
	has("after the second router's goodbye", teamName, "default via fe80::102", false)
	one.a.Lifetime = 3050
	for i := range one.a.Prefixes {
		one.a.Prefixes[i].Valid, one.a.Prefixes[i].Preferred = 9050, 8050
	}
	one.a.Prefixes = append(one.a.Prefixes,
		frame.AdvertisedPrefix{Prefix: netip.MustParsePrefix("fd0e::/64"), OnLink: true, Autonomous: true, Valid: 7000,
			Preferred: 6000})
	one.advertise(teamName)
	for _, line := range []string{"valid_lft 90xx preferred_lft 80xx", "expires 30xx",
		"fd0a::/64 proto kernel metric 256 expires 90xx", "fd0e::/64 proto kernel"} {
		has("after the first router's next advertisement", teamName, line, true)
	}
	must(t, finish(w, h))
	has("given back", "na", "default via fe80::101", true)
	has("given back", "na", "default via fe80::102", false)
	has("given back", "na", "fd0e::/64 proto kernel", true)
	has("given back", "na", "inet6 fd0e::", true)
	one.a.Lifetime, one.a.Prefixes[0].Valid, one.a.Prefixes[0].Preferred = 0, 0, 0
	one.advertise("na")
	has("after the last goodbye", "na", "default via", false)
	has("after the last goodbye", "na", "fd0a::/64 proto", false)
}

// TestLyingRouter takes over a NIC that learned nonsense. It is copied, and nothing else breaks.
func TestLyingRouter(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, c := range []struct {
		name string
		say  func(*frame.RouterAdvert)
		want int // routes learned
	}{
		{"no router, a prefix", func(a *frame.RouterAdvert) { a.Lifetime = 0 }, 1},
		{"no router, nothing", func(a *frame.RouterAdvert) { a.Lifetime, a.Prefixes = 0, nil }, 0},
		{"everything is on the link", func(a *frame.RouterAdvert) {
			a.Prefixes = []frame.AdvertisedPrefix{{Prefix: netip.MustParsePrefix("::/0"), OnLink: true, Valid: 600,
				Preferred: 500}}
		}, 2},
		{"256 prefixes", func(a *frame.RouterAdvert) {
			a.Prefixes = nil
			for i := range 256 {
				p := netip.MustParsePrefix(fmt.Sprintf("fd0a:%x::/64", i))
				a.Prefixes = append(a.Prefixes, frame.AdvertisedPrefix{Prefix: p, OnLink: true, Autonomous: true,
					Valid: 600, Preferred: 500})
			}
		}, 257},
		{"for ever", func(a *frame.RouterAdvert) {
			a.Lifetime = 65535
			for i := range a.Prefixes {
				a.Prefixes[i].Valid, a.Prefixes[i].Preferred = rtnl.Forever, rtnl.Forever
			}
		}, 2},
		{"no MAC", func(a *frame.RouterAdvert) { a.MAC = 0 }, 2},
		{"no such MTU", func(a *frame.RouterAdvert) { a.MTU = 9 }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			run(t, "echo 0 >/proc/sys/net/ipv6/conf/nb/accept_ra; ip addr add fd09::1/64 dev na nodad")
			r := newRouter(t, 1, "fd0a::/64")
			c.say(&r.a)
			// As many as fit into a frame.
			for all := r.a.Prefixes; ; all = all[len(r.a.Prefixes):] {
				r.a.Prefixes = all[:min(len(all), 64)]
				r.advertise("na")
				if len(r.a.Prefixes) == len(all) {
					break
				}
			}
			settled(t)
			before, had := snapshot(t), learned(t, "na")
			if len(had) != c.want {
				t.Fatalf("the NIC learned %d routes, want %d: %q", len(had), c.want, had)
			}
			h := w.open(nil)
			must(t, takeover(w, h))
			if d := cmp.Diff(had, learned(t, teamName)); d != "" {
				t.Errorf("the adapter learned other things (-NIC +adapter):\n%s", d)
			}
			must(t, finish(w, h))
			settled(t)
			compare(t, before, snapshot(t))
			if d := cmp.Diff(had, learned(t, "na")); d != "" {
				t.Errorf("the NIC learned other things (-before +after):\n%s", d)
			}
		})
	}
}

// TestNoAdvertisements adds what a link does not learn from an advertisement: the kernel treats the routes as learned,
// and refreshes them once it accepts advertisements.
func TestNoAdvertisements(t *testing.T) {
	w := newWorld(t)
	run(t,
		"echo 0 >/proc/sys/net/ipv6/conf/nb/accept_ra; ip addr add fd09::1/64 dev na nodad; echo 64 "+
			">/proc/sys/net/ipv6/conf/na/accept_ra_rt_info_max_plen")
	r := newRouter(t, 1, "fd0a::/64")
	r.a.Routes = []frame.AdvertisedRoute{{Prefix: netip.MustParsePrefix("fd0c::/48"), Preference: frame.RouterHigh,
		Lifetime: 900}}
	r.advertise("na")
	run(t, "echo 0 >/proc/sys/net/ipv6/conf/na/accept_ra")
	settled(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	if n := len(learned(t, teamName)); n != 3 {
		t.Errorf("the adapter has %q", learned(t, teamName))
	}
	run(t, "echo 1 >/proc/sys/net/ipv6/conf/team0/accept_ra")
	r.a.Lifetime = 0
	r.advertise(teamName)
	if got := run(t, "ip -6 route show default"); strings.Contains(got, "fe80::101") {
		t.Errorf("the router's goodbye is not heard:\n%s", got)
	}
	must(t, finish(w, h))
	if n := len(learned(t, "na")); n != 2 {
		t.Errorf("the NIC has %q", learned(t, "na"))
	}
}

// TestRoutesOfADonorWithoutLink ends a team whose MAC donor has no link: the NIC with a link learns what the adapter
// knows.
func TestRoutesOfADonorWithoutLink(t *testing.T) {
	w := newWorld(t)
	run(t, "echo 0 >/proc/sys/net/ipv6/conf/nb/accept_ra_defrtr")
	r := newRouter(t, 1, "fd0a::/64")
	r.advertise("na")
	settled(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t, "ip link set pna down; echo 1 >/proc/sys/net/ipv6/conf/nb/accept_ra_defrtr")
	must(t, finish(w, h))
	if got := run(t, "ip -6 route show default"); !strings.Contains(got, "via fe80::101 dev nb proto ra") ||
		strings.Contains(got, "dev na") {
		t.Errorf("the default route is %q", got)
	}
	if got := run(t, "ip -6 addr show dev nb"); !strings.Contains(got, "fd0a::") {
		t.Errorf("nb has no address of the prefix:\n%s", got)
	}
}
