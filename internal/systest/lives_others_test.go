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

// thing is something on the host that must not be lost, or must not come back, wherever it is by then.
type thing struct {
	what string
	find string // a script that prints a line for each of it
	on   string // the NIC that it ends with, "" that is looked up
	home string // the NIC that wears it, "" for what others made
	from string // the NIC that others gave it, "" for the adapter and what is no NIC's

	lostByDown bool // the kernel takes it from a link that goes down
	want       want
	undo       string // a script that takes the others' deed back, wherever the thing is; "" nothing is to be done
}

// want says of what there must be how many.
type want int

const (
	once   want = iota // nobody took it away
	never              // somebody took it away
	either             // it may have gone with what it was on
)

// where is the device that has it, "" for what is no address.
func (th *thing) where(l *life) string {
	a, ok := strings.CutPrefix(th.what, "address ")
	if !ok {
		return ""
	}
	return l.where(a)
}

func (th *thing) judge(l *life) {
	n := l.count(th.find)
	switch {
	case th.want == once && n != 1:
		l.t.Errorf("%s is there %d times:\n%s", th.what, n, l.sh("ip -br addr; ip route show table all | grep -v 'table local'"))
	case th.want == never && n != 0:
		l.t.Errorf("%s is back:\n%s", th.what, l.sh("ip -br addr"))
	}
}

// othersDeeds are what users, daemons and fate do.
var othersDeeds = []deed{
	{8, onAdapter, func(l *life) { l.addAddress(teamName) }},
	{6, always, func(l *life) { l.addAddress(one(l, l.there())) }},
	{4, onAdapter, func(l *life) { l.takeAddress() }},
	{8, func(l *life) bool { return l.routable() != "" }, func(l *life) {
		if device := l.routable(); device != "" { // a carrier that was lost may have been heard of only now
			l.addRoute(device)
		}
	}},
	{5, always, func(l *life) { l.addRule() }},
	{2, always, func(l *life) {
		n := l.fresh()
		l.made(fmt.Sprintf("link other%d", n), fmt.Sprintf("ip link add other%d type bridge; ip link set other%d up", n, n),
			fmt.Sprintf("ip -o link show other%d", n), fmt.Sprintf("ip link del other%d", n))
	}},
	{2, always, func(l *life) {
		n := l.fresh()
		l.made(fmt.Sprintf("nft table other%d", n), fmt.Sprintf("nft 'table inet other%d { chain c { type filter hook input priority 0; tcp dport 1 drop; }; }'", n),
			fmt.Sprintf("nft list tables | grep -w other%d || true", n), fmt.Sprintf("nft delete table inet other%d", n))
	}},
	{6, func(l *life) bool { return len(l.mendable()) > 0 }, func(l *life) { l.mend(one(l, l.mendable())) }},
	{6, func(l *life) bool { return len(l.cuttable()) > 0 }, func(l *life) {
		nic := one(l, l.cuttable())
		l.tell("the cable of %s is cut", nic)
		if w := l.wires[nic]; w != nil {
			labtest.Must(l.t, w.Cut())
		} else {
			labtest.Must(l.t, l.cables[nic].Cut())
		}
		l.cut[nic] = true
	}},
	{4, func(l *life) bool { return len(l.pluggable()) > 0 }, func(l *life) { l.unplug(one(l, l.pluggable())) }},
	{8, func(l *life) bool { return len(l.missing()) > 0 }, func(l *life) { l.replug(one(l, l.missing())) }},
	{3, always, func(l *life) {
		nic := one(l, l.there())
		key := "/proc/sys/net/" + one(l, []string{"ipv4/conf/" + nic + "/log_martians", "ipv4/conf/" + nic + "/route_localnet", "ipv6/conf/" + nic + "/hop_limit"})
		l.made("sysctl "+key, "echo 17 >"+key, "grep -x 17 "+key+" || true", "").on = nic
		th := l.things[len(l.things)-1]
		th.undo = "echo " + map[bool]string{true: "64", false: "0"}[strings.HasSuffix(key, "hop_limit")] + " >" + key
	}},
	{3, always, func(l *life) {
		nic := one(l, l.there())
		if l.count("tc qdisc show dev "+nic+" root | grep 'limit 77p' || true") == 0 {
			l.made("queue of "+nic, "tc qdisc add dev "+nic+" root pfifo limit 77", "tc qdisc show dev "+nic+" root | grep 'pfifo .* limit 77p' || true",
				"if tc qdisc show dev "+nic+" root | grep -q 77p; then tc qdisc del dev "+nic+" root; fi").on = nic
		}
	}},
	{2, onAdapter, func(l *life) {
		n := l.fresh()
		l.others("ip neigh add 10.9.0.%d lladdr 02:00:00:00:00:%02x dev %s nud permanent", 100+n, n, teamName) // goes with the adapter
	}},
	{4, in(running), func(l *life) {
		l.others("ip link set %s %s", teamName, map[bool]string{true: "up", false: "down"}[l.isDown(teamName)])
	}},
	{2, in(running), func(l *life) {
		l.others("ip link set %s down; ip link set %s up", teamName, teamName)
	}},
	{2, in(running), func(l *life) { l.others("ip link set %s address 02:00:00:00:77:%02x", teamName, l.fresh()) }},
	{2, func(l *life) bool { return l.phase == running && len(l.present()) > 0 }, func(l *life) {
		nic := one(l, l.present())
		l.rename(nic, "other"+nic)
		l.rename("other"+nic, nic)
	}},
	{2, in(running), func(l *life) {
		l.ending()
		l.others("ip link del %s", teamName)
		labtest.Eventually(l.t, "the host has everything back, and the process ends", func() bool { return len(l.processes(" run "+teamName)) == 0 })
		l.phase, l.members, l.restored = none, nil, true
	}},
	{3, func(l *life) bool { return l.phase == running && len(l.upMembers()) > 0 }, func(l *life) { l.others("ip link set %s down", one(l, l.upMembers())) }},
	{6, func(l *life) bool { return len(l.downs()) > 0 }, func(l *life) { l.others("ip link set %s up", one(l, l.downs())) }},
	{3, onAdapter, func(l *life) { l.others("ip link set %s mtu %d", teamName, one(l, []int{1300, 1400, 1450})) }},
	{3, func(l *life) bool { return l.phase == running && len(l.present()) > 0 }, func(l *life) {
		nic := one(l, l.present())
		l.others("ip link set %s down; ip link set %s up", nic, nic)
	}},
}

