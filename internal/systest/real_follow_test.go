// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// ip runs ip in box.
func (w *world) ip(args string) {
	w.t.Helper()
	labtest.Tool(w.t, "ip", "iproute2")
	w.sh("ip " + args)
}

// eventReasons returns member and reason of each event of a kind.
func (w *world) eventReasons(event string) (list []string) {
	w.t.Helper()
	for _, e := range w.history() {
		if e.Event == event {
			list = append(list, strings.TrimSpace(e.Member+" "+e.Reason))
		}
	}
	return list
}

// mtus returns the MTUs of devices of box.
func (w *world) mtus(names ...string) (list []int) {
	w.t.Helper()
	for _, n := range names {
		list = append(list, link(w.t, w.box, n).MTU)
	}
	return list
}

// awaitMTU waits until kernel and status agree on an MTU of adapter and members.
func (w *world) awaitMTU(mtu int, members ...string) *api.Status {
	w.t.Helper()
	return w.await("MTU of all", func(s *api.Status) bool {
		ok := s.Adapter.MTU == mtu
		for _, n := range w.mtus(append([]string{teamName}, members...)...) {
			ok = ok && n == mtu
		}
		for _, m := range s.Members {
			ok = ok && m.MTU == mtu
		}
		return ok
	})
}

// TestMTUByHand changes the adapter's MTU, as one does with a bond: the members follow, connections go on, and a
// restarted process keeps it. A NIC that cannot have it is not used.
func TestMTUByHand(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{Cables: true}.on(path))
		before := w.state()
		w.create(nics(2))
		conn := w.startEcho()
		w.ip("link set team0 mtu 9000")
		if s := w.awaitMTU(9000, nics(2)...); s.State != "up" || len(s.Warnings) != 0 {
			t.Errorf("%s %s, warnings %q", s.State, s.Reason, s.Warnings)
		}
		conn.check("with MTU 9000")
		w.ip("link set team0 mtu 1400")
		w.awaitMTU(1400, nics(2)...)
		w.ip("link set team0 mtu 2000")
		w.awaitMTU(2000, nics(2)...)
		if said := w.eventReasons("mtu-changed"); strings.Join(said,
			"; ") != "9000, was 1500; 1400, was 9000; 2000, was 1400" {
			t.Errorf("events %q", said)
		}
		// A change of other settings keeps it.
		w.set("gain=1ms")
		w.awaitMTU(2000, nics(2)...)

		w.ip("link set eth2 mtu 1500")
		s := w.awaitMember("eth2", "down")
		if m := memberOf(t, s, "eth2"); m.MTU != 1500 || m.Reason != "MTU 1500 is below the adapter's 2000" {
			t.Errorf("%+v", m)
		}
		labtest.Must(t, w.cables["eth1"].Cut())
		s = w.awaitMember("eth2", "up")
		if len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "ip link set eth2 mtu 2000") {
			t.Errorf("the only one: warnings %q", s.Warnings)
		}
		conn.check("by the NIC that is too small")
		labtest.Must(t, w.cables["eth1"].Mend())
		w.awaitMember("eth1", "up")
		w.ip("link set eth2 mtu 2000")
		w.await("all is well", func(s *api.Status) bool { return s.State == "up" })

		w.kill(w.teamProcess(), unix.SIGKILL)
		run := w.supervise("--config", w.box.Path("/run/nicteam/team0.yaml"))
		w.awaitMTU(2000, nics(2)...)
		conn.check("after a restart")
		w.nicteam("delete", teamName)
		run.ended(t, "delete")
		w.checkUnchanged("after delete", before)
	})
}

