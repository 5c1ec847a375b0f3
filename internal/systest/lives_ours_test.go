package systest

import (
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
)

// ourDeeds are what a user has the program do, and how its process can end.
var ourDeeds = []deed{
	{30, in(none), (*life).create},
	{6, in(none), func(l *life) { l.dies(40, l.createArgs()...) }},
	{6, (*life).canAdd, func(l *life) {
		nics := some(l, l.strangers(), 1+l.random.IntN(2))
		l.nicteamDoes(append([]string{"add", teamName}, nics...)...)
		l.members = append(l.members, nics...)
	}},
	{5, func(l *life) bool { return l.phase == running && len(l.present()) > 1 }, func(l *life) {
		nic := one(l, l.present())
		l.nicteamDoes("remove", teamName, nic)
		l.members = slices.DeleteFunc(l.members, func(m string) bool { return m == nic })
	}},
	{10, in(running), func(l *life) { l.nicteamDoes("set", teamName, one(l, l.settings())) }},
	{4, in(running), func(l *life) { l.delete() }},
	{5, in(running), func(l *life) {
		by := one(l, []unix.Signal{unix.SIGKILL, unix.SIGKILL, unix.SIGTERM})
		l.tell("the process ends by %v", by)
		l.processEnds(by)
	}},
	{3, in(running), func(l *life) { l.dies(30, "delete", teamName) }},
	{2, (*life).canAdd, func(l *life) {
		nic := one(l, l.strangers())
		l.members = append(l.members, nic) // or not: what is known of it is put right by restore
		l.dies(12, "add", teamName, nic)
	}},
	{2, func(l *life) bool { return l.phase == running && len(l.present()) > 1 }, func(l *life) {
		l.dies(10, "remove", teamName, one(l, l.present()))
	}},
	{3, in(dead), func(l *life) {
		_ = os.Remove(l.box.Path("/run/nicteam/" + teamName + ".lock")) // it names a dead process
		l.dies(40, "restore")
	}},
	{10, in(dead), (*life).restore},
	{20, in(dead), (*life).goOn},
}

func in(p phase) func(*life) bool { return func(l *life) bool { return l.phase == p } }

// present are the members whose NICs are there.
func (l *life) present() []string {
	return slices.DeleteFunc(slices.Clone(l.members), func(nic string) bool { return l.out[nic] })
}

// strangers are NICs that are there and no members.
func (l *life) strangers() []string {
	return slices.DeleteFunc(nics(lifeNICs), func(nic string) bool { return l.out[nic] || slices.Contains(l.members, nic) })
}

// settings are some of what can be set. In xor and broadcast the switch would have to know of a group, and in 802.3ad
// nobody answers: frames pass all the same.
func (l *life) settings() []string {
	return []string{"mode=elb", "mode=active-backup", "mode=round-robin", "mode=xor", "mode=broadcast", "mtu=1400", "mtu=1500", "mtu=1300",
		"datapath=relay", "datapath=auto", "primary=" + one(l, l.members), "hash=layer2", "balance=off", "balance=on", "receive_balance=off", "up_delay=100ms", "min_members=1"}
}

// canAdd is whether there is a NIC to add, and an adapter that takes its addresses.
func (l *life) canAdd() bool {
	return l.phase == running && len(l.strangers()) > 0 && !l.isDown(teamName)
}

// nicteamDoes runs the program, which must succeed.
func (l *life) nicteamDoes(args ...string) {
	l.t.Helper()
	l.tell("nicteam %s", strings.Join(args, " "))
	l.nicteam(args...)
}

func (l *life) createArgs() []string {
	there := slices.DeleteFunc(nics(lifeNICs), func(nic string) bool { return l.out[nic] })
	l.members = some(l, there, 1+l.random.IntN(lifeNICs))
	args := append([]string{"create", teamName}, l.members...)
	args = append(args, "--mode", one(l, []string{"elb", "active-backup", "active-backup", "round-robin", "xor", "broadcast"}))
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

func (l *life) create() {
	l.nicteamDoes(l.createArgs()...)
	l.phase = running
}

// ending is before a team ends: where no NIC of its has IPv6, nobody can get an IPv6 address of the adapter.
func (l *life) ending() {
	for _, th := range l.things {
		if !slices.ContainsFunc(l.members, func(nic string) bool { return nic != "eth3" }) && strings.Contains(th.what, "fd") && th.where(l) == teamName {
			th.want = either
		}
	}
}

func (l *life) delete() {
	l.ending()
	l.nicteamDoes("delete", teamName)
	l.phase, l.members, l.restored = none, nil, false
}

// restore gives back what a dead process left.
func (l *life) restore() {
	l.ending()
	l.nicteamDoes("restore")
	l.phase, l.members, l.restored = none, nil, true
}

// goOn starts another process for the team, or restores where too little of it was left.
func (l *life) goOn() {
	path, ok := l.configured()
	if !ok {
		l.restore()
		return
	}
	l.tell("nicteam run %s --config %s", teamName, path)
	l.supervise("--config", path)
	l.phase, l.members = running, nil
	for _, m := range l.status().Members {
		l.members = append(l.members, m.Name)
	}
}

// dies runs the program and kills the team's process at one of the first changes of the host.
func (l *life) dies(within int, args ...string) {
	n := 1 + l.random.IntN(within)
	if args[0] == "delete" || args[0] == "restore" {
		l.ending()
	}
	l.tell("nicteam %s, and the process is killed at change %d", strings.Join(args, " "), n)
	died, r := l.killAt(n, func() result { return l.try(args...) })
	if died {
		// Whoever called it may have been told so, or have had his answer; what it started may still live.
		labtest.Eventually(l.t, "no process of the team", func() bool { return len(l.processes(" run "+teamName)) == 0 })
		l.died()
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

// fresh is a number that no other thing of others has.
func (l *life) fresh() int { l.names++; return l.names }
