// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// shows reports whether the output of ip in box contains a word. An error of ip is no output.
func (w *world) shows(args, word string) bool {
	out, _ := w.box.Command("ip", strings.Fields(args)...).CombinedOutput()
	return strings.Contains(string(out), word)
}

// awaitShown waits until the output of ip in box contains a word, awaitGone until it does not.
func (w *world) awaitShown(args, word string) {
	w.t.Helper()
	labtest.Eventually(w.t, fmt.Sprintf("%q in ip %s", word, args), func() bool { return w.shows(args, word) })
}

func (w *world) awaitGone(args, word string) {
	w.t.Helper()
	labtest.Eventually(w.t, fmt.Sprintf("no %q in ip %s", word, args), func() bool { return !w.shows(args, word) })
}

// TestLate has addresses, routes and more come to members of a running team as programs set them: all of it works by
// the adapter at once, survives a death of the process, and belongs to the NIC in the end.
func TestLate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, add string
		show      string // what ip shows of the adapter, and of the NIC in the end
		word      string
		onMember  bool // it stays there, too
	}{
		{"address", "addr add 10.9.0.77/24 dev eth2", "addr show dev %s", "inet 10.9.0.77/24", false},
		{"lease", "addr add 10.9.0.77/24 dev eth2 valid_lft 3600 preferred_lft 1800", "addr show dev %s",
			"inet 10.9.0.77/24", false},
		{"label", "addr add 10.9.0.77/24 dev eth2 label eth2:web", "addr show dev %s", ":web", false},
		{"metric", "addr add 10.5.0.77/24 dev eth2 metric 77", "route show dev %s",
			"10.5.0.0/24 proto kernel scope link src 10.5.0.77 metric 77", false},
		{"point to point", "addr add 10.5.0.1 peer 10.5.0.2/32 dev eth2", "addr show dev %s",
			"10.5.0.1 peer 10.5.0.2/32", false},
		{"host address", "addr add 10.5.0.9/32 dev eth2", "addr show dev %s", "10.5.0.9/32", false},
		{"default route", "addr add 10.5.0.77/24 dev eth2; " +
			"ip route add default via 10.5.0.1 dev eth2 proto dhcp src 10.5.0.77 metric 1002",
			"route show dev %s", "default via 10.5.0.1 proto dhcp src 10.5.0.77 metric 1002", false},
		{"static route", "addr add 10.5.0.77/24 dev eth2; " +
			"ip route add 10.50.0.0/16 via 10.5.0.1 dev eth2 proto static",
			"route show dev %s", "10.50.0.0/16 via 10.5.0.1 proto static", false},
		{"route in a table", "addr add 10.5.0.77/24 dev eth2; " +
			"ip route add 10.50.0.0/16 via 10.5.0.1 dev eth2 table 88",
			"route show table 88 dev %s", "10.50.0.0/16 via 10.5.0.1", false},
		{"rule", "rule add pref 300 iif eth2 lookup 88", "rule show", "from all iif %s lookup 88", true},
		{"permanent neighbour", "neigh add 10.9.0.200 lladdr 02:00:00:00:00:c8 dev eth2 nud permanent",
			"neigh show dev %s", "10.9.0.200 lladdr 02:00:00:00:00:c8", true},
		{"proxy", "neigh add proxy 10.9.0.99 dev eth2", "neigh show proxy dev %s", "10.9.0.99", true},
		{"inverted rule", "rule add not pref 300 iif eth2 lookup 88", "rule show", "not from all iif %s lookup 88",
			false},
		{"IPv6 address", "addr show >/dev/null; echo 0 >/proc/sys/net/ipv6/conf/eth2/disable_ipv6; " +
			"ip addr add fd05::7/64 dev eth2 nodad", "addr show dev %s", "fd05::7/64", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{Cables: true})
			w.create(nics(2), "--mode", "active-backup")
			conn := w.startEcho()
			w.ip(tt.add)
			of := func(nic string) (args, word string) {
				return strings.ReplaceAll(tt.show, "%s", nic), strings.ReplaceAll(tt.word, "%s", nic)
			}
			w.awaitShown(of(teamName))
			if !tt.onMember {
				w.awaitGone(of("eth2"))
			}
			conn.check("after it came")
			if strings.Contains(tt.add, "addr add") {
				if said := w.eventReasons("address-adopted"); len(said) != 1 || !strings.HasPrefix(said[0], "eth2 ") {
					t.Errorf("events %q", said)
				}
			}
			w.kill(w.teamProcess(), unix.SIGKILL)
			w.nicteam("restore", teamName)
			w.awaitShown(of("eth2"))
			if w.shows("addr show dev eth1", "10.9.0.77") {
				t.Error("eth1 has the address of eth2")
			}
			if out := w.sh("ip rule show"); strings.Contains(out, teamName) {
				t.Errorf("rules of the adapter are left:\n%s", out)
			}
		})
	}
}

