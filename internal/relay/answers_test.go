// SPDX-License-Identifier: MIT

package relay

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// arpAnswer is the reply to an ARP probe of dst, from src with a number.
func arpAnswer(dst, src frame.MAC, n int) []byte {
	b := arp(dst, src, 0)
	b[21] = 2
	binary.BigEndian.PutUint32(b[28:], uint32(n))
	dst.Put(b, 32)
	return b
}

// advertisement is a neighbour advertisement.
func advertisement(t *testing.T, dst, src frame.MAC, hops byte) []byte {
	_, b := solicitation(t, dst, src)
	b[54], b[21] = 136, hops
	return b
}

func probeFrame(dst, src frame.MAC, n int) []byte {
	b := testFrame(dst, src, 0)
	copy(b[14:], frame.ProbeMagic)
	binary.BigEndian.PutUint32(b[30:], uint32(n))
	return b
}

// isAnyFrame accepts what these tests send.
func isAnyFrame(h *frame.Headers) bool { return isARPorND(h) || h.EtherType == testType }

// changed returns b with another octet.
func changed(b []byte, at int, to byte) []byte {
	b = bytes.Clone(b)
	b[at] = to
	return b
}

func TestIsAnswer(t *testing.T) {
	u := NewActivePlan(&spread.Plan{Adapter: adapterMAC, Behind: []frame.MAC{behindMAC},
		TeamMACs: []frame.MAC{adapterMAC, behindMAC, memberMAC(0), memberMAC(1)}})
	answer := arpAnswer(memberMAC(0), peerMAC, 7)
	na := advertisement(t, memberMAC(0), peerMAC, 255)
	for _, tt := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"answer", answer, true},
		{"to the adapter", arpAnswer(adapterMAC, peerMAC, 7), true},
		{"tagged", tagged(answer, 0x8100, 0x6007), true},
		{"priority tag", tagged(answer, 0x8100, 0xe000), true},
		{"request", changed(answer, 21, 1), false},
		{"to an address", changed(answer, 41, 9), false},
		{"to all", arpAnswer(frame.Broadcast, peerMAC, 7), false},
		{"to a station behind", arpAnswer(behindMAC, peerMAC, 7), false},
		{"to a stranger", arpAnswer(strangerMAC, peerMAC, 7), false},
		{"cut short", answer[:41], false},
		{"advertisement", na, true},
		{"tagged advertisement", tagged(na, 0x8100, 7), true},
		{"advertisement from afar", advertisement(t, memberMAC(0), peerMAC, 254), false},
		{"solicitation", changed(na, 54, 135), false},
		{"advertisement to all", advertisement(t, 0x333300000001, peerMAC, 255), false},
		{"advertisement cut short", na[:58], false},
	} {
		var h frame.Headers
		frame.Parse(tt.b, &h)
		if got := u.isAnswer(&h, tt.b); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// FuzzIsAnswer: whatever comes in, nothing panics.
func FuzzIsAnswer(f *testing.F) {
	f.Add(arpAnswer(memberMAC(0), peerMAC, 1))
	f.Add(probeFrame(memberMAC(0), peerMAC, 1))
	f.Add(tagged(arpAnswer(memberMAC(0), peerMAC, 1), 0x8100, 7))
	u := NewActivePlan(&spread.Plan{Adapter: adapterMAC, TeamMACs: []frame.MAC{adapterMAC, memberMAC(0)}})
	f.Fuzz(func(t *testing.T, b []byte) {
		var h frame.Headers
		if frame.Parse(b, &h) && u.isAnswer(&h, b) && (u.isOurProbe(&h, b) || h.Dst.Multicast()) {
			t.Errorf("%x is an answer", b)
		}
	})
}

// answersPlan is active-backup's: member 0 is active, member 1 stands by, the wire knows the adapter's address only.
func (g *rig) answersPlan() *spread.Plan {
	pl := g.plan(spread.RuleSingle)
	pl.Active, pl.Distributing, pl.Collecting, pl.Multicast = 0, 1, 1, 1
	return pl
}

// Answers to link watches come to the control loop by each open member, once, whatever the Plan says of it. Those to
// ARP probes do not come to the host, whose stack would believe them.
func TestAnswersComeToTheControlLoop(t *testing.T) {
	g := newRig(t, 2)
	host := g.port(g.host, "team0", isAnyFrame)
	peers := []*port{g.port(g.peer, "p0", isAnyFrame), g.port(g.peer, "p1", isAnyFrame)}
	single, perMember := g.answersPlan(), g.perMember(spread.RuleSingle)
	perMember.Collecting, perMember.Distributing = 1, 1
	for name, pl := range map[string]*spread.Plan{"single": single, "per member": perMember} {
		g.apply(pl)
		for _, tt := range []struct {
			name      string
			by        int
			frame     []byte
			delivered bool
		}{
			{"to the active member", 0, arpAnswer(memberMAC(0), peerMAC, 1), false},
			{"to the standby member", 1, arpAnswer(memberMAC(1), peerMAC, 2), false},
			{"tagged", 1, tagged(arpAnswer(memberMAC(1), peerMAC, 3), 0x8100, 7), false},
			{"advertisement", 0, advertisement(t, memberMAC(0), peerMAC, 255), true},
			{"advertisement to the standby member", 1, advertisement(t, memberMAC(1), peerMAC, 255), false},
			{"probe", 0, probeFrame(memberMAC(0), peerMAC, 4), false},
			{"probe to the standby member", 1, probeFrame(memberMAC(1), peerMAC, 5), false},
			{"probe of a member", 1, probeFrame(memberMAC(1), memberMAC(0), 6), false},
			{"probe to all", 1, probeFrame(frame.Broadcast, peerMAC, 7), false},
			{"probe to all by the active member", 0, probeFrame(frame.Broadcast, peerMAC, 8), false},
		} {
			peers[tt.by].send(tt.frame)
			want := team.Control{Kind: team.ControlFrame, Member: tt.by, Frame: tt.frame}
			if diff := cmp.Diff(want, g.newsOf(team.ControlFrame)); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", name, tt.name, diff)
			}
			if tt.delivered {
				b := bytes.Clone(tt.frame)
				adapterMAC.Put(b, 0)
				host.expect(b)
			}
			// A later frame shows that nothing more came of it.
			b := testFrame(frame.Broadcast, peerMAC, 9)
			peers[0].send(b)
			host.expect(b)
			if n := len(g.relay.Control()); n > 0 {
				t.Errorf("%s, %s: %d more frames", name, tt.name, n)
			}
		}
	}
	host.empty()
}

