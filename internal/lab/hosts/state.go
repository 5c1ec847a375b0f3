// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A state is the lines that describe a machine's network: addresses, routes, DNS. Lifetimes are left out.
type state []string

// describe prints it. Counters and times change by themselves; a unit's enablement must end with the team.
const describe = `ip -o addr show | awk '{print "addr", $2, $3, $4}'
ip route show table all | sed 's/^/route /'
ip -6 route show table all | sed 's/^/route6 /'
ip rule | sed 's/^/rule /'; ip -6 rule | sed 's/^/rule6 /'
for f in /etc/resolv.conf; do sed '/^#/d;/^$/d;s/^/dns /' $f; done
command -v resolvectl >/dev/null && resolvectl dns | sed 's/^/resolved /'
systemctl list-unit-files --no-legend --plain --state=enabled 'nicteam*' | sed 's/^/unit /'
find /etc/systemd/network /run/systemd/network /etc/NetworkManager /run/NetworkManager/conf.d /etc/netplan \
	/etc/network /etc/dhcp /etc/dhcpcd.conf /etc/nicteam -type f 2>/dev/null | sed 's/^/file /'
nft list ruleset | sed 's/^/nft /'
true`

// volatile are parts of lines that change by themselves.
var volatile = regexp.MustCompile(`(expires|hoplimit|metric|mtu|error) \S+| ?(pref medium|linkdown|cache|notify)`)

// group matches lines that say nothing: multicast and broadcast routes of the kernel's own, and link-local ones.
var group = regexp.MustCompile(`^route6? (multicast|broadcast|local|anycast|ff00::|fe80::)`)

func (b *bench) state(ctx context.Context) (state, error) {
	out, code, err := b.machine.Run(ctx, describe, commandLimit)
	if err != nil {
		return nil, fmt.Errorf("read state: %w", err)
	}
	if code != 0 {
		return nil, fmt.Errorf("read state: exit %d: %s", code, out)
	}
	return parseState(out), nil
}

func parseState(out string) (s state) {
	for l := range strings.Lines(out) {
		l = strings.Join(strings.Fields(volatile.ReplaceAllString(l, "")), " ")
		if l != "" && !group.MatchString(l) {
			s = append(s, l)
		}
	}
	slices.Sort(s)
	return slices.Compact(s)
}

// diff returns what s has and old has not, and the reverse.
func (s state) diff(old state) (d []string) {
	for _, l := range s {
		if !slices.Contains(old, l) {
			d = append(d, "+"+l)
		}
	}
	for _, l := range old {
		if !slices.Contains(s, l) {
			d = append(d, "-"+l)
		}
	}
	return d
}
