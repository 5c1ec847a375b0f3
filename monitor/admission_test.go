// SPDX-License-Identifier: MIT

//go:build !race

package monitor

import (
	"hash/crc32"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
)

func TestAdmission(t *testing.T) {
	t.Run("the first answer", func(t *testing.T) {
		l := newLAN(t, 2, "auto")
		l.gateway(gw)
		l.sync()
		l.want(Waiting, Waiting)
		l.run(ms)
		l.want(Up, Up)
		l.link(1, false)
		l.want(Up, Unknown)
		l.run(time.Second)
		l.link(1, true)
		if v := l.w.Verdict(1); v.State != Waiting ||
			v.Reason != "waits for the first answer by eth1 from gateway 10.9.0.254" {
			t.Errorf("%v: %q", v.State, v.Reason)
		}
		l.run(ms)
		l.want(Up, Up)
	})
	t.Run("a port that blocks for 30 s", func(t *testing.T) {
		l := newLAN(t, 2, "auto")
		l.gateway(gw)
		l.sync()
		l.run(time.Second)
		l.link(1, false)
		l.run(time.Second)
		l.members[1].txDead, l.members[1].rxDead = true, true
		l.link(1, true)
		asks := l.asks[1]
		for range 300 {
			l.run(100 * ms)
			if s := l.state(1); s != Waiting && s != Down {
				t.Fatalf("at %v: eth1 is %v", l.now.Sub(l.begin), s)
			}
		}
		l.want(Up, Down)
		if n := l.asks[1] - asks; n > 150 {
			t.Errorf("%d asks in 30 s", n)
		}
		l.members[1].txDead, l.members[1].rxDead = false, false
		l.until(1, Up, 300*ms)
		l.neverDown(0)
	})
	t.Run("nobody answers anybody", func(t *testing.T) {
		l := newLAN(t, 2, "gateway")
		l.gateway(gw).dead = true
		l.sync()
		l.run(2900 * ms)
		l.want(Waiting, Waiting)
		l.run(500 * ms)
		l.want(Unknown, Unknown)
		l.neverDown()
	})
	t.Run("nothing to ask", func(t *testing.T) {
		for _, spec := range []string{"auto", "probe", "gateway", "carrier"} {
			l := newLAN(t, 1, spec)
			l.sync()
			l.want(Unknown)
		}
	})
	t.Run("targets come later", func(t *testing.T) {
		l := newLAN(t, 2, "gateway")
		l.sync()
		l.run(time.Second)
		l.gateway(gw)
		l.run(10 * time.Second)
		l.want(Up, Up)
		for _, c := range l.changes {
			if c.state == Waiting {
				t.Errorf("a member that was used waits: %+v", c)
			}
		}
	})
	t.Run("one of two gateways answers", func(t *testing.T) {
		l := newLAN(t, 2, "auto")
		l.gateway(gw, gw6)
		l.hosts[1].not[1] = true
		l.members[1].Link = false
		l.sync()
		l.run(time.Second)
		l.link(1, true)
		l.run(2900 * ms)
		l.want(Up, Waiting)
		l.run(500 * ms)
		l.want(Up, Down)
		l.neverDown(0)
	})
	t.Run("others hear each other", func(t *testing.T) {
		l := newLAN(t, 3, "probe")
		l.members[2].Link = false
		l.sync()
		l.run(5 * time.Second)
		l.members[2].rxDead = true
		l.link(2, true)
		l.run(2900 * ms)
		l.want(Up, Up, Waiting)
		l.run(500 * ms)
		l.want(Up, Up, Down)
		l.members[2].rxDead = false
		l.until(2, Up, 1500*ms)
		l.link(2, false)
		l.link(2, true)
		l.want(Up, Up, Waiting)
		l.until(2, Up, 1500*ms)
		l.neverDown(0, 1)
	})
}

