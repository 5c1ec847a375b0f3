// SPDX-License-Identifier: MIT

package systest

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
)

var kills = flag.Int("kills", 200, "with -soak: how often TestKills kills the process")

// TestKills kills the process again and again, under 20 000 frames a second and four TCP connections each way, and
// prints what that costs. It judges only with -soak: on a busy machine frames are lost without a kill.
func TestKills(t *testing.T) {
	if !*soak {
		t.Skip("takes minutes: make soak SOAK=Kills")
	}
	for _, tt := range []struct{ mode, path string }{{"elb", "fastpath"}, {"active-backup", "fastpath"},
		{"active-backup", "relay"}} {
		t.Run(tt.mode+" by the "+tt.path, func(t *testing.T) {
			w := newWorld(t, worldOptions{Cables: true, Datapath: tt.path})
			w.create(nics(2), "--mode", tt.mode)
			var list []*connection
			for range 4 {
				list = append(list, transfers(t, w)...)
			}
			k := newKiller(w)
			tr := w.traffic(lab.Stream{Rate: 20000, Flows: 32})
			for range *kills {
				k.kill()
			}
			checkProgress(t, "after all kills", list)
			out, in := tr.stop()
			k.report()
			for way, r := range map[string]lab.Report{"out": out, "in": in} {
				lost := uint64(0)
				if tt.path == "relay" {
					lost = uint64(*kills) * 20000 / 5 // 200 ms of traffic each
				}
				if r.Lost > lost || r.Duplicated > 0 || r.Reordered > 0 {
					t.Errorf("%s: %v", way, r)
				}
			}
		})
	}
}

// TestKillsLACP does the same to a team whose fast partner, Open vSwitch, must never be in doubt.
func TestKillsLACP(t *testing.T) {
	if !*soak {
		t.Skip("takes minutes: make soak SOAK=Kills")
	}
	w, p := newPartners(t, 2, "fastpath")
	p.bonds(lab.OVSBond{Name: "bond0", Ports: []string{"p1", "p2"}, Fast: true})
	w.create(nics(2), "--mode", "802.3ad", "--lacp-rate", "fast")
	w.awaitAgreement(p, "bond0", nics(2)...)
	before := p.members("bond0")
	doubts := p.unhappyMembers("bond0")
	k := newKiller(w)
	tr := w.traffic(lab.Stream{Rate: 2000, Flows: 32})
	for range *kills {
		k.kill()
	}
	out, in := tr.stop()
	k.report()
	if d := doubts(); len(d) > 0 {
		t.Errorf("the partner was in doubt %d times: %+v", len(d), d[0])
	}
	for i, m := range p.members("bond0") {
		if b := before[i]; m.Expired != b.Expired || m.Defaulted != b.Defaulted || m.Carrier != b.Carrier {
			t.Errorf("the partner sees\n%+v\nand saw\n%+v", m, b)
		}
	}
	// A partner in user space loses frames on a busy machine: what counts is what the team has sent and received.
	st := w.status()
	if st.TX.Frames < out.Sent || st.RX.Frames < in.Received || out.Reordered+in.Reordered > 0 {
		t.Errorf("out %v\nin %v\nthe team has counted %d frames out and %d in", out, in, st.TX.Frames, st.RX.Frames)
	}
}

// transfers starts a TCP connection each way.
func transfers(t *testing.T, w *world) (list []*connection) {
	for i, from := range []*lab.Host{w.box, w.peer} {
		to, at := w.peer, peer4
		if i == 1 {
			to, at = w.box, box4
		}
		c := &connection{name: fmt.Sprintf("TCP to %v", at)}
		near, far := connect(t, from, to, at)
		go c.readAll(far)
		go c.writeForever(near)
		list = append(list, c)
	}
	return list
}

// killer kills the team's process and measures how soon there is another one.
type killer struct {
	w            *world
	arp          *rawSocket
	served, arps []time.Duration
}

func newKiller(w *world) *killer { return &killer{w: w, arp: w.raw(w.peer, "eth0")} }

// kill kills the process once, and returns when the next one has served for a moment.
func (k *killer) kill() {
	k.w.t.Helper()
	was := k.w.teamProcess()
	begun := time.Now()
	labtest.Must(k.w.t, unix.Kill(was, unix.SIGKILL))
	k.awaitARP()
	k.arps = append(k.arps, time.Since(begun))
	killed.await(k.w, was)
	k.served = append(k.served, time.Since(begun))
	time.Sleep(killPause)
}

// killPause keeps the kills apart: five in ten seconds, and the keeper gives the NICs back; a few processes that die
// within three seconds, and the next one starts cold.
const killPause = 3200 * time.Millisecond

// awaitARP asks for box's address until it answers.
func (k *killer) awaitARP() {
	request := askForAddress(k.arp, peer4, box4)
	for until := time.Now().Add(labtest.Patience); time.Now().Before(until); {
		k.arp.send(request)
		got := k.arp.collect(1, 5*time.Millisecond, func(f []byte) bool {
			return len(f) >= 42 && binary.BigEndian.Uint16(f[12:]) == unix.ETH_P_ARP && f[21] == 2 &&
				netip.AddrFrom4([4]byte(f[28:32])) == box4
		})
		if len(got) > 0 {
			return
		}
	}
	k.w.t.Fatal("nobody answers ARP")
}

// askForAddress asks for an address, by broadcast.
func askForAddress(s *rawSocket, from, to netip.Addr) []byte {
	f := make([]byte, 42)
	copy(f, "\xff\xff\xff\xff\xff\xff")
	copy(f[6:], s.MAC)
	copy(f[12:], "\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01")
	copy(f[22:], s.MAC)
	copy(f[28:], from.AsSlice())
	copy(f[38:], to.AsSlice())
	return f
}

func (k *killer) report() {
	k.w.t.Helper()
	for what, list := range map[string][]time.Duration{"ARP answered": k.arps, "next process answers": k.served} {
		slices.Sort(list)
		k.w.t.Logf("%d kills: %s after %v in the middle, %v at worst", len(list), what,
			list[len(list)/2].Round(time.Millisecond), list[len(list)-1].Round(time.Millisecond))
	}
}
