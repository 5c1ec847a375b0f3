// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// securePorts makes the switch drop frames of box that come from another MAC than its NIC's own, as port security and
// hypervisors do.
func (w *world) securePorts() {
	w.t.Helper()
	for nic, wire := range w.wires {
		own := link(w.t, w.box, nic).HardwareAddr
		wire.A.Filter(func(frame []byte) int {
			if bytes.Equal(frame[6:12], own) {
				return 1
			}
			return 0
		})
	}
}

// checkUndone has a change fail that cuts box off, in time, with texts in the reason.
func (w *world) checkUndone(args []string, reason ...string) {
	w.t.Helper()
	program(w.t) // the first one builds it
	began := time.Now()
	r := w.try(args...)
	took := time.Since(began)
	w.t.Logf("back after %v: %s", took.Round(time.Millisecond), r.Err)
	checkRefused(w.t, r, 6, reason...)
	if *soak && took > 6*time.Second {
		w.t.Errorf("back after %v", took)
	}
}

// TestCreateCutsOff creates teams whose frames go nowhere: the host is given back, and is reached as before.
func TestCreateCutsOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		world  worldOptions
		args   []string
		reason []string
	}{
		{"port security", worldOptions{}, []string{"--mode", "active-backup", "--mac", "new"},
			[]string{"gateway 10.9.0.2", "answered by eth1 before, and not by team0 within 5s", "put back"}},
		{"802.3ad without a partner", worldOptions{Datapath: "relay"},
			[]string{"--mode", "802.3ad", "--lacp-fallback", "off"},
			[]string{"gateway 10.9.0.2", "nobody answers", "--lacp-fallback on"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, tt.world)
			w.useGateway()
			reach(t, w.box, peer4)
			w.securePorts()
			before, err := lab.SettledSnapshot(t.Context(), w.box)
			labtest.Must(t, err)
			w.checkUndone(append([]string{"create", teamName, "eth1", "eth2"}, tt.args...), tt.reason...)
			w.checkUnchangedSnapshot(before)
			reach(t, w.box, peer4)
		})
	}
}

// TestCreateTested says what the self-test of a create has found.
func TestCreateTested(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, gateway, want string }{
		{"answers", "10.9.0.2", "self-test: gateway 10.9.0.2 answers by team0"},
		{"silent before", "10.9.0.99", "self-test: nothing to ask"},
		{"none", "", "self-test: nothing to ask"},
		{"IPv6", "link-local", " answers by team0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{})
			if tt.gateway == "link-local" {
				labtest.Must(t, w.peer.SetAddr("eth0", "fe80::2/64"))
				w.sh("ip -6 route add default via fe80::2 dev eth1")
			} else if tt.gateway != "" {
				w.sh("ip route add default via " + tt.gateway + " dev eth1")
			}
			began := time.Now()
			out := w.nicteam("create", teamName, "eth1", "eth2")
			t.Logf("took %v", time.Since(began).Round(time.Millisecond))
			if !strings.Contains(out, tt.want) {
				t.Errorf("%q is not in\n%s", tt.want, out)
			}
		})
	}
}

// TestChangeCutsOff changes a team so that its frames go nowhere: the change is undone, and connections live.
func TestChangeCutsOff(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		create   []string // arguments
		breaks   func(w *world) (mend func())
		change   []string
		reason   string
		unharmed func(*api.Status) bool
	}{
		{"add", []string{"eth1", "--mode", "active-backup"}, (*world).shutOnAnnouncement,
			[]string{"add", teamName, "eth2"}, "add eth2 to team0",
			func(s *api.Status) bool { return len(s.Members) == 1 && s.Members[0].Name == "eth1" }},
		{"remove", []string{"eth1", "eth2", "--mode", "active-backup"}, (*world).silenceSecond,
			[]string{"remove", teamName, "eth1"}, "remove eth1 from team0",
			func(s *api.Status) bool { return len(s.Members) == 2 && s.Active == "eth1" }},
		{"set mode", []string{"eth1", "eth2"}, nil, []string{"set", teamName, "mode=802.3ad", "lacp_fallback=off"},
			"nobody answers", func(s *api.Status) bool { return s.Mode == "elb" && s.State == "up" }},
		{"set active", []string{"eth1", "eth2", "--mode", "active-backup"}, (*world).silenceSecond,
			[]string{"set", teamName, "active=eth2"}, "set team0",
			func(s *api.Status) bool { return s.Active == "eth1" }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{Datapath: "relay"})
			w.useGateway()
			w.create(tt.create[:1], tt.create[1:]...)
			conn := w.startEcho()
			mend := func() {}
			if tt.breaks != nil {
				mend = tt.breaks(w)
			}
			w.checkUndone(tt.change, "gateway 10.9.0.2 answered by team0 before, and not by team0", "was undone",
				tt.reason)
			mend()
			if s := w.await("the team is as before", tt.unharmed); s.Pending != nil {
				t.Errorf("%+v waits", s.Pending)
			}
			conn.check("after the change was undone")
			if !slices.ContainsFunc(w.history(), func(e api.Event) bool {
				return e.Event == "reverted" && strings.Contains(e.Reason, "gateway 10.9.0.2")
			}) {
				t.Error("no event tells of it")
			}
		})
	}
}