// TestLateIsLeft has addresses come to members of teams with configured addresses.
func TestLateIsLeft(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"none", "10.9.0.5/24"} {
		t.Run(address, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{Cables: true})
			w.create(nics(2), "--address", address)
			w.ip("addr add 10.9.0.77/24 dev eth2")
			labtest.Eventually(t, "it is told of", func() bool { return len(w.eventReasons("drift")) > 0 })
			if said := w.eventReasons("drift"); len(said) != 1 || !strings.HasPrefix(said[0], "eth2 10.9.0.77/24") {
				t.Errorf("events %q", said)
			}
			if w.shows("addr show dev "+teamName, "10.9.0.77") || !w.shows("addr show dev eth2", "10.9.0.77") {
				t.Error("it was moved")
			}
			w.nicteam("delete", teamName)
		})
	}
}

// TestLeft removes addresses and routes from the adapter: neither a restart nor the end brings them back.
func TestLeft(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.ip("addr add 10.9.0.11/24 dev eth1; ip addr add fd09::11/64 dev eth1 nodad; " +
		"ip route add 10.60.0.0/16 via 10.9.0.2 dev eth1; ip rule add pref 300 iif eth1 lookup 88")
	w.create(nics(2))
	conn := w.startEcho()
	w.ip("route del 10.60.0.0/16 dev team0; ip rule del pref 300 iif eth1 lookup 88; " +
		"ip addr del 10.9.0.11/24 dev team0; ip addr del fd09::11/64 dev team0")
	labtest.Eventually(t, "events", func() bool { return len(w.eventReasons("address-left")) == 2 })
	w.awaitGone("rule show", teamName)
	w.kill(w.teamProcess(), unix.SIGKILL)
	run := w.supervise("--config", w.box.Path("/run/nicteam/team0.yaml"))
	conn.check("after a restart")
	w.nicteam("delete", teamName)
	run.ended(t, "delete")
	out := w.sh("ip addr show; ip route show; ip rule show")
	for _, word := range []string{"10.9.0.11", "fd09::11", "10.60.0.0", "iif"} {
		if strings.Contains(out, word) {
			t.Errorf("%s is back:\n%s", word, out)
		}
	}
	if !strings.Contains(out, box4.String()+"/24") {
		t.Errorf("%s is not:\n%s", box4, out)
	}
}

// TestLeftForgottenByElb: peers of an address that left the adapter, or the bridge that it is a port of, are steered no
// more.
func TestLeftForgottenByElb(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.create(nics(2))
	// peerAsks makes peer ask for addresses. A team that has not noticed yet that it has one again learns nothing of
	// it.
	peerAsks := func(addresses ...string) {
		for _, a := range addresses {
			_ = w.peer.Command("ip", "neigh", "del", a, "dev", "eth0").Run()
			_ = w.peer.Command("ping", "-c1", "-W1", a).Run()
		}
	}
	talks := func(want ...string) {
		t.Helper()
		var ours []string
		defer func() {
			if t.Failed() {
				t.Logf("talked to are %q: %+v\n%s", ours, w.peers().Peers, w.sh("ip addr show dev team0"))
			}
		}()
		labtest.Eventually(t, fmt.Sprintf("talked to are %q", want), func() bool {
			ours = nil
			for _, p := range w.peers().Peers {
				ours = append(ours, p.Ours)
			}
			slices.Sort(ours)
			ours = slices.Compact(ours)
			peerAsks(slices.DeleteFunc(slices.Clone(want), func(a string) bool { return slices.Contains(ours, a) })...)
			return slices.Equal(ours, want)
		})
	}
	w.ip("-6 addr flush dev team0; ip addr add 10.9.0.100/24 dev team0")
	talks("10.9.0.1", "10.9.0.100")
	w.ip("addr del 10.9.0.100/24 dev team0")
	talks("10.9.0.1")
	w.ip("link add br0 type bridge; ip link set team0 master br0; ip link set br0 up; " +
		"ip addr del 10.9.0.1/24 dev team0; ip addr add 10.9.0.1/24 dev br0; ip addr add 10.9.0.101/24 dev br0")
	talks("10.9.0.1", "10.9.0.101")
	w.ip("addr del 10.9.0.101/24 dev br0")
	talks("10.9.0.1")
	w.ip("link set team0 nomaster; ip link del br0; ip addr add 10.9.0.1/24 dev team0")
	w.nicteam("delete", teamName)
}

