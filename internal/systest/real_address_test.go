// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// The address that moves between hosts in these tests, as VRRP moves it.
var (
	vip4, vip6 = netip.MustParseAddr("10.9.0.100"), netip.MustParseAddr("fd09::100")
	vip7       = netip.MustParseAddr("10.7.0.100") // in VLAN 7
)

// macOfPeer is the MAC of peer's NIC.
func (w *world) macOfPeer() frame.MAC { return frame.MACFrom(link(w.t, w.peer, "eth0").HardwareAddr) }

// failOver pulls the cable of the active member, waits until done, and mends it.
func (w *world) failOver(what string, done func() bool) {
	w.t.Helper()
	active := w.status().Active
	labtest.Must(w.t, w.wires[active].Cut())
	labtest.Eventually(w.t, what, done)
	labtest.Must(w.t, w.wires[active].Mend())
	w.await(active+" usable", func(s *api.Status) bool {
		st := memberOf(w.t, s, active).State
		return st == "up" || st == "standby"
	})
}

// TestAddressesThatComeAndGo: an address that somebody adds to the adapter, or to a VLAN on it, is announced when a
// member fails, like the first one; in elb its peers go on to reach it. Once it is removed nobody is told of it any
// more.
func TestAddressesThatComeAndGo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ mode, path string }{{"active-backup", "relay"}, {"elb", "fastpath"}} {
		t.Run(tt.mode, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{Datapath: tt.path})
			w.create(nics(2), "--mode", tt.mode, "--damping", "off")
			said := w.captureClaims()
			w.sh("ip addr add 10.9.0.100/32 dev team0; ip addr add fd09::100/128 dev team0 nodad")
			later := []netip.Addr{vip4, vip6}
			gone := []string{"10.9.0.100/32", "fd09::100/128"}
			if w.sh("ip link add link team0 name team0.7 type vlan id 7 2>&1 || true") == "" { // the kernel has VLANs
				w.sh("ip link set team0.7 up; ip addr add 10.7.0.100/24 dev team0.7")
				later, gone = append(later, vip7), append(gone, "10.7.0.100/24 of team0.7")
			}
			all := func(ips ...netip.Addr) (told bool) {
				told = true
				for _, ip := range ips {
					vlan := uint16(0)
					if ip == vip7 {
						vlan = 7
					}
					told = told && len(said.of(ip, vlan)) > 0
				}
				return told
			}
			if tt.mode == "elb" { // peers keep the MAC that they know, which another member takes over
				all = func(ips ...netip.Addr) bool {
					return !slices.ContainsFunc(ips, func(ip netip.Addr) bool {
						return ip != vip7 && !answersWithin(t, w.peer, ip, 100, 200*time.Millisecond)
					})
				}
			}
			said.forget()
			w.failOver("all are announced, or reached", func() bool { return all(append(later, box4, box6)...) })
			if tt.mode == "elb" { // and one peer is told which member to send to
				reach(t, w.peer, vip4)
				labtest.Eventually(t, "peer is steered", func() bool {
					return strings.Contains(w.nicteam("peers", teamName), vip4.String())
				})
			}

			w.sh("ip addr del 10.9.0.100/32 dev team0; ip addr del fd09::100/128 dev team0; " +
				"ip link del team0.7 2>/dev/null || true")
			labtest.Eventually(t, "they have left", func() bool {
				list := w.eventReasons("address-left")
				return !slices.ContainsFunc(gone, func(s string) bool { return !slices.Contains(list, s) })
			})
			said.forget()
			w.failOver("what is left is announced", func() bool { return all(box4, box6) })
			if strings.Contains(w.nicteam("peers", teamName), vip4.String()) {
				t.Error("a peer is still steered for an address that left")
			}
			for _, ip := range []netip.Addr{vip4, vip6} {
				if macs := said.of(ip, 0); len(macs) > 0 {
					t.Errorf("%v is said to be at %v", ip, macs)
				}
			}
			if macs := said.of(vip7, 7); len(macs) > 0 {
				t.Errorf("%v in VLAN 7 is said to be at %v", vip7, macs)
			}
		})
	}
}

// TestAddressLeavesBetweenProcesses: an address that left while no process ran is forgotten by the next one.
func TestAddressLeavesBetweenProcesses(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{})
	w.create(nics(2), "--damping", "off")
	w.sh("ip addr add 10.9.0.100/32 dev team0")
	reach(t, w.peer, vip4)
	labtest.Eventually(t, "peer is steered", func() bool {
		return strings.Contains(w.nicteam("peers", teamName), vip4.String())
	})
	said := w.captureClaims()
	w.betweenProcesses(func() { w.sh("ip addr del 10.9.0.100/32 dev team0") })
	if strings.Contains(w.nicteam("peers", teamName), vip4.String()) {
		t.Error("the next process steers a peer for it")
	}
	said.forget()
	w.failOver("the other one is announced", func() bool { return len(said.of(box4, 0)) > 0 })
	if macs := said.of(vip4, 0); len(macs) > 0 {
		t.Errorf("%v is said to be at %v", vip4, macs)
	}
}