// With one satisfied watch being enough, a member is down only if none is.
func TestPolicyAny(t *testing.T) {
	l := newLAN(t, 2, "arp:10.9.0.7", "arp:10.9.0.8")
	c := l.w.cfg
	c.Any = true
	l.w.Configure(l.now, c)
	a, b := l.host(peer1), l.host(peer2)
	l.sync()
	l.run(5 * time.Second)
	a.not[1] = true
	l.run(10 * time.Second)
	l.want(Up, Up)
	b.not[1] = true
	l.until(1, Down, 3500*ms)
	a.not[1] = false
	l.until(1, Up, 3500*ms)

	all := newLAN(t, 2, "arp:10.9.0.7", "arp:10.9.0.8")
	all.host(peer1).not[1] = true
	all.host(peer2)
	all.sync()
	all.until(1, Down, 5*time.Second)

	carrier := newLAN(t, 2, "carrier", "arp:10.9.0.7")
	c = carrier.w.cfg
	c.Any = true
	carrier.w.Configure(carrier.now, c)
	carrier.host(peer1).not[1] = true
	carrier.sync()
	carrier.run(10 * time.Second)
	carrier.neverDown()
}

// What another process judged holds: nobody waits anew, and who was down stays so until it answers.
func TestResume(t *testing.T) {
	l := newLAN(t, 3, "auto")
	l.gateway(gw)
	l.sync()
	l.load(1000)
	l.run(5 * time.Second)
	l.members[1].rxDead = true
	l.until(1, Down, 45*ms)
	c := l.w.Checkpoint()
	want := []WatchedCheckpoint{
		{ID: 0, Name: "eth0", State: Up},
		{ID: 1, Name: "eth1", State: Down, Since: l.now,
			Reason: "gateway 10.9.0.254 does not answer by eth1 (3 of 3 asks), it does by eth0"},
		{ID: 2, Name: "eth2", State: Up},
	}
	if d := cmp.Diff(want, c.Members, cmp.FilterPath(func(p cmp.Path) bool {
		return len(p) > 1 && p.Index(1).String() != "[1]" && p.Last().String() == ".Since"
	}, cmp.Ignore())); d != "" {
		t.Errorf("checkpoint: -want +got\n%s", d)
	}
	for _, targetsFirst := range []bool{true, false} {
		l.w = NewWatches(l.now, l.w.cfg)
		l.w.Resume(l.now, &c)
		l.changes, l.seen = nil, map[int]State{}
		if targetsFirst {
			l.targets(Targets{Gateways: []Target{gw}})
		}
		l.sync()
		l.want(Up, Down, Up)
		l.targets(Targets{Gateways: []Target{gw}})
		if v := l.w.Verdict(1); v.Reason != want[1].Reason || !v.Since.Equal(want[1].Since) {
			t.Errorf("resumed: %+v", v)
		}
		l.run(10 * time.Second)
		l.want(Up, Down, Up)
		l.neverDown(0, 2)
		if len(l.changes) != 3 {
			t.Errorf("changes of verdicts: %v", l.changes)
		}
	}
	l.members[1].rxDead = false
	l.until(1, Up, 500*ms)
}

// Forged and odd answers prove nothing, whatever is asked.
func TestForgedAnswers(t *testing.T) {
	anyone := netip.IPv4Unspecified()
	ours, theirs := memberMAC(1), hostMAC
	gw, gw6 := gw.IP, gw6.IP
	arp := func(src frame.MAC, op byte, dst frame.MAC, from, to netip.Addr) []byte {
		return frametest.ARP(src, op, dst, from, to)
	}
	na := func(dst frame.MAC, to netip.Addr, flags byte) []byte {
		return frametest.ND(theirs, dst, frametest.Advertisement, gw6, to, gw6, flags, theirs)
	}
	tagged := func(f []byte, tpid, tci uint16) []byte {
		return slices.Insert(slices.Clone(f), 12, byte(tpid>>8), byte(tpid), byte(tci>>8), byte(tci))
	}
	broken := na(ours, frame.AskingAddress(ours), 0x60)
	broken[56] ^= 1
	right4, right6 := arp(theirs, 2, ours, gw, anyone), na(ours, frame.AskingAddress(ours), 0x60)
	for _, c := range []struct {
		name         string
		f            []byte
		counts, mine bool
	}{
		{"the right one", right4, true, true},
		{"priority tag", tagged(right4, 0x8100, 0xa000), true, true},
		{"advertisement", right6, true, false},
		{"advertisement, priority tag", tagged(right6, 0x8100, 0xe000), true, false},
		{"another address", arp(theirs, 2, ours, peer1.IP, anyone), false, true},
		{"to another address of ours", arp(theirs, 2, ours, gw, peer1.IP), false, false},
		{"to a stranger", arp(theirs, 2, theirs+1, gw, anyone), false, false},
		{"a request", arp(theirs, 1, ours, gw, anyone), false, false},
		{"from a member", arp(memberMAC(0), 2, ours, gw, anyone), false, true},
		{"from the adapter", arp(memberMAC(99), 2, ours, gw, anyone), false, true},
		{"from a group", arp(frame.Broadcast, 2, ours, gw, anyone), false, true},
		{"in a VLAN", tagged(right4, 0x8100, 7), false, true},
		{"in a service VLAN", tagged(right4, 0x88a8, 7), false, false},
		{"cut off", right4[:40], false, false},
		{"unsolicited advertisement", na(ours, frame.AskingAddress(ours), 0x20), false, false},
		{"advertisement to all", na(frame.MAC(0x333300000001), netip.MustParseAddr("ff02::1"), 0x20), false, false},
		{"to a global address", na(ours, netip.MustParseAddr("fd00::1"), 0x60), false, false},
		{"wrong checksum", broken, false, false},
	} {
		l := newLAN(t, 2, "arp:"+gw.String(), "nd:"+gw6.String())
		l.sync()
		l.run(ms)
		mine := l.w.Receive(l.now, 1, c.f)
		got := l.w.Verdict(1).Asked
		if counts := !got[0].Last.IsZero() || !got[1].Last.IsZero(); counts != c.counts || mine != c.mine {
			t.Errorf("%s: counts %v, kept from the adapter %v; want %v, %v", c.name, counts, mine, c.counts, c.mine)
		}
	}
}