// rename gives a member another name and waits until the team knows.
func (l *life) rename(from, to string) {
	l.others("ip link set %s down; ip link set %s name %s; ip link set %s up", from, from, to, to)
	l.await(to+" is a member", func(s *api.Status) bool {
		return slices.ContainsFunc(s.Members, func(m api.Member) bool { return m.Name == to })
	})
}

// nicOf is a device if that is a NIC.
func nicOf(device string) string {
	if device == teamName {
		return ""
	}
	return device
}

func always(*life) bool { return true }

// onAdapter is whether the adapter is there.
func onAdapter(l *life) bool {
	return l.phase == running || l.phase == dead && l.count("ip -o link show "+teamName+" 2>/dev/null || true") == 1
}

// others has somebody else run a script.
func (l *life) others(format string, args ...any) {
	l.t.Helper()
	script := fmt.Sprintf(format, args...)
	l.tell("others: %s", script)
	l.sh(script)
}

// made has others make a thing.
func (l *life) made(what, do, find, undo string) *thing {
	l.t.Helper()
	l.others("%s", do)
	th := &thing{what: what, find: find, undo: undo}
	l.things = append(l.things, th)
	return th
}

// addAddress has others give a device an address, of no subnet that is known, or of one that is.
func (l *life) addAddress(device string) {
	n := l.fresh()
	prefix := one(l, []string{fmt.Sprintf("10.50.%d.1/24", n), fmt.Sprintf("10.9.0.%d/24", 100+n), fmt.Sprintf("10.51.0.%d/32", n), fmt.Sprintf("fd50:%x::1/64", n)})
	if strings.HasPrefix(prefix, "fd") && strings.TrimSpace(l.sh("cat /proc/sys/net/ipv6/conf/"+device+"/disable_ipv6")) != "0" {
		prefix = fmt.Sprintf("10.50.%d.1/24", n)
	}
	a, _, _ := strings.Cut(prefix, "/")
	more := one(l, []string{"", "", " valid_lft 3000 preferred_lft 2000"})
	undo := fmt.Sprintf(`ip -o addr show to %s | while read -r _ dev _; do ip addr del %s dev "$dev"; done`, a, prefix)
	if strings.HasPrefix(prefix, "fd") {
		undo += "; ip -6 route flush " + prefix // the kernel leaves the one of an address with a lifetime until that ends
	}
	th := l.made("address "+a, fmt.Sprintf("ip addr add %s dev %s%s", prefix, device, more), "ip -o addr show to "+a, undo)
	th.from, th.lostByDown = nicOf(device), strings.HasPrefix(a, "fd")
}

