// SPDX-License-Identifier: MIT

package systest

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// switches are the two kinds that elb must work with. Neither has a LAG.
var switches = []struct {
	name     string
	flooding bool
}{{"learning switch", false}, {"flooding switch", true}}

// TestELBByDefault creates a team without --mode and sends every kind of frame that hosts send, both ways.
func TestELBByDefault(t *testing.T) {
	t.Parallel()
	for _, tt := range switches {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: 4, Flooding: tt.flooding})
			heard := w.tapWires()
			w.create(nics(4))
			if s := w.status(); s.Mode != "elb" || s.State != "up" || s.Active == "" {
				t.Fatalf("mode %s, state %s, active %q", s.Mode, s.State, s.Active)
			}
			heard.reset()
			for _, size := range []int{56, 1472, 20_000} {
				ping(t, w.box, peer4, size)
				ping(t, w.peer, box4, size)
				ping(t, w.box, peer6, size)
				ping(t, w.peer, box6, size)
			}
			var running []*lab.Running
			var names []string
			for _, size := range []int{64, 1400, 8000} {
				for _, s := range []struct {
					from, to *lab.Host
					address  netip.Addr
				}{{w.box, w.peer, peer4}, {w.peer, w.box, box4}, {w.box, w.peer, peer6}, {w.peer, w.box, box6}} {
					running = append(running, labtest.Start(t,
						lab.Stream{From: s.from, To: s.to, Address: s.address, Flows: 8, Rate: 150, Size: size}))
					names = append(names, fmt.Sprintf("%d octets from %s to %s", size, s.from.Name, s.address))
				}
			}
			for _, r := range running {
				labtest.Eventually(t, "80 frames", func() bool { return r.Received() >= 80 })
			}
			for i, r := range running {
				if got, err := r.Stop(); err != nil || got.Lost+got.Refused+got.Duplicated+got.Corrupt != 0 ||
					got.Reordered > 1+reorderBound(got) {
					t.Errorf("%s: %v, %v", names[i], got, err)
				}
			}
			for _, address := range []netip.Addr{peer4, peer6} {
				_, err := lab.Transfer(t.Context(), w.box, w.peer, address.String(), 4<<20)
				labtest.Must(t, err)
			}
			for _, address := range []netip.Addr{box4, box6} {
				_, err := lab.Transfer(t.Context(), w.peer, w.box, address.String(), 4<<20)
				labtest.Must(t, err)
			}
			for _, m := range w.status().Members {
				if m.State != "up" || m.TX.Frames == 0 || m.TX.Drops+m.TX.Errors+m.RX.Errors != 0 {
					t.Errorf("%+v", m)
				}
			}
			heard.checkOwnMACs()
			if !tt.flooding {
				w.awaitLearnt()
			}
		})
	}
}

