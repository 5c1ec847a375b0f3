// SPDX-License-Identifier: MIT

package systest

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
)

// repair bounds the time until peers that received our broadcast are steered again: a tenth of a second, or one second
// where a peer ignores updates for so long (locktime).
const repair = 5 * time.Second

// TestELBSpreadsWhatItReceives has eight hosts send at once: two come by each of four members, and again so after a
// broadcast of box, which gives all of them one MAC.
func TestELBSpreadsWhatItReceives(t *testing.T) {
	t.Parallel()
	for _, tt := range pathsAndSwitches("fastpath") {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: 4, Flooding: tt.flooding}.on(tt.path))
			heard := w.tapWires()
			w.create(nics(4))
			all := w.simulatePeers(8)
			four := w.streamFromPeers(all, box4, 200)
			evenly := map[string]int{"eth1": 2, "eth2": 2, "eth3": 2, "eth4": 2}
			if diff := cmp.Diff(evenly, four.awaitSteered(labtest.Patience, "IPv4", box4)); diff != "" {
				t.Errorf("IPv4 (-want +got):\n%s", diff)
			}
			nobody, since := netip.MustParseAddr("10.9.0.250"), time.Now()
			c, err := w.box.Dial(t.Context(), "udp", nobody.String()+":9")
			labtest.Must(t, err)
			_, err = c.Write([]byte("anybody there?"))
			labtest.Must(t, err)
			labtest.Must(t, c.Close())
			var asked []announcement
			labtest.Eventually(t, "our question", func() bool {
				asked = heard.sent(since, func(n announcement) bool {
					return n.Kind == arpRequest && n.Target == nobody
				})
				return len(asked) > 0
			})
			if active := heard.macs[w.status().Active]; asked[0].MAC != active {
				t.Errorf("%v, and the active member's address is %v", asked[0], active)
			}
			if diff := cmp.Diff(evenly, four.awaitSteered(repair, "after our own question", box4)); diff != "" {
				t.Errorf("after our own question (-want +got):\n%s", diff)
			}
			four.stop(0)

			// Hosts also use box's other addresses, and these small loads do not count: all bindings are spread, not
			// only those with streams.
			six := w.streamFromPeers(all, box6, 200)
			if by := six.awaitSteered(labtest.Patience, "IPv6", box6); len(by) < 3 {
				t.Errorf("IPv6: %v", by)
			}
			w.set("receive_balance=off")
			labtest.Eventually(t, "all by the active member", func() bool {
				by := six.members()
				return distinct(by) == 1 && by[0] == w.status().Active
			})
			if !tt.flooding {
				// Who was moved just now asks again in some seconds, as hosts do. The others do so later.
				w.set("receive_balance=on")
				labtest.Eventually(t, "a spread with receive_balance=on", func() bool {
					return distinct(six.members()) > 2
				})
			}
			six.stop(0)
			heard.checkOwnMACs()
		})
	}
}

// TestTwoELBHosts puts two elb hosts on one switch: they reach each other, nothing is duplicated, and their
// announcements to each other end.
func TestTwoELBHosts(t *testing.T) {
	t.Parallel()
	const silence = 2 * time.Second
	for _, tt := range switches {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: 3, Flooding: tt.flooding})
			heard := w.tapWires()
			w.create(nics(3))
			w.addSecondHost(3)
			all := w.simulatePeers(2)
			witness := w.streamFromPeers(append([]*simulatedPeer{}, all...), box4, 100)
			there := w.streamFromPeers([]*simulatedPeer{{Host: w.peer,
				MAC: macOf(link(t, w.peer, teamName).HardwareAddr), IP4: peer4, IP6: peer6}}, box4, 500)
			back := labtest.Start(t, streamTo(w.box, w.peer, peer4, 500))
			six := labtest.Start(t, streamTo(w.peer, w.box, box6, 500))
			settled := time.Now()
			labtest.Eventually(t, "silence of the balancing", func() bool {
				told := heard.sent(settled, announcement.steersOnePeer)
				told = append(told, heard.received(settled, announcement.steersOnePeer)...)
				if len(told) > 0 {
					settled = told[len(told)-1].At.Add(time.Nanosecond)
					for _, n := range told {
						if n.At.After(settled) {
							settled = n.At.Add(time.Nanosecond)
						}
					}
				}
				return time.Since(settled) > silence
			})
			for _, c := range []*peerStreams{witness, there} {
				c.stop(0)
			}
			for _, r := range []interface{ Received() uint64 }{back, six} {
				if r.Received() == 0 {
					t.Error("a stream between the two does not arrive")
				}
			}
			for name, stop := range map[string]func() (string, bool){"back": stopped(back), "IPv6": stopped(six)} {
				if got, clean := stop(); !clean {
					t.Errorf("%s: %s", name, got)
				}
			}
			heard.checkOwnMACs()
		})
	}
}

// TestForgersMoveNobody has a host claim addresses of another host and of nobody.
func TestForgersMoveNobody(t *testing.T) {
	w := newWorld(t, worldOptions{NICs: 4})
	w.tapWires()
	w.create(nics(4))
	all := w.simulatePeers(5)
	victim, forger, others := all[0], all[1], all[2:]
	c := w.streamFromPeers(others, box4, 300)
	labtest.Eventually(t, "peers", func() bool { return len(w.peers().Peers) >= len(others) })
	before := w.peers().Peers
	rss := memoryOf(t, w.status().PID)
	s := w.raw(forger.Host, "eth0")
	// Few requests: each answered one adds an entry to the neighbour table, which all namespaces share.
	for i := range 400 {
		lie := frame.MAC(0x02_66_00_00_00_00 + uint64(i))
		for _, nic := range nics(4) {
			to := macOf(w.wires[nic].A.MAC)
			s.send(arp(2, to, lie, victim.IP4, to, box4))
			s.send(arp(2, to, lie, victim.IP4, to, victim.IP4))
			for j := range 20 {
				n := i*20 + j
				// Whoever claims ours is another matter.
				if of := netip.AddrFrom4([4]byte{10, 9, byte(n >> 8), byte(n)}); of != box4 {
					s.send(arp(2, to, lie, of, to, box4))
				}
			}
		}
		if i%4 == 0 {
			to := macOf(w.wires["eth1"].A.MAC)
			s.send(arp(1, to, lie, netip.AddrFrom4([4]byte{10, 9, 0, byte(150 + i/4)}), 0, box4))
		}
	}
	for i, r := range c.streams {
		want := r.Received() + 200
		labtest.Eventually(t, "frames from "+others[i].Name, func() bool { return r.Received() >= want })
	}
	after := w.peers().Peers
	for _, p := range others {
		was, is := peerWith(before, p.MAC, box4), peerWith(after, p.MAC, box4)
		if was == nil || is == nil || was.Member != is.Member || was.MAC != is.MAC {
			t.Errorf("%s was %+v and is %+v", p.IP4, was, is)
		}
	}
	if len(after) > 4096 {
		t.Errorf("%d peers", len(after))
	}
	grown := memoryOf(t, w.status().PID) - rss
	t.Logf("%d peers were %d, %d KiB more", len(after), len(before), grown>>10)
	if grown > 48<<20 {
		t.Errorf("the process has grown by %d KiB", grown>>10)
	}
	c.stop(0)
}
