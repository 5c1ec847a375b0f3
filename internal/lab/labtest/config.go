// SPDX-License-Identifier: MIT

package labtest

import (
	"regexp"
	"slices"
	"strings"
)

var (
	passing = regexp.MustCompile(` (pref medium|expires \S+|linkdown|dead)\b`)
	blanks  = regexp.MustCompile(`\s+`)
)

// LinkConfig lists what the ip command shows of a link, sorted: addresses, routes, rules, proxies and permanent
// neighbours, each as its kind and what `ip` prints without the link's name. What the kernel makes for every link is
// left out. run runs a shell script.
func LinkConfig(run func(script string) string, link string) []string {
	list := []string{}
	add := func(kind, line string) {
		list = append(list, kind+" "+strings.TrimSpace(blanks.ReplaceAllString(line, " ")))
	}
	for _, family := range []string{"-4", "-6"} {
		for line := range strings.Lines(run("ip " + family + " -o route show table all | grep -w 'dev " + link +
			"' | grep -v 'table local\\|^ff00::/8\\|^multicast\\|^fe80::/64 dev " + link +
			" proto kernel metric 256' || true")) {
			line = passing.ReplaceAllString(strings.ReplaceAll(line, "\\", " "), "")
			if !strings.Contains(line, "nexthop") {
				line = strings.Replace(line, " dev "+link, "", 1)
			}
			add("route", line)
		}
		for line := range strings.Lines(run("ip " + family + " rule show | grep -w '[io]if " + link + "' || true")) {
			add("rule", strings.Replace(line, " proto 78", "", 1))
		}
		for line := range strings.Lines(run("ip " + family + " neigh show proxy dev " + link)) {
			add("proxy", strings.Fields(line)[0])
		}
	}
	for line := range strings.Lines(run("ip neigh show dev " + link + " nud permanent")) {
		add("neighbour", strings.Replace(line, " PERMANENT", "", 1))
	}
	for line := range strings.Lines(run("ip -o addr show dev " + link)) {
		f := strings.Fields(line)
		if slices.Contains(f, "kernel_ll") || strings.HasPrefix(f[3], "fe80::") && strings.Contains(f[3], "ff:fe") {
			continue
		}
		what := f[3]
		for i := 4; i+1 < len(f); i++ {
			if f[i] == "peer" || f[i] == "metric" {
				what += " " + f[i] + " " + f[i+1]
			}
		}
		if slices.Contains(f, "noprefixroute") {
			what += " noprefixroute"
		}
		add("address", what)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
