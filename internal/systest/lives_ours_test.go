// SPDX-License-Identifier: MIT

package systest

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// ourActions are what a user does with the binary, and how its process may end.
var ourActions = []action{
	{30, in(none), (*hostLife).create},
	{6, in(none), func(l *hostLife) { l.killDuring(40, l.createArgs()...) }},
	{6, (*hostLife).canAdd, func(l *hostLife) {
		nics := pickSome(l, l.nonMembers(), 1+l.random.IntN(2))
		l.nicteam(append([]string{"add", teamName}, nics...)...)
		l.members = append(l.members, nics...)
	}},
	{5, func(l *hostLife) bool { return l.phase == running && len(l.present()) > 1 }, func(l *hostLife) {
		nic := pickOne(l, l.present())
		l.nicteam("remove", teamName, nic)
		l.members = slices.DeleteFunc(l.members, func(m string) bool { return m == nic })
	}},
	{10, in(running), func(l *hostLife) { l.nicteam("set", teamName, pickOne(l, l.settings())) }},
	{4, in(running), func(l *hostLife) { l.delete() }},
	{5, in(running), func(l *hostLife) {
		l.logf("the process is killed")
		l.processEnds(unix.SIGKILL)
	}},
	{5, in(running), func(l *hostLife) { l.nicteam("restart", teamName) }},
	{3, in(running), func(l *hostLife) { l.killDuring(30, "delete", teamName) }},
	{2, (*hostLife).canAdd, func(l *hostLife) {
		nic := pickOne(l, l.nonMembers())
		l.members = append(l.members, nic) // or not: what is known of it is put right by restore
		l.killDuring(12, "add", teamName, nic)
	}},
	{2, func(l *hostLife) bool { return l.phase == running && len(l.present()) > 1 }, func(l *hostLife) {
		l.killDuring(10, "remove", teamName, pickOne(l, l.present()))
	}},
	{3, in(dead), func(l *hostLife) {
		_ = os.Remove(l.box.Path("/run/nicteam/" + teamName + ".lock")) // it names a dead process
		l.killDuring(40, "restore")
	}},
	{10, in(dead), (*hostLife).restore},
	{20, in(dead), (*hostLife).restartOrRestore},
}

func in(p phase) func(*hostLife) bool { return func(l *hostLife) bool { return l.phase == p } }

// present are the members whose NIC is present.
func (l *hostLife) present() []string {
	return slices.DeleteFunc(slices.Clone(l.members), func(nic string) bool { return l.out[nic] })
}

// nonMembers are present NICs that are no members.
func (l *hostLife) nonMembers() []string {
	return slices.DeleteFunc(nics(lifeNICs), func(nic string) bool {
		return l.out[nic] || slices.Contains(l.members, nic)
	})
}

// settings returns some settings. xor and broadcast would need a LAG at the switch, and in 802.3ad nobody answers:
// frames pass nevertheless.
func (l *hostLife) settings() []string {
	return []string{"mode=elb", "mode=active-backup", "mode=round-robin", "mode=xor", "mode=broadcast", "mtu=1400",
		"mtu=1500", "mtu=1300",
		"datapath=relay", "datapath=auto", "primary=" + pickOne(l, l.members), "hash=layer2", "balance=off",
		"balance=on", "receive_balance=off", "up_delay=100ms", "min_members=1"}
}

// canAdd reports whether a NIC can be added, and its addresses can move to the adapter.
func (l *hostLife) canAdd() bool {
	return l.phase == running && len(l.nonMembers()) > 0 && !l.isDown(teamName)
}

// nicteam records and runs a command, which must succeed.
func (l *hostLife) nicteam(args ...string) {
	l.t.Helper()
	l.logf("nicteam %s", strings.Join(args, " "))
	l.world.nicteam(args...)
}

func (l *hostLife) createArgs() []string {
	there := slices.DeleteFunc(nics(lifeNICs), func(nic string) bool { return l.out[nic] })
	l.members = pickSome(l, there, 1+l.random.IntN(lifeNICs))
	args := append([]string{"create", teamName}, l.members...)
	args = append(args, "--mode", pickOne(l, []string{"elb", "active-backup", "active-backup", "round-robin", "xor",
		"broadcast"}))
	switch l.random.IntN(9) {
	case 0:
		args = append(args, "--address", "none")
	case 5:
		args = append(args, "--address", "10.6.0.1/24", "--gateway", "10.6.0.254")
	case 1:
		args = append(args, "--mac", "new")
	case 2:
		args = append(args, "--mtu", "1400")
	case 3, 4:
		args = append(args, "--datapath", "relay")
	}
	return args
}

func (l *hostLife) create() {
	l.nicteam(l.createArgs()...)
	l.phase = running
}

// prepareEnd notes what the end of a team loses: IPv6 addresses of the adapter if none of its NICs has IPv6.
func (l *hostLife) prepareEnd() {
	for _, th := range l.things {
		if !slices.ContainsFunc(l.members, func(nic string) bool { return nic != "eth3" }) &&
			strings.Contains(th.what, "fd") && th.where(l) == teamName {
			th.want = either
		}
	}
}

func (l *hostLife) delete() {
	l.prepareEnd()
	l.nicteam("delete", teamName)
	l.phase, l.members, l.restored = none, nil, false
}

// restore restores what a dead process left.
func (l *hostLife) restore() {
	l.prepareEnd()
	l.nicteam("restore")
	l.phase, l.members, l.restored = none, nil, true
}

// restartOrRestore starts another process for the team, or restores if too little is left of it.
func (l *hostLife) restartOrRestore() {
	path, ok := l.configured()
	if !ok {
		l.restore()
		return
	}
	l.logf("nicteam run %s --config %s", teamName, path)
	l.supervise("--config", path)
	l.phase, l.members = running, nil
	for _, m := range l.status().Members {
		l.members = append(l.members, m.Name)
	}
}

// killDuring runs the binary and kills the team's process at one of its first changes of the host.
func (l *hostLife) killDuring(within int, args ...string) {
	n := 1 + l.random.IntN(within)
	if args[0] == "delete" || args[0] == "restore" {
		l.prepareEnd()
	}
	l.logf("nicteam %s, and the process is killed at change %d", strings.Join(args, " "), n)
	died, r := l.killAt(n, func() result { return l.try(args...) })
	if died {
		// The caller may have the error, or its result; the process that it started may live.
		labtest.Eventually(l.t, "no process of the team", func() bool {
			return len(l.processes(" run "+teamName)) == 0
		})
		l.processDied()
		return
	}
	l.story[len(l.story)-1] += ", which did not come"
	if r.Code != 0 {
		l.t.Fatalf("nicteam %s: exit %d\n%s%s", strings.Join(args, " "), r.Code, r.Out, r.Err)
	}
	switch args[0] {
	case "create":
		l.phase = running
	case "restore":
		l.phase, l.members, l.restored = none, nil, true
	case "delete":
		l.phase, l.members, l.restored = none, nil, false
	case "remove":
		l.members = slices.DeleteFunc(l.members, func(m string) bool { return m == args[2] })
	}
}

// nextNumber returns a number that no artifact of others has yet.
func (l *hostLife) nextNumber() int { l.names++; return l.names }