// TestAdapterDownAndUp: the adapter goes down and up like a NIC, but keeps routes that were set by hand; also when both
// happen before the team reads them.
func TestAdapterDownAndUp(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.ip("route add default via 10.9.0.2 dev eth1; ip route add 10.60.0.0/16 via 10.9.0.2 dev eth1 proto static " +
		"metric 9; ip -6 route add fd60::/32 via fd09::2 dev eth1; " +
		"ip route add 10.61.0.0/16 via 10.9.0.2 dev eth1 table 88; " +
		"ip neigh add 10.9.0.200 lladdr 02:00:00:00:00:c8 dev eth1 nud permanent")
	w.create(nics(2))
	w.ip("addr add fd09::99/64 dev team0 nodad; ip route add 10.62.0.0/16 via 10.9.0.2 dev team0; " +
		"ip route add 10.63.0.0/16 via 10.9.0.2 dev team0 proto bird")
	show := func() string {
		out := w.sh("ip -br -4 addr show dev team0; " +
			"ip -br -6 addr show dev team0 scope global | tr ' ' '\\n' | sort; ip route show dev team0; " +
			"ip route show table 88; ip -6 route show dev team0 proto boot; ip neigh show dev team0 nud permanent")
		var kept []string
		for line := range strings.Lines(out) {
			if !strings.Contains(line, "bird") {
				kept = append(kept, strings.ReplaceAll(line, " linkdown", ""))
			}
		}
		return strings.Join(kept, "")
	}
	before := show()

	w.ip("link set team0 down")
	s := w.await("down", func(s *api.Status) bool { return s.State == "down" })
	if !strings.Contains(s.Reason, "ip link set team0 up") {
		t.Errorf("reason %q", s.Reason)
	}
	w.ip("link set team0 up")
	w.await("up", func(s *api.Status) bool { return s.State == "up" })
	labtest.Eventually(t, "all is there", func() bool { return show() == before })
	w.startEcho().check("after down and up")

	for range 5 {
		w.ip("route add 10.64.0.0/16 via 10.9.0.2 dev team0; ip route del 10.62.0.0/16 dev team0; " +
			"ip link set team0 down; ip link set team0 up; ip link set team0 down; ip link set team0 up")
		w.awaitShown("route show dev team0", "10.64.0.0/16")
		w.awaitShown("-6 addr show dev team0", "fd09::99/64")
		w.await("up", func(s *api.Status) bool { return s.State == "up" })
		if w.shows("route show dev team0", "10.62.0.0") {
			t.Fatal("a route that somebody removed is back")
		}
		w.ip("route del 10.64.0.0/16 dev team0; ip route add 10.62.0.0/16 via 10.9.0.2 dev team0")
	}
	labtest.Eventually(t, "all is there", func() bool { return show() == before })
	if t.Failed() {
		t.Logf("was\n%s\nis\n%s", before, show())
	}
	w.nicteam("delete", teamName)
	if !w.shows("route show dev eth1", "10.60.0.0/16") || !w.shows("route show table 88", "10.61.0.0/16") {
		t.Error("routes are not given back")
	}
}

