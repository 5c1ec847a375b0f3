// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestIPv6Alone has hosts with an empty neighbour table, a router and programs reach box by multicast, on NICs that
// filter groups; then the same after the member that received groups has died.
func TestIPv6Alone(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		for _, tt := range []struct {
			mode  string
			world worldOptions
		}{
			{"elb", worldOptions{NICs: 3}},
			{"active-backup", worldOptions{NICs: 3}},
			{"xor", worldOptions{LAG: true}},
			{"round-robin", worldOptions{LAG: true, Spread: lab.SpreadFrames}},
			{"broadcast", worldOptions{LAG: true}},
			{"802.3ad", worldOptions{}}, // on a switch without LACP one works alone
		} {
			t.Run(tt.mode, func(t *testing.T) {
				parallel(t)
				tt.world.NoAddress = true
				w := newWorld(t, tt.world.on(path))
				labtest.Must(t, w.box.SetAddr("eth1", box6.String()+"/64"))
				before := w.multicastLists()
				w.create(nics(max(2, tt.world.NICs)), "--mode", tt.mode)

				mdns := w.listenTo("udp6", "ff02::fb", "5353")
				mdns4 := w.listenTo("udp4", "224.0.0.251", "5353")
				vrrp := w.listenTo("ip4:112", "224.0.0.18", "")
				reached := func(when string) {
					t.Helper()
					w.checkResolved(when, box6)
					mdns.checkReceives(w, when)
					mdns4.checkReceives(w, when)
					vrrp.checkReceives(w, when)
				}
				reached("at first")

				// An address that comes later, with the kernel's check for duplicates.
				labtest.Run(t, w.box, "ip", "addr", "add", "fd09::77/64", "dev", teamName)
				labtest.Eventually(t, "end of the check for duplicates", func() bool {
					bad, done := duplicateAddresses(t, w.box, teamName)
					if len(bad) > 0 {
						t.Fatalf("taken for duplicates: %v", bad)
					}
					return done
				})
				w.checkResolved("new address", netip.MustParseAddr("fd09::77"))

				labtest.Eventually(t, "address and route of a router", func() bool {
					w.advertise("fd0a::/64", 600)
					return w.hasRoute("fd0a::/64")
				})

				dead := w.status().Active
				if dead == "" {
					dead = "eth1"
				}
				labtest.Must(t, w.wires[dead].Cut())
				w.awaitMember(dead, "down")
				reached(dead + " cut")
				labtest.Must(t, w.wires[dead].Mend())
				labtest.Eventually(t, dead+" in use", func() bool { return w.member(dead).State != "down" })
				reached(dead + " mended")

				labtest.Run(t, w.box, "ip", "addr", "del", "fd09::77/64", "dev", teamName)
				w.nicteam("delete", teamName)
				if d := cmp.Diff(strings.Split(before, "\n"), strings.Split(w.multicastLists(), "\n")); d != "" {
					t.Errorf("multicast lists, -before +after\n%s", d)
				}
			})
		}
	})
}

// hasRoute reports whether the adapter has an address of the prefix and a default route.
func (w *world) hasRoute(prefix string) bool {
	w.t.Helper()
	p := netip.MustParsePrefix(prefix)
	for _, a := range w.addresses6(teamName) {
		ip, _ := netip.AddrFromSlice(a.IP)
		if !p.Contains(ip) {
			continue
		}
		routes, err := w.box.Handle().RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{}, netlink.RT_FILTER_DST)
		labtest.Must(w.t, err)
		for _, r := range routes {
			if r.LinkIndex == link(w.t, w.box, teamName).Index {
				return true
			}
		}
	}
	return false
}

// TestSilentGuest has a host reach a guest behind a bridge on the adapter that has never sent a frame.
func TestSilentGuest(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		for _, mode := range []string{"elb", "active-backup"} {
			t.Run(mode, func(t *testing.T) {
				parallel(t)
				w := newWorld(t, worldOptions{}.on(path))
				w.create(nics(2), "--mode", mode)
				hold := w.box.Handle()
				// Nobody else behind the adapter may say anything either.
				labtest.Must(t, w.box.Sysctl("ipv6/conf/default/disable_ipv6", "1"))
				br := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}
				labtest.Must(t, hold.LinkAdd(br))
				guest := labtest.Host(t, "guest")
				labtest.Must(t, guest.Sysctl("ipv6/conf/default/disable_ipv6", "1"))
				labtest.Cable(t, guest, "eth0", w.box, "g0", lab.CableOptions{})
				for _, port := range []string{teamName, "g0"} {
					l, err := hold.LinkByName(port)
					labtest.Must(t, err)
					labtest.Must(t, hold.LinkSetMaster(l, br))
				}
				labtest.Must(t, w.box.Up("br0"))

				inside, outside := w.raw(guest, "eth0"), w.raw(w.peer, "eth0")
				b := testEthernet(macOf(inside.MAC), macOf(outside.MAC))
				labtest.Eventually(t, "a frame for a silent guest", func() bool {
					outside.send(b)
					for got := inside.receive(); got != nil; got = inside.receive() {
						if frame.MACAt(got, 0) == macOf(inside.MAC) && frame.MACAt(got, 6) == macOf(outside.MAC) {
							return true
						}
					}
					return false
				})
			})
		}
	})
}

