// SPDX-License-Identifier: MIT

package systest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// artifact is something on the host that must survive, or must not come back, whichever device has it.
type artifact struct {
	what string
	find string // a script that prints a line for each of it
	on   string // the NIC whose removal ends it; "": looked up
	home string // the NIC that has it at first; "": made by others
	from string // the NIC to which others added it; "": the adapter, or no NIC

	lostByDown bool // the kernel removes it when the link goes down
	want       expectation
	undo       string // a script that removes what others made, wherever it is; "": nothing
}

// expectation is how often an artifact must be found.
type expectation int

const (
	once   expectation = iota // nobody removed it
	never                     // somebody removed it
	either                    // it may have ended with its device
)

// where returns the device that has it, "" for anything but an address.
func (th *artifact) where(l *hostLife) string {
	a, ok := strings.CutPrefix(th.what, "address ")
	if !ok {
		return ""
	}
	return l.where(a)
}

func (th *artifact) check(l *hostLife) {
	n := l.count(th.find)
	switch {
	case th.want == once && n != 1:
		l.t.Errorf("%s is there %d times:\n%s", th.what, n,
			l.sh("ip -br addr; ip route show table all | grep -v 'table local'"))
	case th.want == never && n != 0:
		l.t.Errorf("%s is back:\n%s", th.what, l.sh("ip -br addr"))
	}
}