// TestAdapterTaken deletes the adapter: the host gets what the adapter had last, and the process ends with an error.
func TestAdapterTaken(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"link del team0", "link set team0 netns elsewhere"} {
		t.Run(how, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{Cables: true})
			w.ip("route add default via 10.9.0.2 dev eth1")
			w.create(nics(2))
			w.ip("addr add 10.5.0.1/24 dev team0; ip route add 10.50.0.0/16 via 10.5.0.2 dev team0; " +
				"ip addr add fd05::1/64 dev team0 nodad; ip addr add 10.9.0.77/24 dev eth2")
			w.awaitShown("addr show dev team0", "10.9.0.77")
			pid := w.teamProcess()
			if strings.Contains(how, "netns") {
				w.sh("ip netns add elsewhere || { mkdir -p /run/netns; ip netns add elsewhere; }")
				t.Cleanup(func() { w.sh("ip netns del elsewhere") })
			}
			begun := time.Now()
			w.ip(how)
			w.awaitShown("addr show dev eth1", box4.String()+"/24")
			w.awaitEnd(pid)
			t.Logf("given back and ended in %v", time.Since(begun))
			for args, word := range map[string]string{
				"-4 addr show dev eth1": "10.5.0.1/24", "-6 addr show dev eth1": "fd05::1/64",
				"addr show dev eth2":  "10.9.0.77/24",
				"route show dev eth1": "10.50.0.0/16", "route show default": "dev eth1",
			} {
				if !w.shows(args, word) {
					t.Errorf("no %s: %s", word, w.sh("ip addr show; ip route show"))
				}
			}
			if r := w.try("status", teamName); r.Code == 0 {
				t.Errorf("status says %s", r.Out)
			}
			if w.sh("ls /etc/nicteam") != "team0.yaml\n" {
				t.Error("the configuration does not stay")
			}
			w.nicteam("create", teamName, "eth1", "eth2")
			w.startEcho().check("with another team")
			w.nicteam("delete", teamName)
		})
	}
}

// memberCalled returns the member of that name, or none while names change.
func memberCalled(s *api.Status, nic string) (none api.Member) {
	for _, m := range s.Members {
		if m.Name == nic {
			return m
		}
	}
	return none
}

// TestRenamed renames adapter and members of a running team.
func TestRenamed(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	labtest.Must(t, w.box.Sysctl("ipv6/conf/all/keep_addr_on_down", "1"))
	w.ip("rule add pref 300 iif eth1 lookup 88; ip rule add pref 301 oif eth2 lookup 88")
	before := w.state()
	w.create(nics(2), "--mode", "active-backup", "--primary", "eth1")
	conn := w.startEcho()
	w.ip("link set team0 down; ip link set team0 name lan; ip link set lan up")
	w.await("the adapter's name", func(s *api.Status) bool { return s.Adapter.Name == "lan" && s.State == "up" })
	w.awaitShown("rule show", "iif lan")
	w.awaitGone("rule show", "iif team0")

	// Two members swap names: for a moment neither has one of its own.
	w.ip("link set eth1 down; ip link set eth2 down; ip link set eth1 name x; ip link set eth2 name eth1; " +
		"ip link set x name eth2; ip link set eth1 up; ip link set eth2 up")
	mac := w.mac("eth2")
	w.await("names", func(s *api.Status) bool {
		return memberCalled(s, "eth2").MAC == mac && s.Settings.Primary == "eth2"
	})
	w.await("up", func(s *api.Status) bool { return s.State == "up" })
	conn.check("after all that")
	if kept := w.sh("cat /etc/nicteam/team0.yaml"); !strings.Contains(kept, "primary: eth2") {
		t.Errorf("not kept:\n%s", kept)
	}
	w.kill(w.teamProcess(), unix.SIGKILL)
	run := w.supervise("--config", w.box.Path("/run/nicteam/team0.yaml"))
	w.await("up", func(s *api.Status) bool { return s.State == "up" && s.Adapter.Name == "lan" })
	conn.check("after a restart")
	w.nicteam("remove", teamName, "eth1")
	w.nicteam("add", teamName, "eth1")
	w.nicteam("delete", teamName)
	run.ended(t, "delete")
	w.ip("link set eth1 down; ip link set eth2 down; ip link set eth1 name x; ip link set eth2 name eth1; " +
		"ip link set x name eth2; ip link set eth1 up; ip link set eth2 up")
	w.checkUnchanged("after delete", before)
}

