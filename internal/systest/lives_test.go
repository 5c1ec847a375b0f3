// SPDX-License-Identifier: MIT

package systest

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

var (
	lives = flag.Int("lives", 0, "run so many random lives, of new seeds; 0: a few of known seeds")
	seed  = flag.Uint64("seed", 0, "run only the random life of this seed")
)

// TestRandomLives configures a host with many things on its NICs and lets users, other programs and failures act on it
// and on a team at random. Then it ends the team and checks that the host is as before, except for what others did. A
// seed repeats a run:
func TestRandomLives(t *testing.T) {
	t.Parallel()
	seeds := knownSeeds
	switch first := rand.Uint64() >> 32; {
	case *seed != 0:
		seeds = []uint64{*seed}
	case *lives > 0:
		seeds = nil
		for i := range uint64(*lives) {
			seeds = append(seeds, first+i)
		}
	}
	for _, s := range seeds {
		t.Run(fmt.Sprintf("seed %d", s), func(t *testing.T) {
			parallel(t)
			newLife(t, s).run()
		})
	}
}

// knownSeeds give runs that have little in common.
var knownSeeds = []uint64{1, 2}

// A hostLife is a random sequence of actions on a team and its host. Every choice is drawn from random, in order.
type hostLife struct {
	*world
	random *rand.Rand
	before state
	story  []string

	phase    phase
	members  []string    // as configured
	restored bool        // the last team ended by restore
	things   []*artifact // what checkArtifacts looks for
	names    int         // of artifacts that others made, for nextNumber
	out      map[string]bool
	cut      map[string]bool
	other    map[string]bool // NICs that were unplugged: they have another ifindex
}

// phase is what exists of the team.
type phase int

const (
	none    phase = iota
	running       // its process answers
	dead          // journal and adapter are there, or parts of them; no process is
)

// lifeNICs is the number of NICs of box. The last one is not configured.
const lifeNICs = 4

// nicConfigs are the initial configurations of NICs.
var nicConfigs = map[string]string{
	"eth1": `
		ip link set eth1 mtu 1450
		ip addr add 10.9.0.1/24 dev eth1
		ip addr add 10.9.0.11/24 dev eth1 label eth1:web
		ip addr add 10.9.0.12/24 dev eth1
		ip addr add 10.9.1.1/24 dev eth1 valid_lft 3600 preferred_lft 1800
		ip addr add 10.9.4.1 peer 10.9.4.2/32 dev eth1
		ip addr add 10.9.3.1/24 dev eth1 noprefixroute
		ip addr add 10.9.5.1/24 dev eth1 metric 50
		ip -6 addr add fd09::1/64 dev eth1 nodad
		ip -6 addr add fd09::11/64 dev eth1 nodad
		ip -6 addr add fd09:1::1/64 dev eth1 nodad valid_lft 3600 preferred_lft 1800
		ip route add default via 10.9.0.2 dev eth1 proto static metric 100 mtu 1300
		ip route add 10.20.0.0/16 via 10.9.0.2 dev eth1 src 10.9.0.11 metric 7
		ip route add 10.21.0.0/16 via 192.0.2.1 dev eth1 onlink table 77
		ip -6 route add default via fd09::2 dev eth1 metric 1024
		ip -6 route add fd20::/32 via fd09::2 dev eth1 src fd09::11
		ip neigh add 10.9.0.200 lladdr 02:00:00:00:00:c8 dev eth1 nud permanent
		ip -6 neigh add fd09::c8 lladdr 02:00:00:00:00:c8 dev eth1 nud permanent
		echo 1 >/proc/sys/net/ipv4/conf/eth1/arp_ignore
		ethtool -K eth1 gro on tso off >/dev/null`,
	"eth2": `
		ip addr add 10.8.0.1/24 dev eth2
		ip addr add 10.8.0.2/24 dev eth2
		ip -6 addr add fd08::1/64 dev eth2 nodad
		ip route add 10.24.0.0/16 dev eth2 scope link table 1000
		ip -6 route add fd21::/32 via fd08::fd dev eth2 table 77
		ip neigh add 10.8.0.200 lladdr 02:00:00:00:00:c9 dev eth2 nud permanent
		echo 2 >/proc/sys/net/ipv6/conf/eth2/accept_ra`,
	"eth3": `
		echo 1 >/proc/sys/net/ipv6/conf/eth3/disable_ipv6
		ip addr add 10.7.0.1/24 dev eth3
		ip route add 10.25.0.0/16 via 10.7.0.254 dev eth3 proto dhcp metric 300`,
	"eth4": ``,
}

