// SPDX-License-Identifier: MIT

package systest

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// TestRouters: a host lives on router advertisements before, with and after a team. The kernel learns what it uses at
// each moment, so the next advertisement is accepted. At the end the process is killed and the host restored.
func TestRouters(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "ip", "iproute2")
	for _, end := range []string{"delete", "kill and restore"} {
		t.Run(end, func(t *testing.T) {
			w := newWorld(t, worldOptions{Cables: true})
			w.sh("echo 0 >/proc/sys/net/ipv6/conf/eth2/accept_ra; echo 1 >/proc/sys/net/ipv4/conf/eth1/forwarding; " +
				"echo 1 >/proc/sys/net/ipv6/conf/all/forwarding; echo 2 >/proc/sys/net/ipv6/conf/eth1/accept_ra")
			lan := w.raw(w.peer, "eth0")
			prefix := netip.MustParsePrefix("fd0a::/64")
			one := frame.RouterAdvert{From: netip.MustParseAddr("fe80::101"), MAC: 0x020000000101, Lifetime: 1750,
				HopLimit: 64, Preference: frame.RouterHigh,
				Prefixes: []frame.AdvertisedPrefix{{Prefix: prefix, OnLink: true, Autonomous: true, Valid: 650,
					Preferred: 550}}}
			two := frame.RouterAdvert{From: netip.MustParseAddr("fe80::102"), MAC: 0x020000000102, Lifetime: 1750}
			speak := func() {
				lan.send(one.Frame())
				lan.send(two.Frame())
			}
			// What a link has by routers, lifetimes in hundreds of seconds.
			shows := func(nic string) string {
				s := w.sh("ip -6 route show dev " + nic + " | sed /^fe80::.64/d; ip -6 -o addr show dev " + nic +
					" to fd0a::/16")
				return regexp.MustCompile(`\b(\d+)\d\dsec`).ReplaceAllString(s, "${1}xx")
			}
			has := func(when, nic string, lines ...string) {
				t.Helper()
				labtest.Eventually(t, when+": what "+nic+" has by routers is as wanted", func() bool {
					s := shows(nic)
					for _, line := range lines {
						absent, not := strings.CutPrefix(line, "no ")
						if not == strings.Contains(s, absent) || !not && !strings.Contains(s, line) {
							return false
						}
					}
					return true
				})
			}
			speak()
			all := []string{"default via fe80::101 proto ra metric 1024 expires 17xx",
				"default via fe80::102 proto ra metric 1024 expires 17xx", "fd0a::/64 proto kernel", "inet6 fd0a::"}
			has("before", "eth1", all...)
			w.create(nics(2), "--mode", "active-backup")
			has("created", teamName, append(all, "valid_lft 6xx")...)
			has("created", "eth1", "no default", "no fd0a")
			one.Lifetime, one.Prefixes[0].Valid, one.Prefixes[0].Preferred, two.Lifetime = 3050, 8050, 7050, 0
			speak()
			has("advertised again", teamName, "default via fe80::101 proto ra metric 1024 expires 30xx",
				"no fe80::102", "valid_lft 80xx preferred_lft 70xx")
			two.Lifetime = 1850
			speak()
			has("back", teamName, "fe80::102 proto ra metric 1024 expires 18xx")
			if end == "delete" {
				w.nicteam("delete", teamName)
			} else {
				w.kill(w.teamProcess(), unix.SIGKILL)
				w.nicteam("restore", teamName)
			}
			has(end, "eth1", "default via fe80::101 proto ra metric 1024 expires 30xx",
				"default via fe80::102 proto ra metric 1024 expires 18xx",
				"fd0a::/64 proto kernel metric 256 expires 80xx", "valid_lft 80xx preferred_lft 70xx")
			one.Lifetime, two.Lifetime, one.Prefixes[0].Valid = 0, 4050, 9050
			speak()
			has("heard after "+end, "eth1", "no fe80::101", "default via fe80::102 proto ra metric 1024 expires 40xx",
				"valid_lft 90xx")
		})
	}
}
