// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// Ports of the flows whose members are followed.
const firstPort, portStep = 40_000, 2

// udpFlow is a flow from box to peer for `explain`.
func udpFlow(from, to int) string { return fmt.Sprintf("udp %s:%d %s:%d", box4, from, peer4, to) }

// explain returns the member that the binary names for a flow, once its slot migrates no more.
func (w *world) explain(flow string) api.Explanation {
	w.t.Helper()
	var e *api.Explanation
	labtest.Eventually(w.t, "the slot of "+flow+" has migrated", func() bool {
		e = ask(w.t, w.box, teamName, func(c *control.Client, ctx context.Context) (*api.Explanation, error) {
			return c.Explain(ctx, flow)
		})
		return !strings.Contains(e.Why, "migrates from")
	})
	return *e
}

// awaitMigration waits until no slot migrates, as some do in a new team.
func (w *world) awaitMigration() {
	w.t.Helper()
	for i := range 8 {
		w.explain(udpFlow(firstPort+i, 9))
	}
}

// TestAddAndRemoveUnderTraffic adds and removes NICs, the active one too, with 5000 frames/s each way in 8 flows: none
// is lost or duplicated. TestFlowsThatStayKeepTheirOrder checks the order.
func TestAddAndRemoveUnderTraffic(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		mode  string
		world worldOptions
		order bool // flows keep theirs but for a moment where the active member changes
	}{
		{"relay, active-backup, learning switch", "active-backup", worldOptions{Datapath: "relay", NICs: 3}, true},
		{"fastpath, active-backup, flooding switch", "active-backup",
			worldOptions{Datapath: "fastpath", NICs: 3, Flooding: true}, true},
		{"fastpath, xor", "xor", worldOptions{Datapath: "fastpath", NICs: 3, LAG: true}, false},
		{"relay, round-robin", "round-robin", worldOptions{Datapath: "relay", NICs: 3, LAG: true,
			Spread: lab.SpreadFrames}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, tt.world)
			hold := func(port string, on bool) {
				if w.lag != nil {
					labtest.Must(t, w.lag.Block(port, on))
				}
			}
			hold("p3", true)
			w.create(nics(2), "--mode", tt.mode)
			before, conn := w.identity(), w.startEcho()
			tr := w.traffic(lab.Stream{Rate: 5000, Flows: 8})
			tr.awaitFrames(800)
			check := func(what string) {
				t.Helper()
				tr.awaitFrames(800)
				conn.check(what)
				if got := w.identity(); got != before {
					t.Errorf("%s: adapter is %s, was %s", what, got, before)
				}
				out, in := tr.out.Report(), tr.in.Report()
				t.Logf("%s: %d lost or under way out, %d in; reordered %d, %d; doubled %d, %d", what, out.Lost,
					in.Lost, out.Reordered, in.Reordered, out.Duplicated, in.Duplicated)
			}

			w.nicteam("add", teamName, "eth3")
			hold("p3", false)
			check("after add")
			if m := w.member("eth3"); m.State != "up" && m.State != "standby" {
				t.Errorf("eth3 is %s: %s", m.State, m.Reason)
			}

			hold("p1", true)
			w.nicteam("remove", teamName, "eth1")
			check("after remove of the first")
			s := w.status()
			if len(s.Members) != 2 || tt.mode == "active-backup" && s.Active == "eth1" {
				t.Errorf("active %q, members %+v", s.Active, s.Members)
			}
			tr.awaitFrames(800)

			hold("p3", true)
			w.nicteam("remove", teamName, "eth3")
			check("after remove of the added one")

			w.nicteam("add", teamName, "eth3")
			hold("p3", false)
			check("after the second add")

			out, in := tr.stop()
			if out.Lost+out.Refused+out.Duplicated+out.Corrupt != 0 || tt.order && out.Reordered > reorderedBound(out) {
				t.Errorf("out: %v", out)
			}
			if in.Lost+in.Duplicated > tt.world.lossBound(in) || in.Refused+in.Corrupt != 0 || tt.order &&
				in.Reordered > reorderedBound(in) {
				t.Errorf("in: %v", in)
			}
		})
	}
}