// TestDuplicateAddress: another host that claims an address of the adapter, by gratuitous ARP or an unsolicited
// neighbour advertisement, is named in a warning and an event, in modes with one MAC and with several, until the
// address is taken away here.
func TestDuplicateAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ mode, path string }{{"elb", "relay"}, {"active-backup", "fastpath"},
		{"802.3ad", "relay"}} {
		t.Run(tt.mode+" "+tt.path, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{Datapath: tt.path})
			w.create(nics(2), "--mode", tt.mode)
			reach(t, w.peer, box4) // the team works
			far, mac := w.raw(w.peer, "eth0"), w.macOfPeer()
			warnings := func() (list []string) {
				for _, text := range w.status().Warnings {
					if strings.HasPrefix(text, "duplicate address") {
						list = append(list, text)
					}
				}
				return list
			}
			claim := func() {
				far.send(frame.GratuitousARP(mac, box4, 0))
				far.send(frame.UnsolicitedNA(mac, box6, false, 0))
			}
			claim()
			if tt.mode == "elb" {
				labtest.Eventually(t, "peers are no longer steered", func() bool {
					return !strings.Contains(w.nicteam("peers", teamName), box4.String())
				})
			}
			want := []string{fmt.Sprintf("%v is also at %v", box4, mac), fmt.Sprintf("%v is also at %v", box6, mac)}
			labtest.Eventually(t, "two events", func() bool {
				return slices.Equal(w.eventReasons("duplicate-address"), want)
			})
			if list := warnings(); len(list) != 2 || !strings.Contains(list[0], want[0]) ||
				!strings.Contains(list[1], want[1]) {
				t.Errorf("warnings %q, want %q", list, want)
			}
			claim()
			w.sh("ip addr add 10.9.0.8/24 dev team0; ip addr del 10.9.0.1/24 dev team0")
			w.await("one warning ends", func(*api.Status) bool { return len(warnings()) == 1 })
			if list := w.eventReasons("duplicate-address"); len(list) != 2 {
				t.Errorf("events %q", list)
			}
		})
	}
}

// carrierEvents follows what the kernel tells programs of the adapter's carrier, without asking: whoever asks is told
// sooner.
type carrierEvents struct {
	w      *world
	events chan netlink.LinkUpdate
}

func (w *world) followCarrier() *carrierEvents {
	c := &carrierEvents{w: w, events: make(chan netlink.LinkUpdate, 64)}
	done := make(chan struct{})
	w.t.Cleanup(func() { close(done) })
	labtest.Must(w.t, w.box.Do(func() error { return netlink.LinkSubscribe(c.events, done) }))
	return c
}

// await waits until programs are told that the adapter runs, or does not, and returns how long ago since was.
func (c *carrierEvents) await(running bool, since time.Time) time.Duration {
	c.w.t.Helper()
	timeout := time.After(labtest.Patience)
	for {
		select {
		case e := <-c.events:
			if a := e.Attrs(); a != nil && a.Name == teamName && (a.RawFlags&unix.IFF_RUNNING != 0) == running {
				return time.Since(since)
			}
		case <-timeout:
			c.w.t.Fatalf("no event says that the adapter runs: %v", running)
		}
	}
}

// carrierBound bounds the time until programs know: a reading of the members' carriers (10 ms), and 100 ms. The kernel
// alone takes up to a second.
const carrierBound = 110 * time.Millisecond

// TestCarrierFallsWithTheMembers: programs that watch the adapter, as VRRP does, are told that it has no carrier as
// soon as no member is usable, or fewer than min_members, in each mode, and also if that happened while no process of
// the team ran.
func TestCarrierFallsWithTheMembers(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"elb", "active-backup", "xor", "round-robin", "broadcast", "802.3ad"} {
		t.Run(mode, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{})
			w.create(nics(2), "--mode", mode, "--damping", "off")
			told := w.followCarrier()
			falls := func(when string, list ...string) {
				t.Helper()
				since := time.Now()
				for _, nic := range list {
					labtest.Must(t, w.wires[nic].Cut())
				}
				took := told.await(false, since)
				t.Logf("%s: after %v", when, took)
				if *soak && took > carrierBound {
					t.Errorf("%s: programs know after %v", when, took)
				}
				for _, nic := range list {
					labtest.Must(t, w.wires[nic].Mend())
				}
				told.await(true, since)
			}
			falls("all are dead", nics(2)...)
			if mode != "elb" && mode != "active-backup" && mode != "xor" {
				return // in 802.3ad one works alone without a partner; the others follow min_members as xor does
			}
			w.await("both are usable", func(s *api.Status) bool { return s.State == "up" })
			w.set("min_members=2")
			falls("one of two, min_members is 2", "eth2")
			if mode == "xor" {
				return
			}
			w.await("both are usable", func(s *api.Status) bool { return s.State == "up" })
			keeper, was := w.keeper(), w.teamProcess()
			labtest.Must(t, unix.Kill(keeper, unix.SIGSTOP))
			labtest.Must(t, unix.Kill(was, unix.SIGKILL))
			since := time.Now()
			for _, nic := range nics(2) {
				labtest.Must(t, w.wires[nic].Cut())
			}
			labtest.Must(t, unix.Kill(keeper, unix.SIGCONT))
			t.Logf("while no process ran: after %v", told.await(false, since))
			labtest.Must(t, w.wires["eth1"].Mend())
			labtest.Must(t, w.wires["eth2"].Mend())
			told.await(true, since)
		})
	}
}