// shutOnAnnouncement makes the switch shut all ports of box at the next gratuitous ARP by any of them, as one that
// inspects ARP may. Those of an add come before its self-test asks, by the same NIC.
func (w *world) shutOnAnnouncement() (mend func()) {
	var shut atomic.Bool
	for _, wire := range w.wires {
		wire.A.Filter(func(frame []byte) int {
			const sender, target = 14 + 14, 14 + 24
			if len(frame) >= target+4 && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_ARP &&
				bytes.Equal(frame[sender:sender+4], frame[target:target+4]) {
				shut.Store(true)
			}
			if shut.Load() {
				return 0
			}
			return 1
		})
	}
	return func() {
		for _, wire := range w.wires {
			wire.A.Filter(nil)
		}
	}
}

// silenceSecond makes what eth2 sends go nowhere.
func (w *world) silenceSecond() (mend func()) {
	w.wires["eth2"].A.SwallowTx(true)
	return func() {}
}

// TestForcedChange keeps a change that cuts the host off, if it is forced.
func TestForcedChange(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Datapath: "relay"})
	w.useGateway()
	w.create(nics(2), "--mode", "active-backup")
	reach(t, w.box, peer4)
	w.silenceSecond()
	w.nicteam("remove", teamName, "eth1", "--force")
	if s := w.status(); len(s.Members) != 1 {
		t.Errorf("members: %+v", s.Members)
	}
}

// TestDeleteCutsOff deletes a team whose NICs' own MACs the switch does not let pass. There is nothing to go back to: a
// warning says what to do.
func TestDeleteCutsOff(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Datapath: "relay"})
	w.useGateway()
	w.create(nics(1), "--mode", "active-backup", "--mac", "02:00:00:00:77:01")
	reach(t, w.box, peer4)
	w.wires["eth1"].A.Filter(func(frame []byte) int {
		if frame[11] == 1 && frame[10] == 0x77 {
			return 1
		}
		return 0
	})
	w.checkUndone([]string{"delete", teamName, "--confirm", "1m"}, "gateway 10.9.0.2 answered by team0 before",
		"the team is made anew")
	labtest.Eventually(t, "the team again", func() bool {
		r := w.try("status", teamName, "--check")
		return r.Code == 0
	})
	reach(t, w.box, peer4)
	out := w.nicteam("delete", teamName)
	for _, text := range []string{"warning: the host may be cut off: gateway 10.9.0.2 answered by team0 before",
		"and not by eth1", "nicteam create team0 eth1"} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is not in\n%s", text, out)
		}
	}
}

// TestDeleteTested says that the gateway answers by the NICs again.
func TestDeleteTested(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{})
	w.useGateway()
	w.create(nics(2))
	const want = "self-test: gateway 10.9.0.2 answers by eth1, eth2"
	began := time.Now()
	if out := w.nicteam("delete", teamName); !strings.Contains(out, want) {
		t.Errorf("%q is not in\n%s", want, out)
	}
	t.Logf("took %v", time.Since(began).Round(time.Millisecond))
}

// TestSessionCutOff creates a team by which the gateway answers, but no TCP gets through: the connection that the
// command came by decides.
func TestSessionCutOff(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Datapath: "relay"})
	w.useGateway()
	near, far := connect(t, w.peer, w.box, box4)
	c := &connection{name: "session"}
	go c.readAll(near)
	go c.writeForever(far) // what the session shows
	own := link(t, w.box, "eth1").HardwareAddr
	w.wires["eth1"].A.Filter(func(frame []byte) int {
		const tcp = 14 + 9
		if !bytes.Equal(frame[6:12], own) && binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IP &&
			frame[tcp] == unix.IPPROTO_TCP {
			return 0
		}
		return 1
	})
	client, server := addrPort(far.RemoteAddr()), addrPort(far.LocalAddr())
	session := fmt.Sprintf("SSH_CONNECTION=%v %d %v %d", client.Addr(), client.Port(), server.Addr(), server.Port())
	args := []string{"create", teamName, "eth1", "--mode", "active-backup", "-y", "--mac"}
	env := []string{session, "NICTEAM_LINK_WATCH=carrier", "NICTEAM_DATAPATH=relay"}
	r := run(t, w.box, env, append(args, "new")...)
	checkRefused(t, r, 6, "what was sent on the SSH connection from "+client.String()+" is not acknowledged")
	checkProgress(t, "after it was given back", []*connection{c})
	if r := run(t, w.box, env, append(args, "keep")...); r.Code != 0 ||
		!strings.Contains(r.Out, "gateway 10.9.0.2 answers by team0, the SSH connection goes on") {
		t.Errorf("exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
	checkProgress(t, "by the team", []*connection{c})
	if r := run(t, w.box, env, "add", teamName, "eth2", "-y"); r.Code != 0 || // its process is confined
		!strings.Contains(r.Out, "gateway 10.9.0.2 answers by team0, the SSH connection goes on") {
		t.Errorf("exit %d\n%s%s", r.Code, r.Out, r.Err)
	}
}

func addrPort(a net.Addr) netip.AddrPort { return netip.MustParseAddrPort(a.String()) }