// TestFlowsThatStayKeepTheirOrder adds and removes a NIC in mode xor: only flows that change the member may be
// reordered, and these are about the new member's share.
func TestFlowsThatStayKeepTheirOrder(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		const flows = 24
		w := newWorld(t, worldOptions{NICs: 3, LAG: true}.on(path))
		labtest.Must(t, w.lag.Block("p3", true))
		w.create(nics(2), "--mode", "xor")
		room := w.queueDrops()
		r := labtest.Start(t, lab.Stream{From: w.box, To: w.peer, Address: peer4, Rate: 5000, Flows: flows,
			FirstPort: firstPort, PortStep: portStep})
		pass := func() {
			t.Helper()
			want := r.Received() + 2500
			labtest.Eventually(t, "2500 frames", func() bool { return r.Received() >= want })
		}
		members := func() (list []string) {
			t.Helper()
			for i := range flows {
				list = append(list, w.explain(udpFlow(firstPort+i*portStep, r.Port())).Member)
			}
			return list
		}
		pass()
		before := members()
		w.nicteam("add", teamName, "eth3")
		pass()
		with := members()
		w.nicteam("remove", teamName, "eth3")
		pass()
		if again := members(); !slices.Equal(again, before) {
			t.Errorf("after add and remove flows are on %v, were on %v", again, before)
		}
		got, err := r.Stop()
		labtest.Must(t, err)
		t.Log(got)
		if room = w.queueDrops().since(room); got.Lost > room.adapter+room.nics {
			t.Errorf("%d frames lost, of which %d had no room in the adapter's queue and %d in NICs", got.Lost,
				room.adapter, room.nics)
		}
		moved := 0
		for i, f := range got.Flows {
			if f.Duplicated != 0 {
				t.Errorf("flow %d: %+v", i, f)
			}
			switch {
			case before[i] == with[i]:
				if f.Reordered != 0 {
					t.Errorf("flow %d stayed on %s and %d of its frames were overtaken", i, with[i], f.Reordered)
				}
			case with[i] != "eth3":
				t.Errorf("flow %d moved from %s to %s", i, before[i], with[i])
			default:
				moved++
			}
		}
		t.Logf("%d of %d flows moved", moved, flows)
		if moved == 0 || moved > flows*2/3 {
			t.Errorf("%d of %d flows moved, want about a third", moved, flows)
		}
	})
}

// TestAddTellsWhereAddressesAre adds the NIC with the host's addresses to a team with another MAC: peers learn the
// adapter's MAC at once.
func TestAddTellsWhereAddressesAre(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 2})
	labtest.Must(t, w.box.Sysctl("ipv4/conf/all/arp_ignore", "1")) // each device answers for its own addresses only
	w.create([]string{"eth2"}, "--mode", "active-backup")
	for _, ip := range []netip.Addr{box4, box6} {
		ping(t, w.peer, ip, 10)
		if mac := w.macKnownByPeer(ip); mac != w.mac("eth1") {
			t.Fatalf("peer knows %s by %q, and eth1 is %s", ip, mac, w.mac("eth1"))
		}
	}
	w.nicteam("add", teamName, "eth1")
	for _, ip := range []netip.Addr{box4, box6} {
		labtest.Eventually(t, "peer is told the adapter's MAC for "+ip.String(), func() bool {
			return w.macKnownByPeer(ip) == w.mac(teamName)
		})
		ping(t, w.peer, ip, 10)
	}
}

// TestAddToAdapterThatIsDown: refused before anything is changed, accepted once the adapter is up.
func TestAddToAdapterThatIsDown(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 2, Cables: true})
	labtest.Must(t, w.box.SetAddr("eth2", "10.8.0.1/24"))
	w.sh("ip route add 10.24.0.0/16 via 10.8.0.254 dev eth2")
	w.create([]string{"eth1"}, "--mode", "active-backup")
	w.sh("ip link set " + teamName + " down")
	before := w.state()
	checkRefused(t, w.try("add", teamName, "eth2"), 5, "is down", "ip link set "+teamName+" up")
	w.checkUnchanged("refused", before)
	w.sh("ip link set " + teamName + " up")
	w.nicteam("add", teamName, "eth2")
	if shown := w.sh("ip route show 10.24.0.0/16"); !strings.Contains(shown, "dev "+teamName) {
		t.Errorf("the route of eth2: %s", shown)
	}
}