// TestELBTellsTheTruth compares `explain` and `peers` with the NICs' own counters.
func TestELBTellsTheTruth(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		const count = 50
		// Without offload, so that the kernel's counters count frames on the wire.
		w := newWorld(t, worldOptions{NICs: 4, NoOffload: true}.on(path))
		heard := w.tapWires()
		w.create(nics(4))
		// What is sent to one that never answers makes a member suspect now and then: then flows that pause move.
		w.set("link_watch=carrier")
		sink, err := w.peer.ListenPacket("udp", net.JoinHostPort(peer4.String(), "0"))
		labtest.Must(t, err)
		t.Cleanup(func() { sink.Close() })
		to := sink.LocalAddr().(*net.UDPAddr)
		arrived := func() {
			t.Helper()
			labtest.Must(t, sink.SetReadDeadline(time.Now().Add(labtest.Patience)))
			_, _, err := sink.ReadFrom(make([]byte, 64))
			labtest.Must(t, err)
		}
		sent := func() map[string]uint64 {
			by := map[string]uint64{}
			for _, nic := range nics(4) {
				by[nic] = link(t, w.box, nic).Statistics.TxPackets
			}
			return by
		}
		named := map[string]int{}
		for i := range 8 {
			var c *net.UDPConn
			from := firstPort + i*portStep
			labtest.Must(t, w.box.Do(func() (err error) {
				c, err = net.DialUDP("udp4", &net.UDPAddr{Port: from}, to)
				return err
			}))
			defer c.Close()
			// A flow that pauses for a second may move. On a slow machine it may have paused: ask again.
			for attempt := 0; ; attempt++ {
				_, err := c.Write([]byte("which way?"))
				labtest.Must(t, err)
				arrived() // not waiting for an answer to ARP
				asked := time.Now()
				e := w.explain(udpFlow(from, to.Port))
				if e.Why == "" || e.Next == "" || e.Next == e.Member || e.Slot < 0 {
					t.Errorf("flow from port %d: %+v", from, e)
				}
				before := sent()
				for range count {
					_, err := c.Write([]byte("which way?"))
					labtest.Must(t, err)
				}
				for range count {
					arrived()
				}
				rested := time.Since(asked) > 800*time.Millisecond
				var after map[string]uint64
				labtest.Eventually(t, fmt.Sprintf("%d frames", count), func() bool {
					after = sent()
					sum := 0
					for nic := range after {
						sum += int(after[nic] - before[nic])
					}
					return sum >= count
				})
				if after[e.Member]-before[e.Member] >= count {
					named[e.Member]++
					break
				}
				if !rested || attempt == 5 {
					t.Fatalf("flow from port %d is on %s because %s, and the NICs sent %v after %v", from, e.Member,
						e.Why, after, before)
				}
			}
		}
		t.Logf("8 flows: %v", named)
		if len(named) < 2 {
			t.Error("all flows are on one member")
		}

		mac := macOf(link(t, w.peer, "eth0").HardwareAddr)
		for _, ours := range []netip.Addr{box4, box6} {
			r := labtest.Start(t, lab.Stream{From: w.peer, To: w.box, Address: ours, Rate: 2000})
			labtest.Eventually(t, "a peer whose frames come as told", func() bool {
				p := peerWith(w.peers().Peers, mac, ours)
				if p == nil {
					return false
				}
				before, seen := heard.framesFrom(mac), r.Received()
				labtest.Eventually(t, "200 frames", func() bool { return r.Received() >= seen+200 })
				return heard.framesFrom(mac)[p.Member]-before[p.Member] >= 190
			})
			if got, err := r.Stop(); err != nil || got.Duplicated+got.Corrupt != 0 {
				t.Errorf("to %s: %v, %v", ours, got, err)
			}
		}
		heard.checkOwnMACs()
	})
}

// TestELBAnswersByTheMemberItNames: each request of peer has one answer, sent by the member whose MAC it gives.
func TestELBAnswersByTheMemberItNames(t *testing.T) {
	t.Parallel()
	for _, tt := range switches {
		t.Run(tt.name, func(t *testing.T) {
			parallelWithTraffic(t)
			w := newWorld(t, worldOptions{NICs: 4, Flooding: tt.flooding})
			heard := w.tapWires()
			w.create(nics(4))
			all := w.simulatePeers(4)
			members := map[frame.MAC]string{}
			for nic, mac := range heard.macs {
				members[mac] = nic
			}
			for _, p := range all {
				s := w.raw(p.Host, "eth0")
				since := time.Now()
				for range 3 {
					s.send(request(p, box4))
					answers := func(b []byte) bool {
						n, ok := parseAnnouncement(b)
						return ok && n.Kind == arpAnswer && n.Sender == box4 && !n.steersOnePeer()
					}
					got := s.collect(1, labtest.Patience, answers)
					got = append(got, s.collect(1, 50*time.Millisecond, answers)...)
					if len(got) != 1 {
						t.Errorf("%s asked once and got %d answers", p.Name, len(got))
						continue
					}
					n, _ := parseAnnouncement(got[0])
					if n.MAC != n.From || members[n.MAC] == "" {
						t.Errorf("%s was told %v", p.Name, n)
					}
				}
				for _, n := range heard.sent(since, func(n announcement) bool {
					return n.Kind == arpAnswer &&
						n.To == p.MAC
				}) {
					if members[n.MAC] != n.NIC {
						t.Errorf("%v is the address of %s", n, members[n.MAC])
					}
				}
			}
			heard.checkOwnMACs()
		})
	}
}

// request is a broadcast ARP request of a peer.
func request(p *simulatedPeer, of netip.Addr) []byte {
	return arp(1, frame.Broadcast, p.MAC, p.IP4, 0, of)
}

// arp returns an ARP frame.
func arp(op byte, to, from frame.MAC, sender netip.Addr, targetMAC frame.MAC, target netip.Addr) []byte {
	b := make([]byte, 60)
	to.Put(b, 0)
	from.Put(b, 6)
	copy(b[12:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, op})
	from.Put(b, 22)
	copy(b[28:], sender.AsSlice())
	targetMAC.Put(b, 32)
	copy(b[38:], target.AsSlice())
	return b
}
