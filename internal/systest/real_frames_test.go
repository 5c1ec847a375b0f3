// SPDX-License-Identifier: MIT

package systest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestTagsPass sends tagged frames through the team both ways: they arrive unchanged, byte by byte.
func TestTagsPass(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		for _, mode := range []string{"active-backup", "xor"} {
			t.Run(mode, func(t *testing.T) {
				parallelWithTraffic(t)
				w := newWorld(t, worldOptions{LAG: mode == "xor"}.on(path))
				w.create(nics(2), "--mode", mode)
				inBox, inPeer := w.raw(w.box, teamName), w.raw(w.peer, "eth0")
				for name, tags := range map[string][]tag{
					"none":           nil,
					"802.1Q":         {{0x8100, 5, 100}},
					"priority only":  {{0x8100, 7, 0}},
					"802.1ad":        {{0x88a8, 3, 200}},
					"two tags":       {{0x88a8, 2, 300}, {0x8100, 6, 4094}},
					"two of 802.1Q":  {{0x8100, 1, 10}, {0x8100, 4, 20}},
					"lowest and DEI": {{0x8100, 0, 1 | 1<<12}},
				} {
					for way, s := range map[string]struct{ from, to *rawSocket }{"out": {inBox, inPeer},
						"in": {inPeer, inBox}} {
						for kind, to := range map[string]net.HardwareAddr{"unicast": s.to.MAC,
							"broadcast": {255, 255, 255, 255, 255, 255}} {
							payload := fmt.Sprintf("%s %s %s %s", mode, name, way, kind)
							want := tagged(to, s.from.MAC, tags, payload)
							s.from.send(want)
							got := s.to.collect(1, labtest.Patience, func(f []byte) bool {
								return bytes.Contains(f, []byte(payload))
							})
							if len(got) != 1 {
								t.Errorf("%s: not received", payload)
								continue
							}
							if diff := cmp.Diff(want, got[0]); diff != "" {
								t.Errorf("%s (-sent +received):\n%s", payload, diff)
							}
						}
					}
				}
			})
		}
	})
}

// TestNothingComesTwice sends group-addressed frames both ways: each arrives once, and box's own never come back though
// the switch sends them to all its other NICs.
func TestNothingComesTwice(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		const count = 100
		for _, tt := range []struct {
			name, mode string
			world      worldOptions
		}{
			{"active-backup, learning switch", "active-backup", worldOptions{NICs: 3}},
			{"active-backup, flooding switch", "active-backup", worldOptions{NICs: 3, Flooding: true}},
			{"xor", "xor", worldOptions{NICs: 3, LAG: true}},
			{"round-robin", "round-robin", worldOptions{NICs: 3, LAG: true, Spread: lab.SpreadFrames}},
			{"elb, learning switch", "elb", worldOptions{NICs: 3}},
			{"elb, flooding switch", "elb", worldOptions{NICs: 3, Flooding: true}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				parallelWithTraffic(t)
				w := newWorld(t, tt.world.on(path))
				w.create(nics(3), "--mode", tt.mode)
				inBox, inPeer := w.raw(w.box, teamName), w.raw(w.peer, "eth0")
				everyone := net.HardwareAddr{255, 255, 255, 255, 255, 255}
				stamp := func(f []byte) string { return string(bytes.TrimRight(f[14:], "\x00")) }
				ours := func(f []byte) bool { return bytes.Equal(f[12:14], []byte{experiment >> 8, experiment & 0xff}) }
				for i := range count {
					inBox.send(tagged(everyone, inBox.MAC, nil, fmt.Sprintf("from box %d", i)))
					inPeer.send(tagged(everyone, inPeer.MAC, nil, fmt.Sprintf("from peer %d", i)))
				}
				// After all have come, a moment for what should not.
				for who, s := range map[string]*rawSocket{"peer": inBox, "box": inPeer} {
					frames := s.collect(count, labtest.Patience, ours)
					frames = append(frames, s.collect(count, 200*time.Millisecond, ours)...)
					seen := map[string]int{}
					for _, f := range frames {
						seen[stamp(f)]++
					}
					for i := range count {
						name := fmt.Sprintf("from %s %d", who, i)
						if seen[name] != 1 {
							t.Errorf("%q arrived %d times", name, seen[name])
						}
						delete(seen, name)
					}
					if len(seen) != 0 {
						t.Errorf("came back: %v", seen)
					}
				}
			})
		}
	})
}