// othersActions are what users, daemons and failures do.
var othersActions = []action{
	{8, onAdapter, func(l *hostLife) { l.addAddress(teamName) }},
	{6, always, func(l *hostLife) { l.addAddress(pickOne(l, l.plugged())) }},
	{4, onAdapter, func(l *hostLife) { l.removeAddress() }},
	{8, func(l *hostLife) bool { return l.routable() != "" }, func(l *hostLife) {
		if device := l.routable(); device != "" { // a carrier that was lost may have been heard of only now
			l.addRoute(device)
		}
	}},
	{5, always, func(l *hostLife) { l.addRule() }},
	{2, always, func(l *hostLife) {
		n := l.nextNumber()
		l.addArtifact(fmt.Sprintf("link other%d", n),
			fmt.Sprintf("ip link add other%d type bridge; ip link set other%d up", n, n),
			fmt.Sprintf("ip -o link show other%d", n), fmt.Sprintf("ip link del other%d", n))
	}},
	{2, always, func(l *hostLife) {
		n := l.nextNumber()
		l.addArtifact(fmt.Sprintf("nft table other%d", n),
			fmt.Sprintf("nft 'table inet other%d { chain c { type filter hook input priority 0; tcp dport 1 drop; "+
				"}; }'", n),
			fmt.Sprintf("nft list tables | grep -w other%d || true", n),
			fmt.Sprintf("nft delete table inet other%d", n))
	}},
	{6, func(l *hostLife) bool { return len(l.cutCables()) > 0 }, func(l *hostLife) {
		l.plugCable(pickOne(l, l.cutCables()))
	}},
	{6, func(l *hostLife) bool { return len(l.pluggedCables()) > 0 }, func(l *hostLife) {
		nic := pickOne(l, l.pluggedCables())
		l.logf("the cable of %s is cut", nic)
		if w := l.wires[nic]; w != nil {
			labtest.Must(l.t, w.Cut())
		} else {
			labtest.Must(l.t, l.cables[nic].Cut())
		}
		l.cut[nic] = true
	}},
	{4, func(l *hostLife) bool { return len(l.pluggable()) > 0 }, func(l *hostLife) {
		l.unplug(pickOne(l, l.pluggable()))
	}},
	{8, func(l *hostLife) bool { return len(l.missing()) > 0 }, func(l *hostLife) {
		l.replug(pickOne(l, l.missing()))
	}},
	{3, always, func(l *hostLife) {
		nic := pickOne(l, l.plugged())
		key := "/proc/sys/net/" + pickOne(l, []string{"ipv4/conf/" + nic + "/log_martians", "ipv4/conf/" + nic +
			"/route_localnet", "ipv6/conf/" + nic + "/hop_limit"})
		l.addArtifact("sysctl "+key, "echo 17 >"+key, "grep -x 17 "+key+" || true", "").on = nic
		th := l.things[len(l.things)-1]
		th.undo = "echo " + map[bool]string{true: "64", false: "0"}[strings.HasSuffix(key, "hop_limit")] + " >" + key
	}},
	{3, always, func(l *hostLife) {
		nic := pickOne(l, l.plugged())
		if l.count("tc qdisc show dev "+nic+" root | grep 'limit 77p' || true") == 0 {
			l.addArtifact("queue of "+nic, "tc qdisc add dev "+nic+" root pfifo limit 77",
				"tc qdisc show dev "+nic+" root | grep 'pfifo .* limit 77p' || true",
				"if tc qdisc show dev "+nic+" root | grep -q 77p; then tc qdisc del dev "+nic+" root; fi").on = nic
		}
	}},
	{2, onAdapter, func(l *hostLife) {
		n := l.nextNumber()
		l.runOthers("ip neigh add 10.9.0.%d lladdr 02:00:00:00:00:%02x dev %s nud permanent", 100+n, n,
			teamName) // goes with the adapter
	}},
	{4, in(running), func(l *hostLife) {
		l.runOthers("ip link set %s %s", teamName, map[bool]string{true: "up", false: "down"}[l.isDown(teamName)])
	}},
	{2, in(running), func(l *hostLife) {
		l.runOthers("ip link set %s down; ip link set %s up", teamName, teamName)
	}},
	{2, in(running), func(l *hostLife) {
		l.runOthers("ip link set %s address 02:00:00:00:77:%02x", teamName, l.nextNumber())
	}},
	{2, func(l *hostLife) bool { return l.phase == running && len(l.present()) > 0 }, func(l *hostLife) {
		nic := pickOne(l, l.present())
		l.rename(nic, "other"+nic)
		l.rename("other"+nic, nic)
	}},
	{2, in(running), func(l *hostLife) {
		l.prepareEnd()
		l.runOthers("ip link del %s", teamName)
		labtest.Eventually(l.t, "the host has everything back, and the process ends", func() bool {
			return len(l.processes(" run "+teamName)) == 0
		})
		l.phase, l.members, l.restored = none, nil, true
	}},
	{3, func(l *hostLife) bool { return l.phase == running && len(l.upMembers()) > 0 }, func(l *hostLife) {
		l.runOthers("ip link set %s down", pickOne(l, l.upMembers()))
	}},
	{6, func(l *hostLife) bool { return len(l.downs()) > 0 }, func(l *hostLife) {
		l.runOthers("ip link set %s up", pickOne(l, l.downs()))
	}},
	{3, onAdapter, func(l *hostLife) {
		l.runOthers("ip link set %s mtu %d", teamName, pickOne(l, []int{1300, 1400, 1450}))
	}},
	{3, func(l *hostLife) bool { return l.phase == running && len(l.present()) > 0 }, func(l *hostLife) {
		nic := pickOne(l, l.present())
		l.runOthers("ip link set %s down; ip link set %s up", nic, nic)
	}},
}

// rename renames a member and waits until the team follows.
func (l *hostLife) rename(from, to string) {
	l.runOthers("ip link set %s down; ip link set %s name %s; ip link set %s up", from, from, to, to)
	l.await(to+" is a member", func(s *api.Status) bool {
		return slices.ContainsFunc(s.Members, func(m api.Member) bool { return m.Name == to })
	})
}

// nicOf returns the device if it is a NIC, else "".
func nicOf(device string) string {
	if device == teamName {
		return ""
	}
	return device
}

func always(*hostLife) bool { return true }