// testEthernet returns a frame of the local experimental Ethertype.
func testEthernet(dst, src frame.MAC) []byte {
	b := make([]byte, 60)
	dst.Put(b, 0)
	src.Put(b, 6)
	b[12], b[13] = 0x88, 0xb5
	return b
}

// TestManyGroups joins more groups than NICs can filter, and faster than a filter could follow: no frame is lost, and
// no group is left.
func TestManyGroups(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{}.on(path))
		before := w.multicastLists()
		w.create(nics(2), "--mode", "active-backup")
		tr := w.traffic(lab.Stream{Rate: 2000})
		fd, index := packetSocket(t, w.box), link(t, w.box, teamName).Index
		set := func(op, n int) {
			t.Helper()
			labtest.Must(t, membership(fd, index, op, n))
		}
		const many = 4000
		for n := range many {
			set(unix.PACKET_ADD_MEMBERSHIP, n)
		}
		allmulti := func(nic string, want bool) {
			t.Helper()
			labtest.Eventually(t, fmt.Sprintf("%s takes in all groups %v", nic, want), func() bool {
				return (labtest.Run(t, w.box, "sh", "-c",
					"ip -d link show "+nic+" | grep -c 'allmulti 1' || true") == "1\n") == want
			})
		}
		for _, nic := range nics(2) {
			allmulti(nic, true)
		}
		for range 2 * many {
			set(unix.PACKET_DROP_MEMBERSHIP, many-1)
			set(unix.PACKET_ADD_MEMBERSHIP, many-1)
		}
		for n := range many {
			set(unix.PACKET_DROP_MEMBERSHIP, n)
		}
		for _, nic := range nics(2) {
			allmulti(nic, false)
		}
		for range 2 * many {
			set(unix.PACKET_ADD_MEMBERSHIP, 1)
			set(unix.PACKET_DROP_MEMBERSHIP, 1)
		}
		tr.awaitFrames(500)
		if out, in := tr.stop(); !out.Clean() || !in.Clean() {
			t.Error("not clean")
		}
		if s := w.status(); s.State != "up" {
			t.Errorf("%s: %s", s.State, s.Reason)
		}
		w.nicteam("delete", teamName)
		labtest.Eventually(t, "multicast lists as before", func() bool { return w.multicastLists() == before })
	})
}

// TestNICGoneWhileItsListIsWritten unplugs the NIC that receives groups while hundreds are joined: the others take over
// with all groups, and the NIC gets them when it is back.
func TestNICGoneWhileItsListIsWritten(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{NICs: 3}.on(path))
		w.create(nics(3))
		tr := w.traffic(lab.Stream{Rate: 2000})
		const many = 200
		fd := packetSocket(t, w.box)
		joined := make(chan error, 1)
		index := link(t, w.box, teamName).Index
		gone := w.status().Active
		go func() {
			var err error
			for n := 0; n < many && err == nil; n++ {
				err = membership(fd, index, unix.PACKET_ADD_MEMBERSHIP, n)
			}
			joined <- err
		}()
		labtest.Must(t, w.wires[gone].A.Unplug())
		labtest.Must(t, <-joined)
		w.awaitMember(gone, "absent")
		tr.awaitFrames(500)
		complete := func(nic string) bool { return strings.Count(w.multicastLists(), nic+" 1 0 01005e01") == many }
		labtest.Eventually(t, "all groups by another NIC", func() bool { return complete(w.status().Active) })
		labtest.Must(t, w.wires[gone].A.Replug())
		w.awaitMember(gone, "up")
		tr.awaitFrames(500)
		for _, nic := range nics(3) {
			if nic != gone {
				labtest.Must(t, w.wires[nic].Cut())
				w.awaitMember(nic, "down")
			}
		}
		labtest.Eventually(t, "all groups by the NIC that is back", func() bool { return complete(gone) })
		tr.awaitFrames(500)
		if s := w.status(); len(s.Warnings) > 0 {
			t.Errorf("warnings %q", s.Warnings)
		}
	})
}

// packetSocket opens a packet socket that receives nothing.
func packetSocket(t *testing.T, h *lab.Host) (fd int) {
	t.Helper()
	labtest.Must(t, h.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// membership joins or leaves the nth group of a test.
func membership(fd, index, op, n int) error {
	mreq := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_MULTICAST, Alen: 6,
		Address: [8]byte{1, 0, 0x5e, 1, byte(n >> 8), byte(n)}}
	return unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, op, &mreq)
}