// takeAddress has others take away an address that a NIC had at first.
func (l *life) takeAddress() {
	for _, a := range some(l, spare, len(spare)) {
		i := slices.IndexFunc(l.things, func(th *thing) bool { return th.what == "address "+a })
		if th := l.things[i]; th.want == once && l.where(a) == teamName && l.count(th.find) == 1 {
			prefix := strings.Fields(l.sh(th.find))[3]
			l.others("ip addr del %s dev %s", prefix, teamName)
			th.want, th.home = never, ""
			for nic, script := range clothes {
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

// routable is the device by which peer is reached, "" where there is none.
func (l *life) routable() string {
	f := strings.Fields(l.sh("ip -4 -o route show 10.9.0.0/24 table main | head -1"))
	if len(f) > 2 && f[1] == "dev" && (f[2] == teamName || f[2] == "eth1") && !strings.Contains(strings.Join(f, " "), "linkdown") {
		return f[2]
	}
	return ""
}

func (l *life) addRoute(device string) {
	n := l.fresh()
	route := fmt.Sprintf("10.60.%d.0/24", n)
	more := one(l, []string{"", " metric 77", " proto dhcp", " table 90", " proto static", " mtu 1200"})
	do := one(l, []string{fmt.Sprintf("ip route add %s via 10.9.0.2 dev %s", route, device), fmt.Sprintf("ip route add %s dev %s", route, device)}) + more
	th := l.made("route "+route, do, "ip route show table all "+route, fmt.Sprintf("ip route flush table all %s", route))
	th.from, th.lostByDown = nicOf(device), true
}

func (l *life) addRule() {
	n := l.fresh()
	pref := 5000 + n
	what := one(l, []string{fmt.Sprintf("from 10.70.%d.0/24", n), "iif " + teamName, "oif " + one(l, nics(lifeNICs)), "fwmark 7"})
	family := one(l, []string{"-4", "-6"})
	if family == "-6" && strings.HasPrefix(what, "from") {
		what = fmt.Sprintf("from fd70:%x::/64", n)
	}
	l.made(fmt.Sprintf("rule %d", pref), fmt.Sprintf("ip %s rule add pref %d %s lookup 88", family, pref, what),
		fmt.Sprintf("ip %s rule show pref %d", family, pref), fmt.Sprintf("ip %s rule del pref %d", family, pref))
}

// there are NICs that are plugged in.
func (l *life) there() []string {
	return slices.DeleteFunc(nics(lifeNICs), func(nic string) bool { return l.out[nic] })
}

func (l *life) missing() []string {
	return slices.DeleteFunc(nics(lifeNICs), func(nic string) bool { return !l.out[nic] })
}

func (l *life) mendable() []string {
	return slices.DeleteFunc(l.there(), func(nic string) bool { return !l.cut[nic] })
}

func (l *life) cuttable() []string {
	return slices.DeleteFunc(l.there(), func(nic string) bool { return l.cut[nic] })
}

func (l *life) upMembers() []string { return slices.DeleteFunc(l.present(), l.isDown) }

func (l *life) downs() []string {
	return slices.DeleteFunc(l.there(), func(nic string) bool { return !l.isDown(nic) })
}

func (l *life) mend(nic string) {
	l.tell("the cable of %s is mended", nic)
	if w := l.wires[nic]; w != nil {
		labtest.Must(l.t, w.Mend())
	} else {
		labtest.Must(l.t, l.cables[nic].Mend())
	}
	delete(l.cut, nic)
}

// pluggable are NICs that can be pulled out: not the last one, nor the last member.
func (l *life) pluggable() []string {
	if len(l.wires) == 0 || len(l.there()) == 1 {
		return nil
	}
	return slices.DeleteFunc(l.there(), func(nic string) bool {
		return l.phase != none && len(l.present()) == 1 && l.present()[0] == nic
	})
}

// unplug pulls a NIC out. What is on it goes with it; what the adapter has of it does not.
func (l *life) unplug(nic string) {
	l.tell("%s is pulled out", nic)
	for _, th := range l.things {
		switch th.where(l) {
		case nic:
			th.home = ""
		case "":
			// The journal has it until the NIC is back.
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

func (l *life) pull(nic string) {
	labtest.Must(l.t, l.wires[nic].A.Unplug())
	l.out[nic], l.other[nic] = true, true
	delete(l.cut, nic)
}

// replug puts a NIC back.
func (l *life) replug(nic string) {
	l.tell("%s is put back", nic)
	w := l.wires[nic]
	// The old device may still be on its way out.
	labtest.Eventually(l.t, nic+" can be put back", func() bool { return !errors.Is(w.A.Replug(), unix.EBUSY) })
	labtest.Must(l.t, w.Mend())
	delete(l.out, nic)
}