// TestMTUOfNICsThatReset: NICs that lose their link during a change of MTU get it, by ip link and by set, and
// connections go on. That they change one after the other is tested in package host: the NIC of the lab loses its link
// somewhat later.
func TestMTUOfNICsThatReset(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Hardware: lab.Hardware{Reset: 300 * time.Millisecond}})
	w.create(nics(3))
	conn := w.startEcho()
	for _, mtu := range []string{"9000", "1500"} {
		w.ip("link set team0 mtu " + mtu)
		want := fmt.Sprintf("[%[1]s %[1]s %[1]s %[1]s]", mtu)
		w.await("all came to "+mtu, func(s *api.Status) bool {
			return s.State == "up" && fmt.Sprint(w.mtus(append(nics(3), teamName)...)) == want
		})
		conn.check("by hand with " + mtu)
	}
	w.set("mtu=2000")
	w.awaitMTU(2000, nics(3)...)
	w.await("all are back", func(s *api.Status) bool { return s.State == "up" })
	conn.check("by set")
	if said := w.eventReasons("member-down"); len(said) < 3 {
		t.Errorf("members did not lose their links: %q", said)
	}
	t.Logf("all were without a link at once: %q", w.eventReasons("team-down"))
}

// TestMTUThatANICCannotHave restores the adapter's MTU if a member cannot follow, with a warning until the next change.
func TestMTUThatANICCannotHave(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	// A macvlan cannot have a larger MTU than its NIC.
	w.ip("link add link eth3 name small type macvlan mode bridge; ip link set small up")
	w.ip("link set eth1 mtu 9000")
	before := w.state()
	checkRefused(t, w.try("create", teamName, "eth1", "small"), 5, "cannot have MTU 9000", "eth1 has it", "--mtu 1500")
	w.checkUnchanged("refused", before)
	w.ip("link set eth1 mtu 1500; ip link set eth3 mtu 1200")
	before = w.state()
	checkRefused(t, w.try("create", teamName, "eth1", "small"), 5, "cannot have MTU 1500", "leave small out: IPv6")
	w.checkUnchanged("refused for IPv6", before)
	w.ip("link set eth3 mtu 1500; ip link set small mtu 1500")
	before = w.state()
	w.create([]string{"eth1", "small"}, "--mode", "active-backup")
	conn := w.startEcho()
	w.ip("link set team0 mtu 9000")
	s := w.await("a warning", func(s *api.Status) bool { return len(s.Warnings) > 0 })
	why := "was set to 9000 and restored to 1500: bad MTU 9000: NIC small takes"
	if !strings.Contains(s.Warnings[0], why) || s.State != "degraded" {
		t.Errorf("%s, warnings %q", s.State, s.Warnings)
	}
	w.awaitMTU(1500, "eth1", "small")
	if said := w.eventReasons("mtu-refused"); len(said) != 1 || !strings.Contains(said[0], "small") {
		t.Errorf("events %q", said)
	}
	conn.check("after that")
	checkRefused(t, w.try("set", teamName, "mtu=9000"), 2, "NIC small takes", "remove small first")
	checkRefused(t, w.try("set", teamName, "mtu=1200"), 2, "IPv6", "1280")
	w.awaitMTU(1500, "eth1", "small")
	w.set("mtu=1300")
	if s := w.awaitMTU(1300, "eth1", "small"); s.State != "up" || len(s.Warnings) != 0 {
		t.Errorf("after one that all can have: %s, %q", s.State, s.Warnings)
	}
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)
}

