// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// portOf returns the switch's port at which it has learned a MAC, "" if none.
func (w *world) portOf(mac frame.MAC) string {
	w.t.Helper()
	list, err := w.sw.Handle().NeighList(0, unix.AF_BRIDGE)
	labtest.Must(w.t, err)
	for _, n := range list {
		if n.State&unix.NUD_PERMANENT == 0 && macOf(n.HardwareAddr) == mac {
			l, err := w.sw.Handle().LinkByIndex(n.LinkIndex)
			labtest.Must(w.t, err)
			return l.Attrs().Name
		}
	}
	return ""
}

// learningFrames records the learning frames and group reports that box sends.
type learningFrames struct {
	mu  sync.Mutex
	all []frame.Station // in order
	// group reports, of the host and of the team
	reports int
}

func (w *world) captureLearningFrames() *learningFrames {
	h := &learningFrames{}
	for _, wire := range w.wires {
		wire.A.Filter(func(b []byte) int {
			var p frame.Headers
			frame.Parse(b, &p)
			h.mu.Lock()
			defer h.mu.Unlock()
			if p.EtherType == frame.TypeRARP {
				h.all = append(h.all, p.Station(p.Src, b))
			}
			if spread.GroupReport(&p, b) {
				h.reports++
			}
			return 1
		})
	}
	return h
}

// forget clears the records.
func (h *learningFrames) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all, h.reports = nil, 0
}

// groups reports whether groups were reported, which is last in a failover.
func (h *learningFrames) groups() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reports > 0
}

// of returns the recorded ones of these stations, each once, in order.
func (h *learningFrames) of(wanted ...frame.Station) (all []frame.Station) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.all {
		if slices.Contains(wanted, s) && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	slices.Sort(all)
	return all
}

// frameFrom returns a broadcast frame of a station.
func frameFrom(s frame.Station) []byte {
	b := frame.RARP(s.MAC(), s.VLAN())
	at := 12
	if s.VLAN() != 0 {
		at += frame.TagLen
	}
	binary.BigEndian.PutUint16(b[at:], experiment)
	return b
}

// TestGuestMoves moves a guest behind the adapter to another host, where it is learned at once and no failover claims
// it back, and returns it, with the same result here. Other guests stay, one of them in a VLAN: they are announced, in
// that VLAN.
func TestGuestMoves(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		for _, mode := range []string{"active-backup", "elb"} {
			t.Run(mode, func(t *testing.T) {
				parallelWithTraffic(t)
				w := newWorld(t, worldOptions{Datapath: path})
				w.create(nics(2), "--mode", mode, "--damping", "off")
				heard := w.captureLearningFrames()
				inside, far := w.raw(w.box, teamName), w.raw(w.peer, "eth0")
				guest, stays := frame.StationOf(0x0200_0000_0a01, 0), frame.StationOf(0x0200_0000_0a02, 0)
				tagged := frame.StationOf(0x0200_0000_0a03, 7)
				all := []frame.Station{guest, stays, tagged}

				// failover takes the active member's cable away until done, and returns who was announced.
				failover := func(when string, done func() bool) []frame.Station {
					t.Helper()
					active := w.status().Active
					heard.forget()
					labtest.Must(t, w.wires[active].Cut())
					labtest.Eventually(t, when+": announcements", done)
					labtest.Must(t, w.wires[active].Mend())
					w.await(when+": "+active+" usable", func(s *api.Status) bool {
						st := memberOf(t, s, active).State
						return st == "up" || st == "standby"
					})
					return heard.of(all...)
				}
				// here has stations speak. The team knows them a moment later, and announces them in each failover
				// after that.
				here := func(when string, speak ...frame.Station) {
					t.Helper()
					for _, s := range speak {
						inside.send(frameFrom(s))
					}
					labtest.Eventually(t, when+": all are announced", func() bool {
						return slices.Equal(failover(when, heard.groups), all)
					})
					for _, s := range speak {
						if port := w.portOf(s.MAC()); port != "p1" && port != "p2" {
							t.Errorf("%s: the switch has %v at %q", when, s, port)
						}
					}
				}
				here("at home", all...)

				came := func(b []byte) bool { return bytes.Equal(b, frameFrom(guest)) }
				for inside.receive() != nil { // what was heard before
				}
				labtest.Eventually(t, "the guest is heard from where it has moved", func() bool {
					far.send(frameFrom(guest))
					return len(inside.collect(1, labtest.Patience/100, came)) > 0
				})
				labtest.Eventually(t, "the switch has it there", func() bool {
					return w.portOf(guest.MAC()) == "uplink"
				})
				far.send(frameFrom(guest))
				if len(inside.collect(1, labtest.Patience, came)) == 0 {
					t.Error("it is not heard from there again")
				}
				for range 2 {
					// The guest's would come before those of the others.
					others := []frame.Station{stays, tagged}
					labtest.Eventually(t, "the others are announced", func() bool {
						for _, s := range others {
							inside.send(frameFrom(s))
						}
						got := failover("moved away", heard.groups)
						if slices.Contains(got, guest) {
							t.Fatalf("moved away, and announced: %v", got)
						}
						return slices.Equal(got, others)
					})
					if port := w.portOf(guest.MAC()); port != "uplink" {
						t.Errorf("the switch has who moved away at %s", port)
					}
				}

				here("back", guest)
			})
		}
	})
}