// advertisement is how gw6 answers member 1.
func advertisement() []byte {
	return frametest.ND(hostMAC, memberMAC(1), frametest.Advertisement, gw6.IP, frame.AskingAddress(memberMAC(1)),
		gw6.IP,
		0x60, 0)
}

// A flood of forged answers costs no memory, makes nobody up who was not asked, and sends nothing.
func TestAnswerFlood(t *testing.T) {
	l := newLAN(t, 2, "auto")
	l.gateway(gw)
	l.sync()
	l.run(5 * time.Second)
	flood := [][]byte{
		frametest.ARP(hostMAC, 2, memberMAC(1), gw.IP, netip.IPv4Unspecified()),
		frametest.ARP(hostMAC+9, 2, memberMAC(1), peer1.IP, netip.IPv4Unspecified()),
		advertisement(),
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		l.w.Receive(l.now, 1, flood[i%len(flood)])
		i++
	}); n > 0 {
		t.Errorf("%v allocations a frame", n)
	}
	if s := l.w.Sends(); len(s) > 0 {
		t.Errorf("%d frames sent", len(s))
	}
	if v := l.w.Verdict(1); v.Loss != 0 || v.State != Up {
		t.Errorf("%+v", v)
	}
}

// FuzzReceive: no frame breaks the watches, and none makes a member down.
func FuzzReceive(f *testing.F) {
	f.Add(frametest.ARP(hostMAC, 2, memberMAC(1), gw.IP, netip.IPv4Unspecified()))
	f.Add(advertisement())
	for op := frame.ProbeHello; op <= frame.ProbeAnswer; op++ {
		p := frame.Probe{Op: op, Dst: memberMAC(1), Src: memberMAC(0), Team: 77, From: 0, To: 1, Seq: 3, Sent: 4}
		f.Add(p.Frame())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, spec := range []string{"auto", "probe"} {
			l := newLAN(t, 3, spec)
			if spec == "auto" {
				l.gateway(gw, gw6)
			}
			l.sync()
			l.load(1000)
			for range 5 {
				l.run(20 * ms)
				l.w.Receive(l.now, 1, b)
				l.w.Receive(l.now, 7, b)
				l.after()
			}
			l.neverDown()
		}
	})
}