// removeConfigs removes from a NIC what nicConfigs have, which may have moved to it.
const removeConfigs = `
	ip addr flush dev %[1]s scope global
	ip -6 route flush root fd00::/8 dev %[1]s
	for table in main 77 1000; do for proto in boot static dhcp; do for family in -4 -6; do ip $family route flush dev %[1]s table $table proto $proto 2>/dev/null || true; done; done; done
	ip neigh flush dev %[1]s nud permanent`

// Addresses that clothes have, and those of them that others take away: no other depends on these.
var (
	worn = []string{"10.9.0.1", "10.9.0.11", "10.9.0.12", "10.9.1.1", "10.9.3.1", "10.9.4.1", "10.9.5.1", "fd09::1",
		"fd09::11", "fd09:1::1", "10.8.0.1", "10.8.0.2", "fd08::1", "10.7.0.1"}
	spare   = []string{"10.9.0.12", "10.9.3.1", "fd09:1::1", "10.8.0.2"}
	hostOwn = `
		ip rule add pref 100 iif eth1 lookup 77
		ip rule add pref 102 from 10.9.0.11 lookup 77
		ip -6 rule add pref 101 oif eth2 lookup 78`
)

func newLife(t *testing.T, seed uint64) *hostLife {
	labtest.Tool(t, "ip", "iproute2")
	labtest.Tool(t, "ethtool", "ethtool")
	l := &hostLife{random: rand.New(rand.NewPCG(seed, 0)), out: map[string]bool{}, cut: map[string]bool{},
		other: map[string]bool{}}
	// NICs that can be pulled out, or those of other hosts' tests.
	l.world = newWorld(t, worldOptions{NICs: lifeNICs, NoAddress: true, Cables: l.random.IntN(3) == 0})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what happened, of seed %d:\n%s", seed, strings.Join(l.story, "\n"))
		}
	})
	labtest.Must(t, l.box.Sysctl("ipv6/conf/default/accept_dad", "0"))
	labtest.Must(t, l.box.Sysctl("ipv4/conf/all/arp_ignore",
		"1")) // peer learns the MAC of the device that has an address, not of any
	labtest.Must(t, l.box.Sysctl("ipv4/conf/all/promote_secondaries",
		"1")) // as systemd's hosts have it: undoing one address takes no other
	for _, nic := range nics(lifeNICs) {
		l.sh(nicConfigs[nic])
	}
	l.sh(hostOwn)
	for _, a := range worn {
		l.things = append(l.things, &artifact{what: "address " + a, find: "ip -o addr show to " + a, home: l.where(a)})
	}
	l.before = l.state()
	return l
}

// run does some actions, ends the team and checks the host.
func (l *hostLife) run() {
	for range 4 + l.random.IntN(10) {
		was := l.phase
		l.step()
		if l.phase == none && was != none {
			l.checkArtifacts()
		}
		l.reachable()
		if l.t.Failed() {
			return
		}
	}
	l.repair()
	l.end()
	if l.t.Failed() {
		return
	}
	l.checkHost()
}

// logf records an action.
func (l *hostLife) logf(format string, args ...any) {
	l.story = append(l.story, fmt.Sprintf("%3d  ", len(l.story)+1)+fmt.Sprintf(format, args...))
}

// pickOne draws an element of a list.
func pickOne[T any](l *hostLife, list []T) T { return list[l.random.IntN(len(list))] }