// TestNICsOfDifferentMTU creates teams of NICs with different MTUs: those in use keep theirs, the others get it, and a
// warning says so.
func TestNICsOfDifferentMTU(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 4, Cables: true})
	w.ip("link set eth1 mtu 9000")
	w.ip("link set eth4 mtu 1200")
	before := w.state()
	r := w.try("create", teamName, "eth1", "eth2", "--json")
	if r.Code != 0 || !strings.Contains(r.Out, "the MTU of eth2 changes from 1500 to 9000, that of eth1") {
		t.Fatalf("create: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	if s := w.awaitMTU(9000, nics(2)...); s.State != "up" || len(w.eventReasons("mtu-changed")) != 0 {
		t.Errorf("%s %s, events %q", s.State, s.Reason, w.eventReasons("mtu-changed"))
	}
	if kept := w.sh("cat /etc/nicteam/team0.yaml"); !strings.Contains(kept, "mtu: 9000") {
		t.Errorf("not kept for the next boot:\n%s", kept)
	}
	r = w.try("add", teamName, "eth4")
	if r.Code != 0 || !strings.Contains(r.Out+r.Err, "the MTU of eth4 changes from 1200 to 9000, that of team0") {
		t.Errorf("add: exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	w.awaitMember("eth4", "up")
	w.awaitMTU(9000, "eth1", "eth2", "eth4")
	if shown := w.sh("ip addr show dev eth4"); strings.Contains(shown, "inet6") {
		t.Errorf("the kernel began IPv6 on a NIC that came to its minimum:\n%s", shown)
	}
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete", before)

	// A smaller one by setting.
	w.nicteam("create", teamName, "eth1", "eth2", "--mtu", "1500")
	w.awaitMTU(1500, nics(2)...)
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete of the smaller", before)

	// NICs that are not in use: the largest.
	w.nicteam("create", teamName, "eth2", "eth4", "--mode", "active-backup")
	w.awaitMTU(1500, "eth2", "eth4")
	w.nicteam("delete", teamName)
	w.checkUnchanged("after delete of the unused", before)
}

// mac returns the MAC of a device of box.
func (w *world) mac(nic string) string { return link(w.t, w.box, nic).HardwareAddr.String() }

// macKnownByPeer returns the MAC in the peer's neighbour table.
func (w *world) macKnownByPeer(of netip.Addr) string {
	w.t.Helper()
	family := unix.AF_INET6
	if of.Is4() {
		family = unix.AF_INET
	}
	list, err := w.peer.Handle().NeighList(link(w.t, w.peer, "eth0").Index, family)
	labtest.Must(w.t, err)
	for _, n := range list {
		if n.IP.Equal(of.AsSlice()) {
			return n.HardwareAddr.String()
		}
	}
	return ""
}

// stopBoth stops both streams.
func (tr *traffic) stopBoth() []lab.Report {
	out, in := tr.stop()
	return []lab.Report{out, in}
}

// TestMACByHand changes the MACs of NICs under traffic, also of the one whose MAC the adapter has: connections go on,
// nothing is duplicated, peers are told, and the NICs are restored with the MAC they had. A filtering NIC drops frames
// to its old MAC until its filter has that.
func TestMACByHand(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"elb", "active-backup"} {
		t.Run(mode, func(t *testing.T) {
			eachPathWithTraffic(t, func(t *testing.T, path string) {
				w := newWorld(t, worldOptions{NICs: 3}.on(path))
				w.create(nics(3), "--mode", mode)
				adapter, conn := w.mac(teamName), w.startEcho()
				tr := w.traffic(lab.Stream{Rate: 5000, Flows: 8})
				for i, nic := range nics(3) {
					tr.awaitFrames(500)
					was := w.mac(nic)
					next := net.HardwareAddr{2, 0, 0, 0, 0xee, byte(i)}
					l, err := w.box.Handle().LinkByName(nic)
					labtest.Must(t, err)
					labtest.Must(t, w.box.Handle().LinkSetHardwareAddr(l, next))
					w.await("status has "+nic+"'s new MAC", func(s *api.Status) bool {
						return memberOf(t, s, nic).MAC == next.String()
					})
					if said := w.eventReasons("mac-changed"); len(said) != i+1 ||
						said[i] != nic+" "+next.String()+", was "+was {
						t.Errorf("events %q", said)
					}
					conn.check(nic + " has another MAC")
				}
				if mode == "elb" {
					labtest.Eventually(t, "peer has its member's new MAC", func() bool {
						p := w.peers().Peers
						i := slices.IndexFunc(p, func(p api.Peer) bool { return p.Address == peer4.String() })
						return i >= 0 && w.macKnownByPeer(box4) == w.mac(p[i].Member)
					})
				}
				tr.awaitFrames(500)
				for _, r := range tr.stopBoth() {
					if r.Duplicated+r.Refused+r.Corrupt != 0 {
						t.Errorf("while MACs change: %v", r)
					}
				}
				after := w.traffic(lab.Stream{Rate: 5000, Flows: 8})
				after.awaitFrames(2000)
				for _, r := range after.stopBoth() {
					if r.Lost+r.Duplicated+r.Refused+r.Corrupt != 0 {
						t.Errorf("after that: %v", r)
					}
				}
				if got := w.mac(teamName); got != adapter {
					t.Errorf("the adapter has %s, had %s", got, adapter)
				}
				w.nicteam("delete", teamName)
				shown := w.sh("ip addr show dev eth1")
				if !strings.Contains(shown, box4.String()+"/24") || !strings.Contains(shown, box6.String()+"/64") {
					t.Errorf("eth1, whose MAC has changed, did not get back what it lent:\n%s", shown)
				}
				w.checkNoFiles("after delete")
			})
		})
	}
}

// TestTwinNICs creates teams of NICs with the same MAC: refused where each sends with its own, accepted elsewhere. One
// that gets the MAC of another stands by.
func TestTwinNICs(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.ip("link set eth2 address " + w.mac("eth1"))
	before := w.state()
	r := w.try("create", teamName, "eth1", "eth2")
	checkRefused(t, r, 5, "eth1 and eth2 have the same MAC", "ip link set eth2 address", "active-backup")
	w.checkUnchanged("refused", before)
	w.create(nics(2), "--mode", "active-backup")
	conn := w.startEcho()
	labtest.Must(t, w.cables["eth1"].Cut())
	w.await("eth2 works", func(s *api.Status) bool { return s.Active == "eth2" })
	conn.check("by the twin")
	labtest.Must(t, w.cables["eth1"].Mend())
	w.awaitMember("eth1", "standby")
	checkRefused(t, w.try("set", teamName, "mode=elb"), 5, "eth1 and eth2 both have the MAC")
	w.ip("link set eth2 address 02:00:00:00:ee:02")
	w.await("eth2 has another", func(s *api.Status) bool { return memberOf(t, s, "eth2").MAC == "02:00:00:00:ee:02" })
	w.set("mode=elb")
	conn.check("in elb")

	w.ip("link set eth3 address 02:00:00:00:ee:02")
	checkRefused(t, w.try("add", teamName, "eth3"), 5, "eth2 and eth3 have the same MAC")
	w.ip("link set eth2 address " + w.mac("eth1"))
	s := w.awaitMember("eth2", "down")
	m := memberOf(t, s, "eth2")
	if !strings.Contains(m.Reason, "has the MAC "+w.mac("eth1")+" of eth1") || s.State != "degraded" {
		t.Errorf("%s, %+v", s.State, m)
	}
	conn.check("with a twin that stands back")
	w.nicteam("delete", teamName)
}

// TestDeleteWhileTheAdapterIsDown deletes a team whose adapter is down: the NICs get what the adapter had before, also
// what came after create.
func TestDeleteWhileTheAdapterIsDown(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 2, Cables: true})
	w.sh("ip -6 route add default via fd09::2 dev eth1")
	w.create(nics(2), "--mode", "active-backup")
	w.sh("ip -6 addr add fd50::1/64 dev team0 nodad; ip route add 10.60.0.0/16 via 10.9.0.2; " +
		"ip route add 10.61.0.0/16 via 10.9.0.2 table 90")
	labtest.Eventually(t, "the addresses are known", func() bool {
		return slices.Contains(w.status().Adapter.Addresses, "fd50::1/64")
	})
	w.ip("link set team0 down")
	w.await("the team is down", func(s *api.Status) bool { return s.State == "down" })
	w.nicteam("delete", teamName)
	got := w.sh("ip -br addr show dev eth1; ip route show table all dev eth1; ip -6 route show dev eth1")
	for _, want := range []string{"10.9.0.1/24", "fd09::1/64", "fd50::1/64", "10.60.0.0/16", "10.61.0.0/16",
		"default via fd09::2"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
}