// TestRenamedToAnAbsentMember gives a member the name of an absent one, as when a broken NIC is replaced.
func TestRenamedToAnAbsentMember(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.create(nics(3), "--mode", "active-backup", "--primary", "eth3")
	mac := w.mac("eth2")
	w.ip("link del eth1")
	w.awaitMember("eth1", "absent")
	w.ip("link set eth2 down; ip link set eth2 name eth1; ip link set eth1 up")
	w.await("names", func(s *api.Status) bool {
		return memberCalled(s, "eth1").MAC == mac && memberCalled(s, "eth1").State == "standby" &&
			memberCalled(s, "eth2").State == "absent"
	})
	w.kill(w.teamProcess(), unix.SIGKILL)
	run := w.supervise("--config", w.box.Path("/run/nicteam/team0.yaml"))
	w.await("the same after a restart", func(s *api.Status) bool {
		return memberCalled(s, "eth1").State == "standby" && len(s.Warnings) == 1
	})
	w.startEcho().check("after a restart")

	// Now eth2 is missing.
	w.ip("link set eth3 down; ip link set eth3 name eth2; ip link set eth2 up")
	w.await("another one is awaited", func(s *api.Status) bool {
		return len(s.Members) == 2 && len(s.Warnings) == 1 &&
			strings.Contains(s.Warnings[0], "eth3 is configured but absent") && memberCalled(s, "eth2").State == "up"
	})
	for _, name := range nics(3) {
		if kept := w.sh("cat /etc/nicteam/team0.yaml"); strings.Count(kept, "name: "+name) != 1 {
			t.Errorf("kept\n%s", kept)
		}
	}
	w.nicteam("delete", teamName)
	run.ended(t, "delete")
}

// replaceNIC replaces eth2 by another NIC.
func (w *world) replaceNIC(mac string) {
	w.t.Helper()
	w.ip("link del eth2")
	labtest.Cable(w.t, w.box, "eth2", w.sw, "q2", lab.CableOptions{})
	if mac != "" {
		w.ip("link set eth2 address " + mac)
	}
}

// TestReplacedNIC replaces a NIC by another one of its name.
func TestReplacedNIC(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.ip("addr add 10.9.0.22/24 dev eth2")
	w.create(nics(2))
	conn := w.startEcho()
	old := w.mac("eth2")
	w.replaceNIC("")
	s := w.await("the new one works", func(s *api.Status) bool {
		return s.State == "up" && memberOf(t, s, "eth2").MAC != old
	})
	if said := w.eventReasons("member-replaced"); len(said) != 1 || len(s.Members) != 2 {
		t.Errorf("events %q, %d members", said, len(s.Members))
	}
	labtest.Must(t, w.cables["eth1"].Cut())
	w.awaitMember("eth1", "down")
	conn.check("by the new one alone")
	labtest.Must(t, w.cables["eth1"].Mend())
	w.awaitMember("eth1", "up")

	// By hand.
	w.set("match=mac")
	w.replaceNIC("")
	w.await("told of", func(s *api.Status) bool {
		return len(s.Warnings) == 1 && strings.Contains(s.Warnings[0], "match=mac")
	})
	w.nicteam("remove", teamName, "eth2")
	w.nicteam("add", teamName, "eth2")
	w.await("up", func(s *api.Status) bool { return s.State == "up" })
	w.set("match=name")

	// With the MAC of another member.
	w.replaceNIC(w.mac("eth1"))
	w.await("not used", func(s *api.Status) bool {
		// It may be a member: its MAC was another one when it joined.
		return memberOf(t, s, "eth2").State != "up" && strings.Contains(s.Reason, "MAC")
	})
	conn.check("with a twin that is not taken")
	w.ip("link set eth2 address 02:00:00:00:ee:02")
	w.await("up", func(s *api.Status) bool { return s.State == "up" })
	w.nicteam("delete", teamName)
	if out := w.sh("ip addr show"); strings.Count(out, "10.9.0.22") > 1 || !strings.Contains(out, box4.String()) {
		t.Errorf("addresses after delete:\n%s", out)
	}
}

// TestNICThatComesInSteps returns a NIC whose MAC is set after its name: it is the same NIC, not another one.
func TestNICThatComesInSteps(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.create(nics(2))
	conn := w.startEcho()
	mac := w.mac("eth2")
	began := time.Now()
	w.replaceNIC("")
	w.ip("link set eth2 address " + mac)
	steps := time.Since(began)
	w.await("back", func(s *api.Status) bool { return s.State == "up" && memberOf(t, s, "eth2").MAC == mac })
	// On a busy machine the second step may come too late.
	if said := w.eventReasons("member-replaced"); len(said) > 0 && steps < 100*time.Millisecond {
		t.Errorf("events %q after steps of %v", said, steps)
	}
	conn.check("with the NIC back")
	w.nicteam("delete", teamName)
}

