// SPDX-License-Identifier: MIT

package systest

import (
	"os"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// asks returns what the watches of a member ask: "auto 10.9.0.2", or "" for none.
func asks(m api.Member) string {
	if m.Watch == nil {
		return ""
	}
	var all []string
	for _, a := range m.Watch.Asked {
		all = append(all, strings.TrimSpace(a.Watch+" "+a.IP))
	}
	return strings.Join(all, ", ")
}

// awaitAnswers waits until members are answered by what they ask.
func (w *world) awaitAnswers(what string, members ...string) {
	w.t.Helper()
	w.await(strings.Join(members, " and ")+" answered by "+what, func(s *api.Status) bool {
		for _, nic := range members {
			m := memberOf(w.t, s, nic)
			if m.Watch == nil || asks(m) != what || m.State != "up" && m.State != "standby" {
				return false
			}
			for _, a := range m.Watch.Asked {
				if !a.Answers || a.RTT <= 0 {
					return false
				}
			}
		}
		return true
	})
}

// checkNobodyDown fails the test if a member went down.
func (w *world) checkNobodyDown() {
	w.t.Helper()
	for _, e := range w.history() {
		if e.Event == "member-down" {
			w.t.Errorf("%s went down: %s", e.Member, e.Reason)
		}
	}
}

// TestWatchesLive changes link_watch of a running team: each kind asks what it says, and is answered.
func TestWatchesLive(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Asks: true})
	w.useGateway()
	w.create(nics(2), "--mode", "active-backup")
	for _, tt := range []struct{ spec, asks string }{
		{"auto", "auto 10.9.0.2"},
		{"arp:10.9.0.2", "arp 10.9.0.2"},
		{"nd:fd09::2", "nd fd09::2"},
		{"gateway", "gateway 10.9.0.2"},
		{"arp:10.9.0.2,nd:fd09::2", "arp 10.9.0.2, nd fd09::2"},
		{"probe", "probe"},
	} {
		w.set("link_watch=" + tt.spec)
		w.awaitAnswers(tt.asks, nics(2)...)
	}
	w.set("link_watch=carrier")
	w.await("nobody is asked", func(s *api.Status) bool {
		return asks(memberOf(t, s, "eth1")) == "" && asks(memberOf(t, s, "eth2")) == "" && s.State == "up"
	})
	w.checkNobodyDown()
}

// TestWatchWithoutGateway: hosts that were heard from are asked; a host with IPv6 alone asks its router.
func TestWatchWithoutGateway(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Asks: true})
	reach(t, w.box, peer4) // a neighbour entry
	w.create(nics(2))
	w.await("hosts are asked", func(s *api.Status) bool {
		m := memberOf(t, s, "eth2")
		return strings.Contains(asks(m), "auto 10.9.0.2") && m.Watch.Verdict == "up"
	})
	w.nicteam("delete", teamName)
	labtest.Tool(t, "ip", "iproute2")
	w.sh("ip -4 addr flush dev eth1; ip -6 route add default via fd09::2 dev eth1")
	reach(t, w.box, peer6)
	w.create(nics(2))
	w.awaitAnswers("auto fd09::2", nics(2)...)
	w.checkNobodyDown()
}

// TestTargetDies: a gateway that is gone is no fault of a member. A warning says so, traffic to others goes on, and the
// gateway may come back.
func TestTargetDies(t *testing.T) {
	parallelWithTraffic(t)
	w := newWorld(t, worldOptions{NICs: 3, Asks: true})
	router := labtest.Host(t, "router")
	labtest.Cable(t, router, "eth0", w.sw, "router", lab.CableOptions{})
	labtest.Must(t, router.SetAddr("eth0", "10.9.0.254/24"))
	w.sh("ip route add default via 10.9.0.254 dev eth1")
	w.create(nics(3), "--link-watch", "gateway")
	w.awaitAnswers("gateway 10.9.0.254", nics(3)...)
	tr := w.traffic(lab.Stream{Rate: 3000})
	labtest.Must(t, router.Down("eth0"))
	s := w.await("a warning", func(s *api.Status) bool {
		return strings.Contains(strings.Join(s.Warnings, "\n"), "gateway 10.9.0.254 answers by no member")
	})
	if s.State != "up" {
		t.Errorf("state %s: %s", s.State, s.Reason)
	}
	tr.awaitFrames(1000)
	labtest.Must(t, router.Up("eth0"))
	w.await("no warning", func(s *api.Status) bool { return len(s.Warnings) == 0 })
	w.checkNobodyDown()
	if out, in := tr.stop(); out.Duplicated+out.Corrupt+in.Duplicated+in.Corrupt != 0 {
		t.Error("frames doubled or corrupt")
	}
}

