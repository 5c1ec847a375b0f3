// SPDX-License-Identifier: MIT

package systest

import (
	"slices"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestWatchPolicyLive: one of two targets does not answer by a NIC. By the policy "all" that NIC is down, by "any" not,
// and a change counts at once.
func TestWatchPolicyLive(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Asks: true})
	labtest.Must(t, w.peer.SetAddr("eth0", "10.9.0.2/24", "10.9.0.3/24"))
	w.create(nics(2), "--mode", "active-backup", "--link-watch", "arp:10.9.0.2,arp:10.9.0.3",
		"--probe-interval", "100ms")
	w.awaitAsked("arp 10.9.0.2 answers, arp 10.9.0.3 answers")
	w.wires["eth2"].A.Filter(func(f []byte) int {
		var n frame.Neighbour
		if frame.ParseNeighbour(f, &n) && n.About.String() == "10.9.0.3" {
			return 0
		}
		return 1
	})
	s := w.awaitMember("eth2", "down")
	if m := memberOf(t, s, "eth2"); !strings.Contains(m.Reason, "10.9.0.3 does not answer by eth2") {
		t.Errorf("eth2 is down: %s", m.Reason)
	}
	for range 2 {
		w.set("watch_policy=any")
		if m := w.member("eth2"); m.State != "standby" {
			t.Errorf("one target is enough, and eth2 is %s: %s", m.State, m.Reason)
		}
		w.set("watch_policy=all")
		w.awaitMember("eth2", "down")
	}
	w.wires["eth2"].A.Filter(nil)
	w.awaitUsed("eth2")
}

// TestCarrierAloneAtOnce: a NIC that is down because of whom it asks is used as soon as it asks nobody.
func TestCarrierAloneAtOnce(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Asks: true})
	w.useGateway()
	w.create(nics(2), "--mode", "active-backup", "--probe-interval", "100ms")
	w.awaitVerdict("up", nics(2)...)
	w.swallow("eth2", "receive", true)
	w.awaitMember("eth2", "down")
	w.set("link_watch=carrier")
	if m := w.member("eth2"); m.State != "standby" {
		t.Errorf("nobody is asked, and eth2 is %s: %s", m.State, m.Reason)
	}
}

// TestLACPAsks: members of 802.3ad may ask as well. Answers come by either of them; a target that is gone is no fault
// of theirs.
func TestLACPAsks(t *testing.T) {
	parallel(t)
	w := newTwoTeams(t, 2, "relay")
	create := append([]string{"create", teamName, "--mode", "802.3ad", "--lacp-rate", "fast"}, nics(2)...)
	w.runOnPeer("relay", append(slices.Clone(create), "--link-watch", "carrier")...)
	w.nicteam(append(slices.Clone(create), "--link-watch", "arp:10.9.0.2", "--probe-interval", "100ms")...)
	w.agree(nics(2)...)
	w.awaitAnswers("arp 10.9.0.2", nics(2)...)
	labtest.Run(t, w.peer, "ip", "address", "del", "10.9.0.2/24", "dev", teamName)
	s := w.await("a warning", func(s *api.Status) bool {
		return strings.Contains(strings.Join(s.Warnings, "\n"), "10.9.0.2 answers by no member")
	})
	if s.State != "up" {
		t.Errorf("state %s: %s", s.State, s.Reason)
	}
	labtest.Run(t, w.peer, "ip", "address", "add", "10.9.0.2/24", "dev", teamName)
	w.awaitAnswers("arp 10.9.0.2", nics(2)...)
	w.checkNobodyDown()
}

// TestGatewayInAVLAN: the default gateway is in a VLAN on the adapter. A NIC whose port lacks that VLAN is down.
func TestGatewayInAVLAN(t *testing.T) {
	parallel(t)
	labtest.Tool(t, "ip", "iproute2")
	w := newWorld(t, worldOptions{Asks: true})
	router := labtest.Host(t, "router")
	labtest.Cable(t, router, "eth0", w.sw, "router", lab.CableOptions{})
	if out, err := router.Command("ip", "link", "add", "eth0.20", "link", "eth0", "type", "vlan", "id",
		"20").CombinedOutput(); err != nil {
		t.Skipf("this kernel has no VLANs (CONFIG_VLAN_8021Q): %s", out)
	}
	labtest.Must(t, router.SetAddr("eth0.20", "10.20.0.254/24"))
	w.create(nics(2), "--mode", "active-backup", "--link-watch", "gateway", "--probe-interval", "100ms")
	w.sh("ip link add team0.20 link team0 type vlan id 20; ip link set team0.20 up; " +
		"ip address add 10.20.0.1/24 dev team0.20; ip route add default via 10.20.0.254")
	w.awaitAsked("gateway 10.20.0.254 answers")
	for _, m := range w.status().Members {
		if v := m.Watch.Asked[0].VLAN; v != 20 {
			t.Errorf("%s asks in VLAN %d", m.Name, v)
		}
	}
	w.wires["eth2"].A.Filter(func(f []byte) int {
		if len(f) > 13 && f[12] == 0x81 && f[13] == 0 {
			return 0
		}
		return 1
	})
	s := w.awaitMember("eth2", "down")
	const why = "gateway 10.20.0.254 (VLAN 20) does not answer by eth2"
	if m := memberOf(t, s, "eth2"); !strings.Contains(m.Reason, why) || s.Active != "eth1" {
		t.Errorf("active %s, eth2 is down: %s", s.Active, m.Reason)
	}
	w.wires["eth2"].A.Filter(nil)
	w.awaitUsed("eth2")
}

// TestAsksAreCounted: what the link watches send and hear crosses the NICs, so it is in the counters of the members and
// of the team, as LACPDUs are.
func TestAsksAreCounted(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		parallel(t)
		w := newWorld(t, worldOptions{NoOffload: true, Asks: true}.on(path))
		w.useGateway()
		w.create(nics(2), "--mode", "active-backup", "--probe-interval", "20ms")
		w.awaitVerdict("up", nics(2)...)
		type figures struct{ team, kernel [2]frame.Count }
		read := func(nic string) (f figures) {
			m := w.member(nic)
			f.team = [2]frame.Count{m.RX.Count, m.TX.Count}
			f.kernel[0], f.kernel[1] = w.kernelCount([]string{nic})
			return f
		}
		before := map[string]figures{"eth1": read("eth1"), "eth2": read("eth2")}
		sum := w.status()
		labtest.Eventually(t, "50 asks", func() bool {
			return read("eth2").team[1].Frames >= before["eth2"].team[1].Frames+50
		})
		for _, nic := range nics(2) {
			was, is := before[nic], read(nic)
			for way, name := range []string{"received", "sent"} {
				got, kernel := is.team[way].Frames-was.team[way].Frames, is.kernel[way].Frames-was.kernel[way].Frames
				// Between the two readings it goes on, and other hosts speak to all.
				if got < 40 || max(got, kernel)-min(got, kernel) > 20 {
					t.Errorf("%s has %s %d frames, of which %d are counted", nic, name, kernel, got)
				}
			}
		}
		var members uint64
		s := w.status()
		for i := range s.Members {
			members += s.Members[i].TX.Frames - sum.Members[i].TX.Frames
		}
		if team := s.TX.Frames - sum.TX.Frames; team != members {
			t.Errorf("the team has sent %d frames, its members %d", team, members)
		}
	})
}