// TestLease lets the lifetime of an address end.
func TestLease(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.ip("addr add 10.9.1.1/24 dev eth1 valid_lft 1000 preferred_lft 1000")
	w.create(nics(2))
	w.await("nobody renews it", func(s *api.Status) bool {
		return s.State == "up" && len(s.Warnings) == 1 && strings.Contains(s.Warnings[0], "no DHCP client runs")
	})
	lease := func(seconds int) {
		w.ip(fmt.Sprintf("addr replace 10.9.1.1/24 dev eth1 valid_lft %d preferred_lft %[1]d", seconds))
	}
	lease(2000)
	w.await("renewed", func(s *api.Status) bool { return len(s.Warnings) == 0 && s.State == "up" })
	lease(5)
	w.await("over", func(s *api.Status) bool {
		return len(s.Warnings) == 1 && strings.Contains(s.Warnings[0], "expired")
	})
	// Events have all stages in order; a status may be too late for one.
	said := w.eventReasons("lease-warning")
	for i, word := range []string{"no DHCP client", "is due", "was not renewed", "expired"} {
		if len(said) != 4 || !strings.Contains(said[i], word) {
			t.Errorf("events %q", said)
			break
		}
	}
	if degraded := w.eventReasons("team-degraded"); len(degraded) == 0 ||
		!strings.Contains(degraded[0], "was not renewed") {
		t.Errorf("degraded %q", degraded)
	}
	lease(1000)
	w.await("given again", func(s *api.Status) bool { return len(s.Warnings) == 0 && s.State == "up" })
	w.nicteam("delete", teamName)
	if !w.shows("addr show dev eth1", "10.9.1.1/24") {
		t.Error("not given back")
	}
}

// TestTwoManagers has another program set an address on a member again and again.
func TestTwoManagers(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true})
	w.create(nics(2))
	conn := w.startEcho()
	for range 5 {
		w.ip("addr add 10.9.0.77/24 dev eth2")
		w.awaitGone("addr show dev eth2", "10.9.0.77")
	}
	w.ip("addr add 10.9.0.77/24 dev eth2")
	s := w.await("told of", func(s *api.Status) bool { return len(s.Warnings) == 1 })
	if !strings.Contains(s.Warnings[0], "10.9.0.77/24 came to eth2") || s.State != "degraded" {
		t.Errorf("%s %q", s.State, s.Warnings)
	}
	if !w.shows("addr show dev eth2", "10.9.0.77") || !w.shows("addr show dev team0", "10.9.0.77") {
		t.Error("not left there")
	}
	conn.check("meanwhile")
	w.ip("addr del 10.9.0.77/24 dev eth2; ip addr add 10.9.0.78/24 dev eth2")
	w.awaitGone("addr show dev eth2", "10.9.0.7")
	w.await("over", func(s *api.Status) bool { return len(s.Warnings) == 0 })
	w.nicteam("delete", teamName)
}

// TestRouteFlood has a routing daemon change ten thousand routes of the adapter repeatedly while a user changes one.
func TestRouteFlood(t *testing.T) {
	w := newWorld(t, worldOptions{Cables: true})
	w.create(nics(2), "--mode", "active-backup")
	conn := w.startEcho()
	pid := w.teamProcess()
	for proto, most := range map[string]time.Duration{"bird": 150 * time.Millisecond, "static": 4 * time.Second} {
		w.sh(`for i in $(seq 0 9999); do echo "route add 10.$((100 + i / 250)).$((i % 250)).0/24 via 10.9.0.2 dev team0 proto ` + proto + `"; done >/run/add; sed s/add/del/ </run/add >/run/del`)
		begun, used := time.Now(), cpuTime(t, pid)
		for range 5 {
			w.sh("ip -batch /run/add; ip -batch /run/del")
		}
		used = cpuTime(t, pid) - used
		t.Logf("proto %s: %v of a processor in %v", proto, used, time.Since(begun))
		if used > most {
			t.Errorf("proto %s: 100 000 changes take %v of a processor, more than %v", proto, used, most)
		}
	}
	conn.check("after that")
	w.nicteam("delete", teamName)
}