// TestDuplicateAddressDetection: box's own neighbour solicitations return on other members and are not taken for those
// of another host.
func TestDuplicateAddressDetection(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, mode string
		flooding   bool
	}{
		{"active-backup, learning switch", "active-backup", false},
		{"active-backup, flooding switch", "active-backup", true},
		{"xor, a switch without a group", "xor", true},
		{"broadcast, a switch without a group", "broadcast", true},
		{"elb, flooding switch", "elb", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			parallel(t)
			w := newWorld(t, worldOptions{NICs: 3, Flooding: tt.flooding})
			w.create(nics(3), "--mode", tt.mode)
			l, err := w.box.Handle().LinkByName(teamName)
			labtest.Must(t, err)
			a, err := netlink.ParseAddr("fd09::77/64")
			labtest.Must(t, err)
			labtest.Must(t, w.box.Handle().AddrAdd(l, a))
			labtest.Eventually(t, "end of the detection", func() bool {
				done := false
				list, err := w.box.Handle().AddrList(l, unix.AF_INET6)
				labtest.Must(t, err)
				for _, got := range list {
					if got.Flags&unix.IFA_F_DADFAILED != 0 {
						t.Fatalf("%v is taken for a duplicate", got.IPNet)
					}
					done = done || got.IP.Equal(a.IP) && got.Flags&unix.IFA_F_TENTATIVE == 0
				}
				return done
			})
			c, err := w.peer.Dial(t.Context(), "udp", "[fd09::77]:9")
			labtest.Must(t, err)
			defer c.Close()
			_, err = c.Write([]byte("anybody there?"))
			labtest.Must(t, err)
			labtest.Eventually(t, "a neighbour", func() bool {
				list, err := w.peer.Handle().NeighList(link(t, w.peer, "eth0").Index, unix.AF_INET6)
				labtest.Must(t, err)
				for _, n := range list {
					if n.IP.Equal(a.IP) && n.HardwareAddr.String() == l.Attrs().HardwareAddr.String() {
						return true
					}
				}
				return false
			})
		})
	}
}

// kernelCount returns the kernel's counters of the members.
func (w *world) kernelCount(names []string) (rx, tx frame.Count) {
	w.t.Helper()
	for _, name := range names {
		s := link(w.t, w.box, name).Statistics
		rx.Add(frame.Count{Bytes: s.RxBytes, Frames: s.RxPackets})
		tx.Add(frame.Count{Bytes: s.TxBytes, Frames: s.TxPackets})
	}
	return rx, tx
}