// pickSome draws n elements of a list, in any order.
func pickSome[T any](l *hostLife, list []T, n int) []T {
	list = slices.Clone(list)
	l.random.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list[:min(n, len(list))]
}

// step does a random action out of the possible ones.
func (l *hostLife) step() {
	var can []action
	sum := 0
	for _, d := range slices.Concat(ourActions, othersActions) {
		if d.can(l) {
			can = append(can, d)
			sum += d.weight
		}
	}
	n := l.random.IntN(sum)
	for _, d := range can {
		if n -= d.weight; n < 0 {
			d.do(l)
			return
		}
	}
}

// action is something that may happen.
type action struct {
	weight int
	can    func(*hostLife) bool
	do     func(*hostLife)
}

// repair undoes failures: NICs plugged, cables plugged, links up.
func (l *hostLife) repair() {
	for _, nic := range nics(lifeNICs) {
		if l.out[nic] {
			l.replug(nic)
		}
		if l.cut[nic] {
			l.plugCable(nic)
		}
		if l.isDown(nic) {
			l.runOthers("ip link set %s up", nic)
		}
	}
}

// end ends the team by delete or restore.
func (l *hostLife) end() {
	if l.phase == dead && l.random.IntN(2) == 0 {
		l.restore()
	}
	if l.phase == dead {
		l.restartOrRestore()
	}
	if l.phase == running {
		l.delete()
	}
	// The journal keeps the part of a NIC that was absent.
	if _, err := os.Stat(l.box.Path("/var/lib/nicteam/" + teamName + ".journal")); err == nil {
		l.restore()
	}
}

// collectConfig removes the configuration of a NIC from whatever NICs have it.
func (l *hostLife) collectConfig(nic string) {
	for line := range strings.Lines(nicConfigs[nic]) {
		f := strings.Fields(line)
		i := slices.Index(f, "add")
		switch {
		case i < 1 || i+1 >= len(f) || f[0] != "ip":
		case f[i-1] == "addr":
			a, _, _ := strings.Cut(f[i+1], "/")
			l.sh("ip addr flush to " + a)
			if f[1] == "-6" { // the kernel leaves the route of an address with a lifetime until that ends
				l.sh("ip -6 route flush " + f[i+1] + " || true")
			}
		case f[i-1] == "route" && f[1] == "-6":
			l.sh("ip -6 route flush table all " + f[i+1] + " || true")
		case f[i-1] == "route":
			l.sh("ip route flush table all " + f[i+1] + " || true")
		}
	}
}

// checkHost checks that the host is as before, except for what others did.
func (l *hostLife) checkHost() {
	for _, file := range l.leftFiles() {
		l.t.Errorf("%s is left", file)
	}
	labtest.Eventually(l.t, "no process is left", func() bool { return len(l.processes("nicteam")) == 0 })
	l.checkArtifacts()
	if l.t.Failed() {
		return
	}
	l.reachable()
	bare := map[string]bool{} // NICs that have not what they wore, or more
	for _, th := range l.things {
		if at := th.where(l); th.home != "" && at != th.home {
			bare[th.home], bare[at] = true, true
		}
	}
	for _, th := range slices.Backward(l.things) {
		if th.undo != "" {
			l.sh(th.undo)
		}
	}
	for _, nic := range nics(lifeNICs) {
		if l.other[nic] {
			l.collectConfig(nic)
			l.pull(nic)
			l.replug(nic)
		} else if bare[nic] {
			l.collectConfig(nic)
			l.sh(fmt.Sprintf(removeConfigs, nic))
		}
	}
	for _, nic := range nics(lifeNICs) {
		if l.other[nic] || bare[nic] {
			l.sh(nicConfigs[nic])
		}
	}
	if l.t.Failed() {
		return
	}
	before, after := l.before.all, l.state().all
	for end := time.Now().Add(carrierTime); time.Now().Before(end) && l.difference(before, after) != ""; {
		after = l.state().all
	}
	if d := l.difference(before, after); d != "" {
		l.t.Errorf("the host is not as it was:\n%s", d)
	}
}