// onAdapter reports whether the adapter exists.
func onAdapter(l *hostLife) bool {
	return l.phase == running || l.phase == dead && l.count("ip -o link show "+teamName+" 2>/dev/null || true") == 1
}

// runOthers runs a script as another program would.
func (l *hostLife) runOthers(format string, args ...any) {
	l.t.Helper()
	script := fmt.Sprintf(format, args...)
	l.logf("others: %s", script)
	l.sh(script)
}

// addArtifact runs a script that makes an artifact, and tracks it.
func (l *hostLife) addArtifact(what, do, find, undo string) *artifact {
	l.t.Helper()
	l.runOthers("%s", do)
	th := &artifact{what: what, find: find, undo: undo}
	l.things = append(l.things, th)
	return th
}

// addAddress adds an address to a device, in a known subnet or in a new one.
func (l *hostLife) addAddress(device string) {
	n := l.nextNumber()
	prefix := pickOne(l, []string{fmt.Sprintf("10.50.%d.1/24", n), fmt.Sprintf("10.9.0.%d/24", 100+n),
		fmt.Sprintf("10.51.0.%d/32", n), fmt.Sprintf("fd50:%x::1/64", n)})
	if strings.HasPrefix(prefix, "fd") &&
		strings.TrimSpace(l.sh("cat /proc/sys/net/ipv6/conf/"+device+"/disable_ipv6")) != "0" {
		prefix = fmt.Sprintf("10.50.%d.1/24", n)
	}
	a, _, _ := strings.Cut(prefix, "/")
	more := pickOne(l, []string{"", "", " valid_lft 3000 preferred_lft 2000"})
	undo := fmt.Sprintf(`ip -o addr show to %s | while read -r _ dev _; do ip addr del %s dev "$dev"; done`, a, prefix)
	if strings.HasPrefix(prefix, "fd") {
		undo += "; ip -6 route flush " +
			prefix // the kernel leaves the one of an address with a lifetime until that ends
	}
	th := l.addArtifact("address "+a, fmt.Sprintf("ip addr add %s dev %s%s", prefix, device, more),
		"ip -o addr show to "+a, undo)
	th.from, th.lostByDown = nicOf(device), strings.HasPrefix(a, "fd")
}

// removeAddress removes an address of the initial configuration.
func (l *hostLife) removeAddress() {
	for _, a := range pickSome(l, spare, len(spare)) {
		i := slices.IndexFunc(l.things, func(th *artifact) bool { return th.what == "address "+a })
		if th := l.things[i]; th.want == once && l.where(a) == teamName && l.count(th.find) == 1 {
			prefix := strings.Fields(l.sh(th.find))[3]
			l.runOthers("ip addr del %s dev %s", prefix, teamName)
			th.want, th.home = never, ""
			for nic, script := range nicConfigs {
				for line := range strings.Lines(script) {
					if strings.Contains(line, "addr add "+prefix+" ") {
						th.undo = "ip addr flush to " + a + "; " + strings.TrimSpace(line)
						if l.other[nic] {
							th.undo = ""
						}
					}
				}
			}
			return
		}
	}
}

// routable returns the device by which peer is reached, "" if there is none.
func (l *hostLife) routable() string {
	f := strings.Fields(l.sh("ip -4 -o route show 10.9.0.0/24 table main | head -1"))
	if len(f) > 2 && f[1] == "dev" && (f[2] == teamName || f[2] == "eth1") &&
		!strings.Contains(strings.Join(f, " "), "linkdown") {
		return f[2]
	}
	return ""
}

func (l *hostLife) addRoute(device string) {
	n := l.nextNumber()
	route := fmt.Sprintf("10.60.%d.0/24", n)
	more := pickOne(l, []string{"", " metric 77", " proto dhcp", " table 90", " proto static", " mtu 1200"})
	do := pickOne(l, []string{fmt.Sprintf("ip route add %s via 10.9.0.2 dev %s", route, device),
		fmt.Sprintf("ip route add %s dev %s", route, device)}) + more
	th := l.addArtifact("route "+route, do, "ip route show table all "+route,
		fmt.Sprintf("ip route flush table all %s", route))
	th.from, th.lostByDown = nicOf(device), true
}

