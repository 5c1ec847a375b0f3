// SPDX-License-Identifier: MIT

package systest

import (
	"strings"
	"testing"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

// TestModesCarryTraffic sends IPv4 and IPv6 both ways at once in each mode, on the switch that it is for.
func TestModesCarryTraffic(t *testing.T) {
	t.Parallel()
	eachPath(t, func(t *testing.T, path string) {
		for _, tt := range []struct {
			name   string
			world  worldOptions
			mode   string
			order  bool // each flow in order, both ways
			copies int  // of each frame at peer
		}{
			{"active-backup, learning switch", worldOptions{NICs: 3}, "active-backup", true, 1},
			{"active-backup, flooding switch", worldOptions{NICs: 3, Flooding: true}, "active-backup", true, 1},
			{"active-backup, veth", worldOptions{Cables: true}, "active-backup", true, 1},
			{"xor", worldOptions{NICs: 3, LAG: true}, "xor", true, 1},
			{"round-robin", worldOptions{NICs: 3, LAG: true, Spread: lab.SpreadFrames}, "round-robin", false, 1},
			{"broadcast", worldOptions{LAG: true}, "broadcast", false, 2},
		} {
			if path == "relay" && (tt.world.Flooding || tt.world.Cables) {
				continue // the relay meets these in all scenarios of failover
			}
			t.Run(tt.name, func(t *testing.T) {
				parallelWithTraffic(t)
				w := newWorld(t, tt.world.on(path))
				w.create(nics(max(2, tt.world.NICs)), "--mode", tt.mode)
				if tt.mode == "xor" {
					w.awaitMigration()
				}
				room, lost := w.queueDrops(), map[bool]uint64{} // lost by whether it is out
				var running []*lab.Running
				for _, s := range []lab.Stream{
					{From: w.box, To: w.peer, Address: peer4, Copies: tt.copies},
					{From: w.peer, To: w.box, Address: box4},
					{From: w.box, To: w.peer, Address: peer6, Copies: tt.copies},
					{From: w.peer, To: w.box, Address: box6},
				} {
					s.Flows, s.Rate = 6, 2000
					running = append(running, labtest.Start(t, s))
				}
				for i, r := range running {
					labtest.Eventually(t, "1000 frames", func() bool { return r.Received() >= 1000 })
					got, err := r.Stop()
					labtest.Must(t, err)
					name := []string{"IPv4 out", "IPv4 in", "IPv6 out", "IPv6 in"}[i]
					out, copies := strings.HasSuffix(name, "out"), uint64(1)
					if out {
						copies = uint64(tt.copies)
					}
					more := (copies - 1) * got.Received
					lost[out] += got.Lost + more - min(more, got.Duplicated)
					if got.Refused != 0 || got.Corrupt != 0 || got.Duplicated > more || tt.order && got.Reordered != 0 {
						t.Errorf("%s: %v; want %d of each", name, got, copies)
					}
				}
				room = w.queueDrops().since(room)
				if lost[true] > room.adapter+room.nics || lost[false] > room.ports+room.sockets {
					t.Errorf("lost %d out and %d in; there was no room for %+v", lost[true], lost[false], room)
				}
				s := w.status()
				if s.State != "up" || s.RX.Frames < 2000 || s.TX.Frames < 2000*uint64(tt.copies) {
					t.Errorf("state %s, %d frames in, %d out", s.State, s.RX.Frames, s.TX.Frames)
				}
				for _, m := range s.Members {
					if m.RX.Drops-m.DropReasons["socket"]+m.TX.Drops+m.RX.Errors+m.TX.Errors != 0 {
						t.Errorf("%s: %+v", m.Name, m)
					}
					if tt.mode != "active-backup" && m.TX.Frames == 0 {
						t.Errorf("%s sent nothing", m.Name)
					}
				}
			})
		}
	})
}

// TestBroadcastOnSeparateNetworks has a copy of peer on a second switch: each gets every frame once, and a pulled cable
// to one does not affect the other.
func TestBroadcastOnSeparateNetworks(t *testing.T) {
	t.Parallel()
	eachPathWithTraffic(t, func(t *testing.T, path string) {
		box, peers := labtest.Host(t, "box"), []*lab.Host{labtest.Host(t, "peer"), labtest.Host(t, "twin")}
		w := &world{t: t, box: box, peer: peers[0], wires: map[string]*lab.Wire{}, datapath: path}
		t.Cleanup(w.showLog)
		twins := [6]byte{2, 0, 0, 0, 9, 2}
		for i, p := range peers {
			sw := labtest.Switch(t, "switch", lab.SwitchOptions{})
			w.wires[nics(2)[i]] = labtest.Wire(t, box, nics(2)[i], sw, "p1", lab.WireOptions{})
			labtest.Cable(t, p, "eth0", sw, "uplink", lab.CableOptions{MACA: twins[:]})
			labtest.Must(t, p.SetAddr("eth0", "10.9.0.2/24"))
		}
		labtest.Must(t, box.SetAddr("eth1", "10.9.0.1/24"))
		w.create(nics(2), "--mode", "broadcast")
		before := link(t, peers[1], "eth0").Statistics.RxPackets
		tr := w.traffic(lab.Stream{Rate: 5000})
		tr.awaitFrames(2000)
		seen := tr.out.Received()
		labtest.Eventually(t, "as much at the twin", func() bool {
			return link(t, peers[1], "eth0").Statistics.RxPackets-before >= seen
		})
		labtest.Must(t, w.wires["eth2"].Cut())
		w.awaitMember("eth2", "down")
		tr.awaitFrames(1000)
		labtest.Must(t, w.wires["eth2"].Mend())
		w.awaitMember("eth2", "up")
		tr.awaitFrames(1000)
		if out, in := tr.stop(); !out.Clean() || !in.Clean() {
			t.Error("not clean")
		}
	})
}