// checkArtifacts checks every artifact.
func (l *hostLife) checkArtifacts() {
	for _, th := range l.things {
		th.check(l)
	}
}

// leftFiles returns files of the team that should not exist. After a restore, configuration, log and history stay: the
// team may run again.
func (l *hostLife) leftFiles() (files []string) {
	for _, dir := range []string{"/run/nicteam/", "/var/lib/nicteam/", "/etc/nicteam/"} {
		entries, err := os.ReadDir(l.box.Path(dir))
		labtest.Must(l.t, err)
		for _, e := range entries {
			files = append(files, dir+e.Name())
		}
	}
	return slices.DeleteFunc(files, func(f string) bool {
		return l.restored && (f == "/etc/nicteam/"+teamName+".yaml" ||
			slices.Contains([]string{".log", ".history", ".events"}, filepath.Ext(f)))
	})
}

// linkIndexLine is the part of a snapshot with the ifindex of a NIC.
var linkIndexLine = regexp.MustCompile(`^(link eth\d index) \d+`)

// difference compares snapshots, except for the ifindex of NICs that were unplugged.
func (l *hostLife) difference(a, b lab.Snapshot) string {
	known := func(s lab.Snapshot) lab.Snapshot {
		s = slices.Clone(s)
		for i, line := range s {
			if nic, _, _ := strings.Cut(strings.TrimPrefix(line, "link "), " "); l.other[nic] {
				s[i] = linkIndexLine.ReplaceAllString(line, "$1 -")
			}
		}
		slices.Sort(s)
		return s
	}
	return lab.Diff(known(a), known(b))
}

// reachable waits until peer reaches box, if it can: not by a cable that is cut, and not while no process forwards.
func (l *hostLife) reachable() {
	device := l.where(box4.String())
	way := func(nic string) bool { return !l.out[nic] && !l.cut[nic] && !l.isDown(nic) }
	switch {
	case device == teamName && l.phase == running && !l.isDown(teamName) && slices.ContainsFunc(l.members, way):
	case device != teamName && device != "" && !slices.Contains(l.members, device) && way(device):
	default:
		return
	}
	// Another NIC may have an address of the same subnet and answer.
	if f := strings.Fields(l.sh("ip -o route get " + peer4.String() + " from " + box4.String() +
		" 2>/dev/null || true")); !slices.Contains(f, device) {
		return
	}
	reach(l.t, l.peer, box4)
}

// where returns the device that has an address, "" if none has.
func (l *hostLife) where(address string) string {
	f := strings.Fields(l.sh("ip -o addr show to " + address))
	if len(f) < 2 {
		return ""
	}
	return f[1]
}

// isDown reports whether a device is set down.
func (l *hostLife) isDown(device string) bool {
	return link(l.t, l.box, device).RawFlags&unix.IFF_UP == 0
}

// count returns the number of lines that a script prints.
func (l *hostLife) count(script string) int {
	return strings.Count(l.sh(script), "\n")
}

// processEnds kills the team's process.
func (l *hostLife) processEnds(by unix.Signal) {
	l.kill(l.teamProcess(), by)
	l.processDied()
}

// processDied notes that the process is gone. What others added to an adapter that is down is lost.
func (l *hostLife) processDied() {
	l.phase = dead
	if !onAdapter(l) || !l.isDown(teamName) {
		return
	}
	for _, th := range l.things {
		if th.want == once && th.lostByDown && l.count(th.find) == 0 {
			th.want = either
		}
	}
}

// configured returns a file with the configuration of the team, if there is one.
func (l *hostLife) configured() (path string, ok bool) {
	for _, path := range []string{"/run/nicteam/" + teamName + ".yaml", "/etc/nicteam/" + teamName + ".yaml"} {
		if _, err := os.Stat(l.box.Path(path)); err == nil {
			return path, true
		}
	}
	return "", false
}