// TestGatewayMoves: the gateway's address moves to another host with another MAC, as a virtual router's does.
func TestGatewayMoves(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Asks: true})
	var routers []*lab.Host
	for _, name := range []string{"router1", "router2"} {
		r := labtest.Host(t, name)
		labtest.Cable(t, r, "eth0", w.sw, name, lab.CableOptions{})
		routers = append(routers, r)
	}
	labtest.Must(t, routers[0].SetAddr("eth0", "10.9.0.254/24"))
	w.sh("ip route add default via 10.9.0.254 dev eth1")
	w.create(nics(2), "--probe-interval", "100ms")
	w.awaitAnswers("auto 10.9.0.254", nics(2)...)
	labtest.Must(t, routers[0].Down("eth0"))
	labtest.Must(t, routers[1].SetAddr("eth0", "10.9.0.254/24"))
	before := time.Now()
	w.await("answers of the other router", func(s *api.Status) bool {
		for _, nic := range nics(2) {
			if m := memberOf(t, s, nic); m.Watch == nil || len(m.Watch.Asked) != 1 ||
				!m.Watch.Asked[0].Last.After(before) ||
				m.Watch.Verdict != "up" {
				return false
			}
		}
		return true
	})
	w.checkNobodyDown()
}

// TestTwoTeamsOnASwitch: each is the other one's gateway, in elb, which answers each asker by another MAC.
func TestTwoTeamsOnASwitch(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Asks: true})
	other := &world{t: t, box: labtest.Host(t, "other"), sw: w.sw, wires: map[string]*lab.Wire{}, asks: true}
	labtest.Must(t, other.box.Sysctl("ipv6/conf/default/accept_dad", "0"))
	for _, nic := range nics(2) {
		other.wires[nic] = labtest.Wire(t, other.box, nic, w.sw, "other-"+nic, lab.WireOptions{})
	}
	labtest.Must(t, other.box.SetAddr("eth1", "10.9.0.9/24"))
	w.sh("ip route add default via 10.9.0.9 dev eth1")
	other.sh("ip route add default via 10.9.0.1 dev eth1")
	w.create(nics(2), "--mode", "elb")
	other.create(nics(2), "--mode", "elb")
	w.awaitAnswers("auto 10.9.0.9", nics(2)...)
	other.awaitAnswers("auto 10.9.0.1", nics(2)...)
	other.wires["eth2"].A.SwallowTx(true)
	other.awaitMember("eth2", "down")
	other.wires["eth2"].A.SwallowTx(false)
	other.awaitUsed("eth2")
	w.checkNobodyDown()
}

// TestDampedMember: a NIC that fails three times waits, says so, and is used at once after undamp.
func TestDampedMember(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Asks: true})
	w.create(nics(2), "--mode", "active-backup")
	for range 3 {
		w.awaitUsed("eth2")
		labtest.Must(t, w.wires["eth2"].Cut())
		w.awaitMember("eth2", "down")
		labtest.Must(t, w.wires["eth2"].Mend())
	}
	s := w.await("eth2 damped", func(s *api.Status) bool {
		m := memberOf(t, s, "eth2")
		return m.Damped != nil && m.Link // until the carrier is back, its loss is the reason
	})
	if m := memberOf(t, s, "eth2"); m.Damped.Failures != 3 || !strings.Contains(m.Reason, "flapped") ||
		m.State == "up" ||
		m.State == "standby" {
		t.Errorf("%+v, damped %+v", m, m.Damped)
	}
	w.set("undamp=eth2")
	w.awaitUsed("eth2")
	if m := w.member("eth2"); m.Damped != nil {
		t.Errorf("damped still: %+v", m.Damped)
	}
	if r := w.try("set", teamName, "undamp=eth9"); r.Code == 0 {
		t.Error("undamp of a NIC that is none")
	}
}

// TestVerdictsSurviveRestart: the next process of a team knows which member is silently dead.
func TestVerdictsSurviveRestart(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Asks: true})
	w.useGateway()
	labtest.Must(t, os.WriteFile(w.box.Path("/etc/nicteam/"+teamName+".yaml"),
		[]byte("team: "+teamName+"\nmembers: [eth1, eth2]\nmode: active-backup\nprobe_interval: 100ms\n"), 0o640))
	w.supervise()
	w.awaitAnswers("auto 10.9.0.2", nics(2)...)
	w.wires["eth2"].A.SwallowRx(true)
	was := memberOf(t, w.awaitMember("eth2", "down"), "eth2")
	w.restart()
	s := w.status()
	if m := memberOf(t, s, "eth2"); m.State != "down" || m.Watch == nil || m.Watch.Verdict != "down" ||
		m.Failures != was.Failures {
		t.Errorf("after a restart %+v, watch %+v; was %+v", m, m.Watch, was)
	}
	if m := memberOf(t, s, "eth1"); m.State != "up" || s.Active != "eth1" {
		t.Errorf("active %q, eth1 %+v", s.Active, m)
	}
	w.wires["eth2"].A.SwallowRx(false)
	w.awaitUsed("eth2")
}