// TestCountersTellTheTruth compares the status with the kernel's counters of the NICs, which have no offload so that
// they count frames on the wire, and with those of peer.
func TestCountersTellTheTruth(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{NICs: 2, LAG: true, NoOffload: true}.on(path))
		w.create(nics(2), "--mode", "xor")
		type figures struct{ team, kernel, peer [2]frame.Count }
		read := func() figures {
			s, p := w.status(), link(t, w.peer, "eth0").Statistics
			rx, tx := w.kernelCount(nics(2))
			return figures{team: [2]frame.Count{s.RX, s.TX}, kernel: [2]frame.Count{rx, tx},
				peer: [2]frame.Count{{Bytes: p.TxBytes, Frames: p.TxPackets}, {Bytes: p.RxBytes, Frames: p.RxPackets}}}
		}
		less := func(a, b frame.Count) frame.Count {
			return frame.Count{Bytes: a.Bytes - b.Bytes, Frames: a.Frames - b.Frames}
		}
		near := func(a, b, slack uint64) bool { return max(a, b)-min(a, b) <= slack }

		for _, load := range []string{"UDP", "TCP"} {
			before := read()
			switch load {
			case "UDP":
				tr := w.traffic(lab.Stream{Rate: 4000, Size: 700})
				tr.awaitFrames(2000)
				tr.stop()
			case "TCP":
				for _, way := range [][2]any{{w.box, w.peer}, {w.peer, w.box}} {
					address := map[any]string{w.box: box4.String(), w.peer: peer4.String()}[way[1]]
					_, err := lab.Transfer(t.Context(), way[0].(*lab.Host), way[1].(*lab.Host), address, 8<<20)
					labtest.Must(t, err)
				}
			}
			// ACKs may still be on their way.
			var after figures
			labtest.Eventually(t, load+" at rest", func() bool {
				again := read()
				rest := again == after
				after = again
				return rest
			})
			for way, name := range []string{"received", "sent"} {
				got, nics, peer := less(after.team[way], before.team[way]),
					less(after.kernel[way], before.kernel[way]), less(after.peer[way], before.peer[way])
				t.Logf("%s %s: team %+v, box's NICs %+v, peer %+v", load, name, got, nics, peer)
				// Frames that peer sends to groups and nobody collects are the NICs', not the team's.
				if !near(got.Frames, nics.Frames, 10) || !near(got.Bytes, nics.Bytes, 2000) {
					t.Errorf("%s %s: team %+v, NICs %+v", load, name, got, nics)
				}
				// Peer's device has offloads, so a frame of it may be many on the wire.
				if load == "UDP" && (!near(got.Frames, peer.Frames, 10) || !near(got.Bytes, peer.Bytes, 2000)) {
					t.Errorf("%s %s: team %+v, peer %+v", load, name, got, peer)
				}
			}
		}
	})
}

// TestRatesAddUp: in each document of `watch --json` members and protocols sum up to the total, each covers the time
// since the one before, and all together have what the status has counted meanwhile.
func TestRatesAddUp(t *testing.T) {
	eachPath(t, func(t *testing.T, path string) {
		w := newWorld(t, worldOptions{NICs: 3, LAG: true}.on(path))
		w.create(nics(3), "--mode", "xor")
		before := w.status()
		watch := w.box.Command(program(t), "watch", teamName, "--json", "--interval", "100ms")
		out, err := watch.StdoutPipe()
		labtest.Must(t, err)
		labtest.Must(t, watch.Start())
		defer func() {
			_ = watch.Process.Kill()
			_ = watch.Wait()
		}()
		documents := json.NewDecoder(out)
		var moved [2]frame.Count
		var last time.Time
		var udp [2]uint64 // frames
		next := func() {
			t.Helper()
			var d api.Rates
			labtest.Must(t, documents.Decode(&d))
			var members, protocols [2]frame.Count
			for _, m := range d.Members {
				members[0].Add(m.RX)
				members[1].Add(m.TX)
			}
			for _, p := range d.Protocols {
				protocols[0].Add(p.RX)
				protocols[1].Add(p.TX)
				if p.Name == "udp" {
					udp[0] += p.RX.Frames
					udp[1] += p.TX.Frames
				}
			}
			total := [2]frame.Count{d.RX, d.TX}
			if members != total || protocols != total {
				t.Errorf("total %v, members %v, protocols %v", total, members, protocols)
			}
			covers, says := d.Time.Sub(last), time.Duration(d.Interval) // by two clocks
			if !last.IsZero() && (covers-says).Abs() > 10*time.Millisecond {
				t.Errorf("it covers %v and says %v", covers, says)
			}
			if d.Schema != "nicteam.rates/v1" || d.Team != teamName {
				t.Errorf("%s of %s", d.Schema, d.Team)
			}
			moved[0].Add(d.RX)
			moved[1].Add(d.TX)
			last = d.Time
		}
		next()
		tr := w.traffic(lab.Stream{Rate: 4000})
		tr.awaitFrames(1000)
		tr.stop()
		near := func(a, b uint64) bool { return max(a, b)-min(a, b) <= 20 }
		labtest.Eventually(t, "the same in the documents and the status", func() bool {
			next()
			s := w.status()
			rx, tx := s.RX.Frames-before.RX.Frames, s.TX.Frames-before.TX.Frames
			return near(moved[0].Frames, rx) && near(moved[1].Frames, tx) && tx >= 1000
		})
		if udp[0] < 1000 || udp[1] < 1000 {
			t.Errorf("%d frames of UDP in, %d out", udp[0], udp[1])
		}
	})
}
