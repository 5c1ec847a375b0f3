// SPDX-License-Identifier: MIT

package systest

import (
	"context"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// useGateway makes peer the default gateway of box by eth1, before there is a team.
func (w *world) useGateway() {
	w.t.Helper()
	labtest.Tool(w.t, "ip", "iproute2")
	w.sh("ip route add default via 10.9.0.2 dev eth1")
}

// awaitVerdict waits until the link watches say so about members.
func (w *world) awaitVerdict(verdict string, members ...string) *api.Status {
	w.t.Helper()
	return w.await(strings.Join(members, " and ")+" "+verdict, func(s *api.Status) bool {
		for _, nic := range members {
			if x := memberOf(w.t, s, nic).Watch; x == nil || x.Verdict != verdict {
				return false
			}
		}
		return true
	})
}

// swallow drops what a NIC of box sends, or receives, without a sign.
func (w *world) swallow(nic, direction string, on bool) {
	if direction == "transmit" {
		w.wires[nic].A.SwallowTx(on)
	} else {
		w.wires[nic].A.SwallowRx(on)
	}
}

// awaitUsed waits until a member is in use.
func (w *world) awaitUsed(nic string) {
	w.t.Helper()
	w.await(nic+" is used", func(s *api.Status) bool {
		st := memberOf(w.t, s, nic).State
		return st == "up" || st == "standby"
	})
}

// TestSilentNIC has NICs whose frames go nowhere, in one direction, while the light is on: under traffic they leave
// use, and they come back when it is over. No other member goes down.
func TestSilentNIC(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		mode, path, direction string
		world                 worldOptions
	}{
		{"elb", "relay", "transmit", worldOptions{NICs: 3}},
		{"elb", "fastpath", "receive", worldOptions{NICs: 3}},
		{"active-backup", "relay", "receive", worldOptions{NICs: 3}},
		{"active-backup", "fastpath", "transmit", worldOptions{NICs: 3}},
		{"xor", "relay", "receive", worldOptions{NICs: 3, LAG: true}},
		{"round-robin", "fastpath", "transmit", worldOptions{NICs: 3, LAG: true, Spread: lab.SpreadFrames}},
	} {
		t.Run(tt.mode+", "+tt.path+", "+tt.direction, func(t *testing.T) {
			parallelWithTraffic(t)
			tt.world.Asks = true
			w := newWorld(t, tt.world.on(tt.path))
			w.useGateway()
			w.create(nics(3), "--mode", tt.mode)
			w.awaitVerdict("up", nics(3)...)
			tr := w.traffic(lab.Stream{Rate: 3000, Flows: 12})
			w.swallow("eth1", tt.direction, true)
			s := w.awaitMember("eth1", "down")
			m := memberOf(t, s, "eth1")
			found := strings.Contains(m.Reason, "gateway 10.9.0.2 does not answer by eth1") ||
				tt.world.LAG && tt.direction == "receive" && strings.Contains(m.Reason, "eth1 hears nothing")
			if !found || m.Watch == nil ||
				m.Watch.Verdict != "down" || !m.Link || s.State != "degraded" {
				t.Errorf("state %s, eth1 %+v, watch %+v", s.State, m, m.Watch)
			}
			// The switch goes on sending by a port of a LAG whose NIC hears nothing.
			if out := tr.out; !tt.world.LAG {
				tr.awaitFrames(500)
			} else {
				want := out.Received() + 500
				labtest.Eventually(t, "frames to peer", func() bool { return out.Received() >= want })
			}
			w.swallow("eth1", tt.direction, false)
			w.awaitUsed("eth1")
			w.awaitVerdict("up", "eth1")
			for _, e := range w.history() {
				if e.Event == "member-down" && e.Member != "eth1" {
					// Full queues of a busy lab lose asks of one NIC, too.
					report := t.Logf
					if *soak {
						report = t.Errorf
					}
					report("%s went down: %s", e.Member, e.Reason)
				}
			}
			if o, i := tr.stop(); o.Corrupt+i.Corrupt != 0 {
				t.Error("corrupt frames")
			}
		})
	}
}

// TestDeadNICFirst creates a team whose first NIC reaches nothing: the host stays reachable, and the NIC is used once
// it works.
func TestDeadNICFirst(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ mode, path string }{{"elb", "relay"}, {"active-backup", "fastpath"}} {
		t.Run(tt.mode+", "+tt.path, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{Asks: true}.on(tt.path))
			w.useGateway()
			reach(t, w.box, peer4) // eth1 works
			w.wires["eth2"].A.SwallowTx(true)
			w.wires["eth2"].A.SwallowRx(true)
			w.create([]string{"eth2", "eth1"}, "--mode", tt.mode)
			reach(t, w.box, peer4)
			s := w.status()
			if m := memberOf(t, s, "eth2"); m.State == "up" || m.State == "standby" || m.Reason == "" {
				t.Errorf("eth2, which reaches nothing: %+v, watch %+v", m, m.Watch)
			}
			if tt.mode == "active-backup" && s.Active != "eth1" {
				t.Errorf("active is %q", s.Active)
			}
			w.wires["eth2"].A.SwallowTx(false)
			w.wires["eth2"].A.SwallowRx(false)
			w.awaitUsed("eth2")
		})
	}
}

// history returns the team's events.
func (w *world) history() []api.Event {
	w.t.Helper()
	return *ask(w.t, w.box, teamName, func(c *control.Client, ctx context.Context) (*[]api.Event, error) {
		var all []api.Event
		return &all, c.Events(ctx, false, func(e *api.Event) error { all = append(all, *e); return nil })
	})
}