// TestVirtualRouter moves VRRP's virtual MAC to another router and back, as keepalived's use_vmac does: both have a
// macvlan with it, and the master has the virtual address and announces it.
func TestVirtualRouter(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		for _, mode := range []string{"active-backup", "elb"} {
			t.Run(mode, func(t *testing.T) {
				parallelWithTraffic(t)
				w := newWorld(t, worldOptions{Datapath: path})
				w.create(nics(2), "--mode", mode, "--damping", "off")
				client := w.simulatePeers(1)[0]
				const vmac, address = frame.MAC(0x0000_5e00_0107), "10.9.0.50/32"
				vip := netip.MustParsePrefix(address).Addr()
				for on, h := range map[string]*lab.Host{teamName: w.box, "eth0": w.peer} {
					labtest.Must(t, h.Sysctl("ipv4/conf/all/arp_ignore", "1"))
					// Or it says that the virtual address is at its own MAC.
					labtest.Must(t, h.Sysctl("ipv4/conf/all/arp_announce", "2"))
					must(t, h, "ip", "link", "add", "vrrp7", "link", on, "address", vmac.String(),
						"type", "macvlan", "mode", "private")
					labtest.Must(t, h.Sysctl("ipv6/conf/vrrp7/disable_ipv6", "1")) // one that stands by says nothing
					must(t, h, "ip", "link", "set", "vrrp7", "up")
				}
				// failover takes the active member's cable away until another is active and it is back.
				failover := func() {
					t.Helper()
					active := w.status().Active
					labtest.Must(t, w.wires[active].Cut())
					w.await("another active member", func(s *api.Status) bool {
						return s.Active != "" && s.Active != active
					})
					labtest.Must(t, w.wires[active].Mend())
					w.await(active+" usable", func(s *api.Status) bool {
						st := memberOf(t, s, active).State
						return st == "up" || st == "standby"
					})
				}
				inside, far := w.raw(w.box, teamName), w.raw(w.peer, "vrrp7")
				advert := frame.GratuitousARP(vmac, vip, 0)
				its := func(b []byte) bool { return frame.MACAt(b, 6) == vmac }
				for range 2 {
					must(t, w.box, "ip", "addr", "add", address, "dev", "vrrp7")
					w.raw(w.box, "vrrp7").send(advert)
					labtest.Eventually(t, "the virtual MAC is here", func() bool {
						p := w.portOf(vmac)
						return p == "p1" || p == "p2"
					})
					reaches(t, client.Host, vip)
					failover()
					reaches(t, client.Host, vip)
					must(t, w.box, "ip", "addr", "del", address, "dev", "vrrp7")

					must(t, w.peer, "ip", "addr", "add", address, "dev", "vrrp7")
					for inside.receive() != nil { // what was heard before
					}
					labtest.Eventually(t, "box hears the other router", func() bool {
						far.send(advert)
						return len(inside.collect(1, labtest.Patience/100, its)) > 0
					})
					labtest.Eventually(t, "the virtual MAC is there", func() bool { return w.portOf(vmac) == "uplink" })
					failover()
					if port := w.portOf(vmac); port != "uplink" {
						t.Errorf("the switch has the virtual MAC at %s", port)
					}
					reaches(t, client.Host, vip)
					reaches(t, w.box, vip)
					must(t, w.peer, "ip", "addr", "del", address, "dev", "vrrp7")
				}
			})
		}
	})
}

// reaches waits until an address answers. It repeats requests, since a pulled cable may lose some.
func reaches(t testing.TB, from *lab.Host, to netip.Addr) {
	t.Helper()
	labtest.Eventually(t, "an answer of "+to.String(), func() bool {
		return from.Command("ping", "-q", "-n", "-c", "1", "-W", "1", to.String()).Run() == nil
	})
}

// must runs a command in a host.
func must(t testing.TB, h *lab.Host, name string, args ...string) {
	t.Helper()
	if out, err := h.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v in %s: %v\n%s", name, args, h.Name, err, out)
	}
}
