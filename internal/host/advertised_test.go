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
)

// router is a router of a world, which sends its advertisements to a NIC.
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
	a := frame.RouterAdvert{From: netip.MustParseAddr(fmt.Sprintf("fe80::%d", 100+n)), MAC: 0x020000000100 + frame.MAC(n), Lifetime: 1800, HopLimit: 64}
	if prefix != "" {
		p := netip.MustParsePrefix(prefix)
		a.Prefixes = []frame.AdvertisedPrefix{{Prefix: p, OnLink: true, Valid: 600, Preferred: 500}, {Prefix: p, Autonomous: true, Valid: 600, Preferred: 500}}
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
	all, err := h.advertisedRoutes()
	must(t, err)
	index, err := interfaceIndex(nic)
	must(t, err)
	list := []string{}
	for _, r := range routesOf(all, index) {
		list = append(list, fmt.Sprint(destination(r), " ", gateway(r), " proto ", r.head[rtProto], " pref ", preference(r), " hops ", hopLimit(r),
			" ends ", routeLifetime(r) != forever))
	}
	slices.Sort(list)
	return list
}

// TestAdvertisedRoutes takes a NIC over whose kernel learned from two routers: the adapter's kernel has learned the same, and
// the NIC's again when it is given back, with lifetimes and all.
func TestAdvertisedRoutes(t *testing.T) {
	w := newWorld(t)
	run(t, `for n in nb nc; do echo 0 >/proc/sys/net/ipv6/conf/$n/accept_ra; done
		echo 64 >/proc/sys/net/ipv6/conf/na/accept_ra_rt_info_max_plen`)
	one, two := newRouter(t, 1, "fd0a::/64"), newRouter(t, 2, "fd0b::/64")
	one.a.Preference, one.a.Managed, one.a.MTU = frame.RouterHigh, true, 1400
	two.a.Routes = []frame.AdvertisedRoute{{Prefix: netip.MustParsePrefix("fd0c::/48"), Preference: frame.RouterLow, Lifetime: 900}}
	one.advertise("na")
	two.advertise("na")
	settled(t)
	run(t, "ip addr add fd0d::1/64 dev na nodad")
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

// TestRouterSpeaksOn has routers change their minds while the adapter has what they said, and when the NIC has it again.
func TestRouterSpeaksOn(t *testing.T) {
	w := newWorld(t)
	run(t, "echo 0 >/proc/sys/net/ipv6/conf/nb/accept_ra")
	one, two := newRouter(t, 1, "fd0a::/64"), newRouter(t, 2, "")
	one.advertise("na")
	two.advertise("na")
	settled(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, lend("na")(w, h))
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
	one.a.Prefixes = append(one.a.Prefixes, frame.AdvertisedPrefix{Prefix: netip.MustParsePrefix("fd0e::/64"), OnLink: true, Autonomous: true, Valid: 7000, Preferred: 6000})
	one.advertise(teamName)
	for _, line := range []string{"valid_lft 90xx preferred_lft 80xx", "expires 30xx", "fd0a::/64 proto kernel metric 256 expires 90xx", "fd0e::/64 proto kernel"} {
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