func (l *hostLife) addRule() {
	n := l.nextNumber()
	pref := 5000 + n
	what := pickOne(l, []string{fmt.Sprintf("from 10.70.%d.0/24", n), "iif " + teamName, "oif " +
		pickOne(l, nics(lifeNICs)), "fwmark 7"})
	family := pickOne(l, []string{"-4", "-6"})
	if family == "-6" && strings.HasPrefix(what, "from") {
		what = fmt.Sprintf("from fd70:%x::/64", n)
	}
	l.addArtifact(fmt.Sprintf("rule %d", pref), fmt.Sprintf("ip %s rule add pref %d %s lookup 88", family, pref, what),
		fmt.Sprintf("ip %s rule show pref %d", family, pref), fmt.Sprintf("ip %s rule del pref %d", family, pref))
}

// plugged are NICs that are plugged in.
func (l *hostLife) plugged() []string {
	return slices.DeleteFunc(nics(lifeNICs), func(nic string) bool { return l.out[nic] })
}

func (l *hostLife) missing() []string {
	return slices.DeleteFunc(nics(lifeNICs), func(nic string) bool { return !l.out[nic] })
}

func (l *hostLife) cutCables() []string {
	return slices.DeleteFunc(l.plugged(), func(nic string) bool { return !l.cut[nic] })
}

func (l *hostLife) pluggedCables() []string {
	return slices.DeleteFunc(l.plugged(), func(nic string) bool { return l.cut[nic] })
}

func (l *hostLife) upMembers() []string { return slices.DeleteFunc(l.present(), l.isDown) }

func (l *hostLife) downs() []string {
	return slices.DeleteFunc(l.plugged(), func(nic string) bool { return !l.isDown(nic) })
}

func (l *hostLife) plugCable(nic string) {
	l.logf("the cable of %s is mended", nic)
	if w := l.wires[nic]; w != nil {
		labtest.Must(l.t, w.Mend())
	} else {
		labtest.Must(l.t, l.cables[nic].Mend())
	}
	delete(l.cut, nic)
}

// pluggable are NICs that may be unplugged: neither the last one nor the last member.
func (l *hostLife) pluggable() []string {
	if len(l.wires) == 0 || len(l.plugged()) == 1 {
		return nil
	}
	return slices.DeleteFunc(l.plugged(), func(nic string) bool {
		return l.phase != none && len(l.present()) == 1 && l.present()[0] == nic
	})
}

// unplug removes a NIC with what is on it. What the adapter has of it stays.
func (l *hostLife) unplug(nic string) {
	l.logf("%s is pulled out", nic)
	for _, th := range l.things {
		switch th.where(l) {
		case nic:
			th.home = ""
		case "":
			// The journal keeps it until the NIC is back.
			if th.want == once && (th.home == nic || th.from == nic && l.count(th.find) == 0) {
				th.want, th.home = either, ""
			}
		}
		if th.want == once && (th.on == nic || th.on == "" && strings.Contains(l.sh(th.find), " "+nic+" ")) {
			th.want = either
		}
	}
	l.pull(nic)
}

func (l *hostLife) pull(nic string) {
	labtest.Must(l.t, l.wires[nic].A.Unplug())
	l.out[nic], l.other[nic] = true, true
	delete(l.cut, nic)
}

// replug plugs a NIC in again.
func (l *hostLife) replug(nic string) {
	l.logf("%s is put back", nic)
	w := l.wires[nic]
	// The old device may not be gone yet.
	labtest.Eventually(l.t, nic+" can be put back", func() bool { return !errors.Is(w.A.Replug(), unix.EBUSY) })
	labtest.Must(l.t, w.Mend())
	delete(l.out, nic)
}