// A host that asks by ARP probes whether an address is in use gets the answer, in every mode.
func TestHostGetsTheAnswerToItsARPProbe(t *testing.T) {
	g := newRig(t, 2)
	host, peer := g.port(g.host, "team0", isAnyFrame), g.port(g.peer, "p0", isAnyFrame)
	plans := map[string]*spread.Plan{"single": g.answersPlan(), "per member": g.perMember(spread.RuleSingle)}
	for name, pl := range plans {
		g.apply(pl)
		probe := arp(frame.Broadcast, adapterMAC, int(len(name))) // from 0.0.0.0 for 0.0.0.n
		host.send(probe)
		if pl.PerMember {
			g.newsOf(team.ControlFrame) // the control loop sends it
		} else {
			peer.expect(probe)
		}
		for n, wanted := range map[int]bool{len(name): true, 99: false} {
			b := arpAnswer(memberMAC(0), peerMAC, n)
			peer.send(b)
			if got := g.newsOf(team.ControlFrame); !bytes.Equal(got.Frame, b) {
				t.Errorf("%s: the control loop has %x", name, got.Frame)
			}
			if wanted {
				adapterMAC.Put(b, 0)
				host.expect(b)
			}
		}
		b := testFrame(frame.Broadcast, peerMAC, 9)
		peer.send(b)
		host.expect(b)
		if n := len(g.relay.Control()); n > 0 {
			t.Errorf("%s: %d more frames", name, n)
		}
	}
}

func TestARPProbesAreForgotten(t *testing.T) {
	var p arpProbes
	b := arp(frame.Broadcast, adapterMAC, 7)
	var h frame.Headers
	frame.Parse(b, &h)
	const now = int64(1e12)
	p.note(now, &h, b)
	if !p.has(now, 7) || !p.has(now+2e9, 7) || p.has(now, 8) || p.has(now+4e9, 7) {
		t.Errorf("%v, %v, %v, %v", p.has(now, 7), p.has(now+2e9, 7), p.has(now, 8), p.has(now+4e9, 7))
	}
}

// What looks similar goes its way.
func TestOthersMayUseTheProbesEtherType(t *testing.T) {
	g := newRig(t, 1)
	g.apply(g.answersPlan())
	host, peer := g.teamPort(), g.peerPort(0)
	for i := range 3 {
		peer.send(testFrame(adapterMAC, peerMAC, i))
		host.expect(testFrame(adapterMAC, peerMAC, i))
	}
	host.send(probeFrame(peerMAC, adapterMAC, 1)) // of a nicteam of nicteams
	peer.expect(probeFrame(peerMAC, adapterMAC, 1))
	if n := len(g.relay.Control()); n > 0 {
		t.Errorf("%d frames came to the control loop", n)
	}
}

