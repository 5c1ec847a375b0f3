// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

// TestManagersAddressesAreKept takes over what a network manager made of router advertisements. The routers' next words
// count on the adapter: for the manager's addresses and routes, and for nothing else.
func TestManagersAddressesAreKept(t *testing.T) {
	w := newWorld(t)
	run(t, `echo 0 >/proc/sys/net/ipv6/conf/na/accept_ra
		ip addr add fd0a::5/64 dev na nodad noprefixroute valid_lft 600 preferred_lft 500
		ip addr add fd0a::6/128 dev na nodad valid_lft 600 preferred_lft 500 # by DHCP
		ip addr add fd0a::7/64 dev na nodad noprefixroute # by hand
		ip -6 route add fd0a::/64 dev na proto ra metric 1002
		ip -6 route add default via fe80::101 dev na proto ra metric 1002
		ip -6 route add fd0c::/48 via fe80::101 dev na proto ra metric 1002
		ip -6 route add fd0d::/48 via fe80::101 dev na proto static`)
	settled(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, donate("na")(w, h))
	index, err := interfaceIndex(teamName)
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done, served := make(chan struct{}), false
	go func() {
		defer close(done)
		h.KeepFromRAs(ctx, index, func() bool { return served })
	}()
	stop := func() { cancel(); <-done }
	defer stop()
	r := newRouter(t, 1, "fd0a::/64")
	show := func() string {
		got := run(t, "ip -6 -o addr show dev "+teamName+"; ip -6 route show dev "+teamName)
		return strings.ReplaceAll(got, " linkdown", "")
	}
	// said repeats an advertisement, since the socket may not be open yet, until a pattern is there or not.
	said := func(what, pattern string, want bool) {
		t.Helper()
		labtest.Eventually(t, what, func() bool {
			r.advertise(teamName)
			return regexp.MustCompile(pattern).MatchString(show()) == want
		})
	}
	for i := range r.a.Prefixes {
		r.a.Prefixes[i].Valid, r.a.Prefixes[i].Preferred = 9050, 8050
	}
	said("the address is refreshed", `fd0a::5/64 .*valid_lft 90\d\dsec preferred_lft 80\d\dsec`, true)
	for _, line := range []string{"default via fe80::101 proto ra metric 1002", "fd0a::/64 proto ra metric 1002"} {
		if got := show(); !strings.Contains(got, line) || strings.Contains(got, "metric 1024 expires") {
			t.Errorf("no %q, or another default route:\n%s", line, got)
		}
	}
	for _, address := range []string{`fd0a::6/128 .*valid_lft (600|5\d\d)sec`, `fd0a::7/64 .*valid_lft forever`} {
		if got := show(); !regexp.MustCompile(address).MatchString(got) {
			t.Errorf("no %s:\n%s", address, got)
		}
	}

	r.a.Lifetime = 0
	said("the router's goodbye", "default via", false)
	for _, line := range []string{"fd0a::/64 proto ra", "fd0c::/48 via", "fd0d::/48 via"} {
		if got := show(); !strings.Contains(got, line) {
			t.Errorf("after the goodbye no %q:\n%s", line, got)
		}
	}
	r.a.Lifetime = 3050
	said("the router is back", `default via fe80::101 proto ra metric 1024 expires 30\d\dsec`, true)
	r.a.Lifetime = 1
	r.advertise(teamName)
	labtest.Eventually(t, "the router is silent for too long",
		func() bool { return !strings.Contains(show(), "default via") })
	r.a.Lifetime = 4050
	said("the router speaks again", `default via fe80::101 proto ra metric 1024 expires 40\d\dsec`, true)

	stop()
	must(t, finish(w, h))
	got := run(t, "ip -6 -o addr show dev na; ip -6 route show dev na")
	for _, line := range []string{`fd0a::5/64 .*valid_lft (90|8\d)\d\dsec`,
		`default via fe80::101 proto ra metric 1024 expires`,
		`fd0a::/64 proto ra metric 1002`} {
		if !regexp.MustCompile(line).MatchString(got) {
			t.Errorf("given back: no %s:\n%s", line, got)
		}
	}
}
