// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// bridgeGuests makes the adapter a port of a bridge that takes over box's addresses, with guests on it: 10.9.0.101,
// fd09::101 and so on, with duplicate address detection.
func (w *world) bridgeGuests(guests int) (all []*simulatedPeer) {
	w.t.Helper()
	br := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	br.Name = "br0"
	hold := w.box.Handle()
	labtest.Must(w.t, hold.LinkAdd(br))
	l, err := hold.LinkByName(teamName)
	labtest.Must(w.t, err)
	list, err := hold.AddrList(l, netlink.FAMILY_V4)
	labtest.Must(w.t, err)
	for _, a := range list {
		labtest.Must(w.t, hold.AddrDel(l, &a))
	}
	labtest.Must(w.t, hold.LinkSetMaster(l, br))
	labtest.Must(w.t, w.box.Up("br0"))
	labtest.Must(w.t, w.box.SetAddr("br0", box4.String()+"/24"))
	for i := 101; i < 101+guests; i++ {
		p := &simulatedPeer{Host: labtest.Host(w.t, fmt.Sprintf("g%d", i)),
			IP4: netip.AddrFrom4([4]byte{10, 9, 0, byte(i)}), IP6: netip.MustParseAddr(fmt.Sprintf("fd09::%d", i))}
		port := fmt.Sprintf("g%d", i)
		labtest.Cable(w.t, p.Host, "eth0", w.box, port, lab.CableOptions{})
		g, err := hold.LinkByName(port)
		labtest.Must(w.t, err)
		labtest.Must(w.t, hold.LinkSetMaster(g, br))
		labtest.Must(w.t, p.SetAddr("eth0", p.IP4.String()+"/24"))
		p.MAC = macOf(link(w.t, p.Host, "eth0").HardwareAddr)
		all = append(all, p)
	}
	for _, p := range all {
		a, err := netlink.ParseAddr(p.IP6.String() + "/64")
		labtest.Must(w.t, err)
		l, err := p.Handle().LinkByName("eth0")
		labtest.Must(w.t, err)
		labtest.Must(w.t, p.Handle().AddrAdd(l, a))
	}
	return all
}

// TestELBWithABridge has three guests behind the adapter, on switches that send own frames of box to all its other
// NICs: none comes back in, nothing is duplicated, each guest sends by one member.
func TestELBWithABridge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		members  int
		flooding bool
	}{{2, true}, {4, true}, {8, true}, {3, false}} {
		name := fmt.Sprintf("%d members, %s", tt.members, map[bool]string{true: "flooding",
			false: "learning"}[tt.flooding])
		t.Run(name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: tt.members, Flooding: tt.flooding})
			heard := w.tapWires()
			w.create(nics(tt.members))
			inside := w.raw(w.box, teamName)
			guests := w.bridgeGuests(3)
			var behind []frame.MAC
			ours := map[frame.MAC]string{macOf(inside.MAC): teamName}
			for _, g := range guests {
				behind = append(behind, g.MAC)
				ours[g.MAC] = g.Name
			}
			for nic, mac := range heard.macs {
				ours[mac] = nic
			}
			behind = append(behind, macOf(link(t, w.box, "br0").HardwareAddr))

			for _, g := range guests {
				labtest.Eventually(t, "end of the check for duplicates", func() bool {
					bad, done := duplicateAddresses(t, g.Host, "eth0")
					if len(bad) > 0 {
						t.Fatalf("%s: taken for duplicates: %v", g.Name, bad)
					}
					return done
				})
				ping(t, g.Host, peer4, 56)
				ping(t, w.peer, g.IP4, 56)
				ping(t, g.Host, peer6, 1400)
				ping(t, w.peer, g.IP6, 1400)
			}
			ping(t, w.peer, box4, 56)
			ping(t, w.box, peer4, 1472)
			// A new guest sends by the active member until the team has learned it.
			labtest.Eventually(t, "guests at their members", func() bool {
				heard.reset()
				settled := true
				for _, g := range guests {
					ping(t, g.Host, peer4, 56)
					settled = settled && len(heard.membersUsedBy(g.MAC)) == 1
				}
				return settled
			})
			heard.reset()

			var running []*lab.Running
			for _, g := range guests {
				for _, s := range []lab.Stream{
					{From: g.Host, To: w.peer, Address: peer4}, {From: w.peer, To: g.Host, Address: g.IP4},
					{From: w.peer, To: g.Host, Address: g.IP6},
				} {
					s.Flows, s.Rate = 4, 150
					running = append(running, labtest.Start(t, s))
				}
			}

			asker := w.raw(w.peer, "eth0")
			me := &simulatedPeer{MAC: macOf(asker.MAC), IP4: peer4}
			for _, of := range append([]*simulatedPeer{{IP4: box4}}, guests...) {
				asker.send(request(me, of.IP4))
				answers := func(b []byte) bool {
					n, ok := parseAnnouncement(b)
					return ok && n.Kind == arpAnswer && n.Sender == of.IP4 && !n.steersOnePeer()
				}
				got := asker.collect(1, labtest.Patience, answers)
				if got = append(got, asker.collect(1, 50*time.Millisecond, answers)...); len(got) != 1 {
					t.Errorf("%d answers about %s", len(got), of.IP4)
				}
			}

			for _, r := range running {
				labtest.Eventually(t, "200 frames", func() bool { return r.Received() >= 200 })
			}
			for _, r := range running {
				if got, err := r.Stop(); err != nil || got.Lost+got.Duplicated+got.Corrupt != 0 ||
					got.Reordered > 1+reorderBound(got) {
					t.Errorf("%v, %v", got, err)
				}
			}
			// All frames that the adapter has received so far.
			for b := inside.receive(); b != nil; b = inside.receive() {
				if who := ours[frame.MACAt(b, 6)]; who != "" {
					t.Fatalf("a frame of %s came back in: % x", who, b[:min(len(b), 64)])
				}
			}
			heard.checkOwnMACs(behind...)
			for _, g := range guests {
				if ways := heard.membersUsedBy(g.MAC); len(ways) != 1 {
					t.Errorf("%s leaves by %v", g.Name, ways)
				}
			}
			if !tt.flooding {
				w.awaitLearnt()
			}
		})
	}
}