// Probes are counted, but not as what the adapter receives from hosts; answers likewise.
func TestMovedCountsUnicastFramesOfOthers(t *testing.T) {
	g := newRig(t, 2)
	g.apply(g.answersPlan())
	host, peer := g.port(g.host, "team0", isAnyFrame), g.port(g.peer, "p0", isAnyFrame)
	moved := func() (m team.Moved) {
		g.counters() // waits for the end of batches
		g.relay.Moved(&m)
		return m
	}
	before := g.counters().Members[0].RX[frame.Other].Frames
	peer.send(probeFrame(memberMAC(0), peerMAC, 1))
	g.newsOf(team.ControlFrame)
	peer.send(arpAnswer(memberMAC(0), peerMAC, 2))
	g.newsOf(team.ControlFrame)
	for i := range 3 {
		b := testFrame(frame.Broadcast, peerMAC, i)
		peer.send(b)
		host.expect(b)
		b = testFrame(frame.Broadcast, adapterMAC, i)
		host.send(b)
		peer.expect(b)
	}
	if m := moved(); m != (team.Moved{}) {
		t.Errorf("before any unicast frame: %+v", m[0])
	}
	for i := range 5 {
		b := testFrame(adapterMAC, peerMAC, i)
		peer.send(b)
		host.expect(b)
	}
	b := testFrame(peerMAC, adapterMAC, 9)
	host.send(b)
	peer.expect(b)
	var want team.Moved
	want[0].TX, want[0].RX = 1, 5
	if m := moved(); m != want {
		t.Errorf("%+v", m[0])
	}
	if n := g.counters().Members[0].RX[frame.Other].Frames - before; n != 1+3+5 {
		t.Errorf("%d frames were counted, a probe, 3 broadcasts and 5 others came", n)
	}
	// It never falls, not when another NIC takes the id.
	pl := g.answersPlan()
	pl.Distributing, pl.Collecting, pl.Multicast, pl.Active = 2, 2, 2, 1
	g.apply(pl)
	labtest.Must(t, g.relay.Leave(0))
	g.addLink(2)
	g.links[0] = g.links[2]
	g.join(0)
	if m := moved(); m != want || g.counters().Members[0].RX[frame.Other].Frames != 0 {
		t.Errorf("after another NIC has joined: %+v", m[0])
	}
}

// A host that floods with answers displaces neither another's nor those of another member, and few of its own reach the
// control loop.
func TestForgedAnswersDisplaceNothing(t *testing.T) {
	g := newRig(t, 2)
	g.apply(g.answersPlan())
	peers := []*port{g.peerPort(0), g.peerPort(1)}
	const flood = 4000
	b := append(make([]byte, frame.VnetLen), arpAnswer(memberMAC(0), strangerMAC, 1)...)
	for range flood / 50 {
		for range 50 {
			peers[0].socket.Queue(b)
		}
		peers[0].socket.Flush()
	}
	g.await("the flood has come", func(c *team.Counters) bool {
		m := &c.Members[0]
		return m.RX[frame.ARP].Frames+m.RXDrop[team.DropSocket]+m.RXDrop[team.DropAdapter] >= flood*9/10
	})
	peers[0].send(arpAnswer(memberMAC(0), peerMAC, 2))
	peers[1].send(arpAnswer(memberMAC(1), peerMAC, 3))
	forged, heard := 0, map[int]bool{}
	for len(heard) < 2 {
		c := g.newsOf(team.ControlFrame)
		if frame.MACAt(c.Frame, 6) == strangerMAC {
			forged++
		} else {
			heard[c.Member] = true
		}
	}
	if forged > cap(g.relay.control.frames)/2 {
		t.Errorf("%d of %d forged answers came to the control loop", forged, flood)
	}
	t.Logf("%d of %d forged answers came to the control loop", forged, flood)
}

// The switch of a static LAG returns by one member what several have asked a host for: none of that is dropped.
func TestAnswersToSeveralMembers(t *testing.T) {
	g := newRig(t, 2)
	pl := g.answersPlan()
	pl.Filter[0] = append(pl.Filter[0], memberMAC(1))
	slices.Sort(pl.Filter[0])
	g.apply(pl)
	p := g.peerPort(0)
	own := []frame.MAC{memberMAC(0), memberMAC(1), adapterMAC}
	const each = 30
	for i := range each {
		for _, mac := range own {
			b := append(make([]byte, frame.VnetLen), arpAnswer(mac, peerMAC, i+1)...)
			p.socket.Queue(b)
		}
		p.socket.Flush()
	}
	came := map[frame.MAC]int{}
	for range each * len(own) {
		came[frame.MACAt(g.newsOf(team.ControlFrame).Frame, 0)]++
	}
	for _, mac := range own {
		if came[mac] != each {
			t.Errorf("%d of %d answers to %v came to the control loop", came[mac], each, mac)
		}
	}
}