// A member that cannot ask is not judged, and one whose address changes is asked by the new one.
func TestAskMAC(t *testing.T) {
	l := newLAN(t, 2, "auto")
	l.gateway(gw)
	l.sync()
	l.load(1000)
	l.run(2 * time.Second)
	l.members[1].MAC = AskMAC(memberMAC(1))
	l.sync()
	l.run(5 * time.Second)
	l.want(Up, Up)
	for _, own := range []frame.MAC{memberMAC(1), 0x0011_2233_4455} {
		if m := AskMAC(own); m == own || m.Multicast() || m&0x0200_0000_0000 == 0 || AskMAC(m) == m {
			t.Errorf("%v asks by %v, which is not a local address of its own", own, m)
		}
	}
	l.members[1].rxDead = true
	l.until(1, Down, 45*ms)
	l.members[1].MAC = 0
	l.sync()
	l.want(Up, Unknown)
	before := l.asks[1]
	l.run(5 * time.Second)
	if l.asks[1] != before {
		t.Error("asked without an address")
	}
	l.members[1].MAC = memberMAC(1)
	l.sync()
	l.until(1, Down, 1500*ms)
	if v := l.w.Verdict(1); !strings.Contains(v.Reason, "does not answer by eth1") {
		t.Errorf("%q", v.Reason)
	}
}

// TestCarrierAloneAtOnce: a member that is down or waits because of whom it asks is used at once when nobody is asked
// any more.
func TestCarrierAloneAtOnce(t *testing.T) {
	for _, spec := range []string{"auto", "gateway", "arp:10.9.0.254", "probe"} {
		t.Run(spec, func(t *testing.T) {
			l := newLAN(t, 4, spec)
			l.gateway(gw)
			l.sync()
			l.load(1000)
			l.run(3 * time.Second)
			l.members[1].rxDead, l.members[1].txDead = true, true
			l.until(1, Down, 100*ms)
			l.members[2].rxDead, l.members[2].txDead = true, true
			l.link(2, false)
			l.run(50 * ms)
			l.link(2, true)
			l.run(50 * ms)
			l.want(Up, Down, Waiting, Up)
			c := l.w.cfg
			c.Specs = []Spec{{Kind: KindCarrier}}
			l.w.Configure(l.now, c)
			l.after()
			l.want(Unknown, Unknown, Unknown, Unknown)
			l.run(5 * time.Second)
			l.want(Unknown, Unknown, Unknown, Unknown)
		})
	}
}

// TestAskMACsOfAnySwitch: whatever of the MACs a switch hashes, one of those that a member tries comes back by each
// port.
func TestAskMACsOfAnySwitch(t *testing.T) {
	own, peer := frame.MAC(0x021122334401), frame.MAC(0x0a5b6c7d8e9f)
	bytesOf := func(m frame.MAC) (b [6]byte) {
		for i := range b {
			b[i] = byte(m >> (40 - 8*i))
		}
		return b
	}
	fold := func(m frame.MAC, from int) (x uint64) {
		b := bytesOf(m)
		for _, v := range b[from:] {
			x ^= uint64(v)
		}
		return x
	}
	hashes := map[string]func(m frame.MAC) uint64{
		"last byte":       func(m frame.MAC) uint64 { return uint64(m^peer) & 0xff },
		"last three bits": func(m frame.MAC) uint64 { return uint64(m^peer) & 7 },
		"last four bytes": func(m frame.MAC) uint64 { return uint64(uint32(m^peer)*0x9e3779b1) >> 16 },
		"all bytes, xor":  func(m frame.MAC) uint64 { return fold(m^peer, 0) },
		"all bytes, sum": func(m frame.MAC) uint64 {
			b := bytesOf(m)
			return uint64(b[0]) + uint64(b[1]) + uint64(b[5])
		},
		"CRC-32 of all bytes": func(m frame.MAC) uint64 { b := bytesOf(m); return uint64(crc32.ChecksumIEEE(b[:])) },
	}
	for name, hash := range hashes {
		for _, ports := range []uint64{2, 3, 4} {
			found := map[uint64]bool{}
			for n := 1; n <= 24; n++ {
				found[hash(AskMACs(own, n))%ports] = true
			}
			if uint64(len(found)) != ports {
				t.Errorf("%s, %d ports: 24 MACs come back by %d of them", name, ports, len(found))
			}
		}
	}
	seen := map[frame.MAC]bool{}
	for i := range frame.MAC(64) {
		for n := range 25 {
			m := AskMACs(own+i, n)
			if seen[m] || m.Multicast() || m&0x0200_0000_0000 == 0 {
				t.Fatalf("%v, %d of %v: asked by another member, too, or not a local unicast address", m, n, own+i)
			}
			seen[m] = true
		}
	}
}
