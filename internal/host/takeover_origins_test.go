// SPDX-License-Identifier: MIT

package host

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

// TestAddressOrigins takes over and restores each kind of address. On the adapter it is the same, with its connected
// route, and both return when the adapter goes down and up, as on a NIC.
func TestAddressOrigins(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, c := range []struct {
		name, script string
		shown        string // by ip -o addr, on the adapter
		route        string // by ip route, on the adapter; "": none
		keep         bool   // IPv6: the kernel keeps it on a link that goes down
	}{
		{name: "by hand", script: "ip addr add 10.9.0.1/24 dev na", shown: "inet 10.9.0.1/24 scope global team0",
			route: "10.9.0.0/24 proto kernel scope link src 10.9.0.1"},
		{name: "by DHCP", script: "ip addr add 10.9.0.1/24 brd + dev na valid_lft 3600 preferred_lft 1800",
			shown: "inet 10.9.0.1/24 brd 10.9.0.255 scope global dynamic team0",
			route: "10.9.0.0/24 proto kernel scope link src 10.9.0.1"},
		{name: "metric", script: "ip addr add 10.9.0.1/24 dev na metric 50",
			shown: "inet 10.9.0.1/24 metric 50 scope global team0",
			route: "10.9.0.0/24 proto kernel scope link src 10.9.0.1 metric 50"},
		{name: "a manager's route",
			script: "ip addr add 10.9.0.1/24 dev na noprefixroute; ip route add 10.9.0.0/24 dev na proto kernel " +
				"scope link src 10.9.0.1 metric 100",
			shown: "inet 10.9.0.1/24 scope global noprefixroute team0",
			route: "10.9.0.0/24 proto kernel scope link src 10.9.0.1 metric 100"},
		{name: "a connected route of another metric",
			script: "ip addr add 10.9.0.1/24 dev na; ip route del 10.9.0.0/24; ip route add 10.9.0.0/24 dev na " +
				"proto kernel scope link src 10.9.0.1 metric 100",
			shown: "inet 10.9.0.1/24 scope global noprefixroute team0",
			route: "10.9.0.0/24 proto kernel scope link src 10.9.0.1 metric 100"},
		{name: "no connected route", script: "ip addr add 10.9.0.1/24 dev na; ip route del 10.9.0.0/24",
			shown: "inet 10.9.0.1/24 scope global noprefixroute team0"},
		{name: "secondary", script: "ip addr add 10.9.0.1/24 dev na; ip addr add 10.9.0.2/24 dev na",
			shown: "inet 10.9.0.2/24 scope global secondary team0",
			route: "10.9.0.0/24 proto kernel scope link src 10.9.0.1"},
		{name: "host", script: "ip addr add 10.9.0.1/32 dev na", shown: "inet 10.9.0.1/32 scope global team0"},
		{name: "/31", script: "ip addr add 10.9.0.0/31 dev na", shown: "inet 10.9.0.0/31 scope global team0",
			route: "10.9.0.0/31 proto kernel scope link src 10.9.0.0"},
		{name: "peer", script: "ip addr add 10.9.0.1 peer 10.9.0.2/32 dev na",
			shown: "inet 10.9.0.1 peer 10.9.0.2/32 scope global team0",
			route: "10.9.0.2 proto kernel scope link src 10.9.0.1"},
		{name: "peer's subnet", script: "ip addr add 10.9.0.1 peer 10.9.7.2/24 dev na",
			shown: "inet 10.9.0.1 peer 10.9.7.2/24 scope global team0",
			route: "10.9.7.0/24 proto kernel scope link src 10.9.0.1"},
		{name: "label", script: "ip addr add 10.9.0.1/24 dev na label na:web",
			shown: "inet 10.9.0.1/24 scope global team0:web",
			route: "10.9.0.0/24 proto kernel scope link src 10.9.0.1"},
		{name: "scope", script: "ip addr add 169.254.7.1/16 dev na scope link",
			shown: "inet 169.254.7.1/16 scope link team0",
			route: "169.254.0.0/16 proto kernel scope link src 169.254.7.1"},
		{name: "IPv6 by hand", script: "ip addr add fd09::1/64 dev na nodad",
			shown: "inet6 fd09::1/64 scope global nodad", route: "fd09::/64 proto kernel metric 256", keep: true},
		{name: "IPv6 by DHCP",
			script: "ip addr add fd09::1/128 dev na nodad noprefixroute valid_lft 3600 preferred_lft 1800",
			shown:  "inet6 fd09::1/128 scope global nodad dynamic noprefixroute"},
		{name: "IPv6 with a lifetime", script: "ip addr add fd09::1/64 dev na nodad valid_lft 3600 preferred_lft 1800",
			shown: "inet6 fd09::1/64 scope global nodad dynamic", route: "fd09::/64 proto kernel metric 256"},
		{name: "IPv6 metric", script: "ip addr add fd09::1/64 dev na nodad metric 50",
			shown: "inet6 fd09::1/64 metric 50 scope global nodad", route: "fd09::/64 proto kernel metric 50",
			keep: true},
		{name: "IPv6 peer", script: "ip addr add fd09::1 peer fd09::2/128 dev na nodad",
			shown: "inet6 fd09::1 peer fd09::2/128 scope global nodad", route: "fd09::2 proto kernel metric 256",
			keep: true},
		{name: "IPv6 without connected route", script: "ip addr add fd09::1/64 dev na nodad; ip -6 route del fd09::/64",
			shown: "inet6 fd09::1/64 scope global nodad noprefixroute"},
		{name: "link-local by hand", script: "ip addr add fe80::1/64 dev na nodad",
			shown: "inet6 fe80::1/64 scope link nodad"},
		{name: "link-local by hand alone", script: "ip -6 addr flush dev na; ip addr add fe80::1/64 dev na nodad",
			shown: "inet6 fe80::1/64 scope link nodad"},
		{name: "a manager's link-local",
			script: "echo 1 >/proc/sys/net/ipv6/conf/na/addr_gen_mode; ip -6 addr flush dev na; ip addr add " +
				"fe80::1/64 dev na nodad noprefixroute; ip -6 route add fe80::/64 dev na proto kernel metric 1024",
			shown: "inet6 fe80::1/64 scope link nodad noprefixroute", route: "fe80::/64 proto kernel metric 1024"},
		{name: "deprecated", script: "ip addr add fd09::1/64 dev na nodad preferred_lft 0",
			shown: "inet6 fd09::1/64 scope global nodad deprecated", route: "fd09::/64 proto kernel metric 256",
			keep: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			if c.keep {
				run(t, "echo 1 >/proc/sys/net/ipv6/conf/na/keep_addr_on_down")
			}
			run(t, c.script)
			settled(t)
			before, had := snapshot(t), subnetsOf(t, "na")
			h := w.open(nil)
			must(t, takeover(w, h))
			look := func(when string) {
				t.Helper()
				if got := words(run(t, "ip -o addr show dev "+teamName)); !strings.Contains(got, c.shown+" ") &&
					!strings.Contains(got, c.shown+`\`) {
					t.Errorf("%s: want %q:\n%s", when, c.shown, got)
				}
				subnets := subnetsOf(t, teamName)
				if subnets != had {
					t.Errorf("%s: the routes were\n%sand are\n%s", when, had, subnets)
				}
				if !strings.Contains("\n"+subnets, "\n"+c.route) {
					t.Errorf("%s: want route %q:\n%s", when, c.route, subnets)
				}
			}
			look("with the team")
			if v4 := strings.Contains(c.shown, "inet "); c.keep || v4 && !strings.Contains(c.route, "metric 100") {
				run(t, "ip link set team0 down; ip link set team0 up")
				look("down and up")
			}
			must(t, finish(w, h))
			compare(t, before, snapshot(t))
		})
	}
}

// subnetsOf lists a link's routes, without lifetimes.
func subnetsOf(t *testing.T, link string) string {
	t.Helper()
	all := run(t,
		"ip -4 route show dev "+link+"; ip -6 route show dev "+link+" | grep -v '^fe80::/64.*metric 256' || true")
	return words(regexp.MustCompile(` linkdown| expires \d+sec`).ReplaceAllString(all, ""))
}

// words makes one blank of several.
func words(s string) string { return regexp.MustCompile(`[ \t]+`).ReplaceAllString(s, " ") }

// TestRouteOrigins takes over and restores routes of each protocol, which they keep on the adapter.
func TestRouteOrigins(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, proto := range []string{"kernel", "boot", "static", "redirect", "ra", "dhcp", "gated", "mrt", "zebra",
		"bird", "keepalived", "babel", "bgp", "ospf", "199"} {
		t.Run(proto, func(t *testing.T) {
			w := newWorld(t)
			run(t, `ip addr add 10.9.0.1/24 dev na; ip addr add fd09::1/64 dev na nodad
				ip route add 10.20.0.0/16 via 10.9.0.254 dev na metric 7 proto `+proto+`
				ip -6 route add fd20::/32 via fd09::fe dev na metric 7 proto `+proto+`
				ip -6 route add default via fe80::fe dev na metric 7 proto `+proto)
			settled(t)
			before := snapshot(t)
			had := run(t, "ip -N route show 10.20.0.0/16; ip -N -6 route show fd20::/32; ip -N -6 route show default")
			h := w.open(nil)
			must(t, takeover(w, h))
			has := strings.ReplaceAll(run(t,
				"ip -N route show 10.20.0.0/16; ip -N -6 route show fd20::/32; ip -N -6 route show default"),
				" linkdown", "")
			if want := strings.ReplaceAll(had, "dev na", "dev team0"); has != want || strings.Count(has, "\n") != 3 {
				t.Errorf("want\n%sgot\n%s", want, has)
			}
			must(t, finish(w, h))
			compare(t, before, snapshot(t))
		})
	}
}

// TestRouteOrderStays takes over one of two NICs in a subnet: the order of their routes stays.
func TestRouteOrderStays(t *testing.T) {
	for _, order := range [][2]string{{"na", "nc"}, {"nc", "na"}} {
		w := newWorld(t)
		run(t, "ip addr add 10.9.0.1/24 dev "+order[0]+"; ip addr add 10.9.0.2/24 dev "+order[1])
		before := snapshot(t)
		h := w.open(nil)
		must(t, takeover(w, h))
		var got []string
		for _, f := range regexp.MustCompile(`dev (\S+)`).FindAllStringSubmatch(run(t, "ip route show 10.9.0.0/24"),
			-1) {
			got = append(got, strings.ReplaceAll(f[1], teamName, "na"))
		}
		if len(got) != 2 || got[0] != order[0] {
			t.Errorf("the routes are by %q, want %q", got, order)
		}
		must(t, finish(w, h))
		compare(t, before, snapshot(t))
	}
}

// TestLinkLocalByHand removes a NIC with a hand-set link-local address: it is on the NIC again, and no longer on the
// adapter.
func TestLinkLocalByHand(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add fe80::1/64 dev na nodad; ip addr add fe80::2/64 dev nb nodad; ip addr add 10.8.0.1/24 dev nb")
	settled(t)
	before := snapshot(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	has := func(when, nic, address string, want bool) {
		t.Helper()
		if got := run(t, "ip -6 addr show dev "+nic); strings.Contains(got, address+"/64") != want {
			t.Errorf("%s: %s on %s: %v", when, address, nic, !want)
		}
	}
	has("with the team", teamName, "fe80::1", true)
	has("with the team", teamName, "fe80::2", true)
	has("with the team", "na", "fe80::1", false)
	must1(h.Release("nb", false))
	has("nb removed", "nb", "fe80::2", true)
	has("nb removed", teamName, "fe80::2", false)
	has("nb removed", teamName, "fe80::1", true)
	run(t, "ip addr add fe80::3/64 dev team0 nodad")
	must(t, finish(w, h))
	has("ended", "na", "fe80::3", true)
	run(t, "ip addr del fe80::3/64 dev na")
	compare(t, before, snapshot(t))
}

// TestProxies takes over NICs with proxy entries: the adapter has them, and changes on it remain.
func TestProxies(t *testing.T) {
	w := newWorld(t)
	run(t, `ip addr add 10.9.0.1/24 dev na; ip addr add fd09::1/64 dev na nodad; ip route add default via 10.9.0.254 dev na
		for a in 10.9.0.50 10.9.0.51 fd09::50; do ip neigh add proxy $a dev na; done
		ip neigh add proxy 10.8.0.50 dev nb; ip neigh add proxy 10.7.0.50 dev nc`)
	h := w.open(nil)
	must(t, takeover(w, h))
	if got, want := proxies(t),
		"10.7.0.50 nc|10.8.0.50 team0|10.9.0.50 team0|10.9.0.51 team0|fd09::50 team0"; got != want {
		t.Errorf("with the team: %s, want %s", got, want)
	}
	run(t, "ip neigh del proxy 10.9.0.51 dev team0; ip neigh add proxy 10.9.0.52 dev team0")
	must(t, finish(w, h))
	if got, want := proxies(t), "10.7.0.50 nc|10.8.0.50 nb|10.9.0.50 na|10.9.0.52 na|fd09::50 na"; got != want {
		t.Errorf("after it: %s, want %s", got, want)
	}
}

func proxies(t *testing.T) string {
	t.Helper()
	var list []string
	for line := range strings.Lines(run(t, "ip neigh show proxy")) {
		f := strings.Fields(line) // ADDRESS dev NIC proxy
		list = append(list, f[0]+" "+f[2])
	}
	slices.Sort(list)
	return strings.Join(list, "|")
}

// TestRules takes over NICs that rules name. The administrator's rules stay, even if they equal the team's.
func TestRules(t *testing.T) {
	w := newWorld(t)
	rules := func() string {
		return strings.ReplaceAll(words(run(t, "ip rule show pref 100; ip -6 rule show pref 101")), " \n", "\n")
	}
	run(t, `ip rule add pref 100 iif na lookup 77
		ip rule add pref 100 iif na oif nb lookup 78
		ip rule add pref 100 from 10.0.0.0/8 not iif nb lookup 79
		ip rule add pref 100 iif nc lookup 77
		ip -6 rule add pref 101 oif nb lookup 78
		ip rule add pref 100 iif team0 lookup 77`)
	before := rules()
	h := w.open(nil)
	must(t, takeover(w, h))
	got := rules()
	for _, want := range []string{"from all iif na lookup 77\n", "from all iif nc lookup 77\n", "iif team0 lookup 77\n",
		"iif team0 lookup 77 proto 78\n", "iif team0 oif team0 lookup 78 proto 78\n",
		"not from 10.0.0.0/8 iif team0 lookup 79 proto 78\n", "oif team0 lookup 78 proto 78\n"} {
		if !strings.Contains(strings.ReplaceAll(got, " [detached]", ""), want) {
			t.Errorf("with the team there is no %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "iif nb") {
		t.Errorf("an inverted rule would match what comes by the adapter:\n%s", got)
	}
	run(t,
		"ip rule add pref 100 oif team0 lookup 80; ip -6 rule del pref 101 oif team0; ip -6 rule add pref 101 oif "+
			"team0 lookup 78")
	must(t, finish(w, h))
	after := strings.ReplaceAll(rules(), " [detached]", "")
	for _, own := range []string{"100: from all oif team0 lookup 80\n", "101: from all oif team0 lookup 78\n"} {
		if !strings.Contains(after, own) {
			t.Errorf("the administrator's %q is gone:\n%s", own, after)
		}
		after = strings.Replace(after, own, "", 1)
	}
	if lines(after) != lines(strings.ReplaceAll(before, " [detached]", "")) {
		t.Errorf("before:\n%safter:\n%s", before, after)
	}
}

// lines sorts lines.
func lines(s string) string {
	list := strings.Split(s, "\n")
	slices.Sort(list)
	return strings.Join(list, "\n")
}

// TestNeighboursByHand takes over a NIC with permanent and NOARP neighbours.
func TestNeighboursByHand(t *testing.T) {
	w := newWorld(t)
	run(t, `ip addr add 10.9.0.1/24 dev na; ip addr add fd09::1/64 dev na nodad
		ip neigh add 10.9.0.201 lladdr 02:00:00:00:00:c9 dev na nud permanent
		ip neigh add 10.9.0.202 lladdr 02:00:00:00:00:ca dev na nud noarp
		ip neigh add fd09::ca lladdr 02:00:00:00:00:ca dev na nud noarp
		ip neigh add fd09::cb lladdr 02:00:00:00:00:cb dev na router nud permanent`)
	have := func(nic string) string {
		return words(run(t,
			"ip neigh show dev "+nic+" nud permanent; ip neigh show dev "+nic+" nud noarp | grep -v 'lladdr "+
				"\\(33:33\\|01:00:5e\\|ff:ff\\)'"))
	}
	before := have("na")
	if strings.Count(before, "lladdr") != 4 || !strings.Contains(before, "router") {
		t.Fatalf("neighbours:\n%s", before)
	}
	h := w.open(nil)
	must(t, takeover(w, h))
	if got := have(teamName); got != before {
		t.Errorf("on the adapter, want\n%sgot\n%s", before, got)
	}
	must(t, finish(w, h))
	if got := have("na"); got != before {
		t.Errorf("given back, want\n%sgot\n%s", before, got)
	}
}

// TestMetricChangedSince restores an address with the metric that it has on the adapter by then.
func TestMetricChangedSince(t *testing.T) {
	w := newWorld(t)
	run(t,
		"ip addr add 10.9.0.1/24 dev na metric 50; ip addr add fd09::1/64 dev na nodad; ip addr add 10.8.0.1/24 dev na")
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t,
		"ip addr change 10.9.0.1/24 dev team0 metric 70; ip addr change fd09::1/64 dev team0 metric 80; ip addr "+
			"change 10.8.0.1/24 dev team0 metric 90")
	had := subnetsOf(t, teamName)
	must(t, finish(w, h))
	settled(t)
	if got := subnetsOf(t, "na"); got != had || strings.Count(got, "\n") != 3 {
		t.Errorf("the routes were\n%sand are\n%s", had, got)
	}
	got := words(run(t, "ip -o addr show dev na"))
	for _, want := range []string{"10.9.0.1/24 metric 70 ", "fd09::1/64 metric 80 ", "10.8.0.1/24 metric 90 "} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}
