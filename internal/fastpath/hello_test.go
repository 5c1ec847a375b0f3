// SPDX-License-Identifier: MIT

package fastpath

import (
	"slices"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// TestHellosAreNoted: of the probes that a member receives, exactly those of the filter are noted, with what they say
// and when they came, and counted. All others are for the relay.
func TestHellosAreNoted(t *testing.T) {
	b := newBed(t)
	onOneProcessor(t)
	c := &cast{members: 1}
	c.mac[0] = memberMAC(0)
	labtest.Must(t, b.apply(&spread.Plan{Rule: spread.RuleSingle, Active: 0, Next: -1, Adapter: adapterMAC,
		TeamMACs: []frame.MAC{adapterMAC, memberMAC(0)}, Distributing: 1, Collecting: 1, Multicast: 1}, c))
	labtest.Must(t, b.receives(0))
	filter := team.HelloFilter{Team: 0x1122334455667788}
	filter.From[0] = 5 + 1
	hello := frame.Probe{Op: frame.ProbeHello, Dst: memberMAC(0), Src: peerMAC, Team: filter.Team, From: 5, To: 0,
		Seq: 0x01020304, Sent: 0x0a0b0c0d0e0f}
	changed := func(f func(p *frame.Probe)) []byte {
		p := hello
		p.Seq++
		f(&p)
		return p.Frame()
	}
	octet := func(at int) []byte {
		f := slices.Clone(changed(func(*frame.Probe) {}))
		f[at] ^= 0x40
		return f
	}
	for _, gate := range []uint32{relay.GateRing, relay.GateAlone} {
		b.gates(gate)
		for i := range b.cpus {
			b.cpus[i].Decided = gate
		}
		b.forgetHellos()
		b.noteHellos(&filter)
		for _, tt := range []struct {
			what  string
			frame []byte
			noted bool
		}{
			{"one that is wanted", hello.Frame(), true},
			{"another team's", changed(func(p *frame.Probe) { p.Team++ }), false},
			{"from another member", changed(func(p *frame.Probe) { p.From++ }), false},
			{"to another member", changed(func(p *frame.Probe) { p.To++ }), false},
			{"to a member of that octet", changed(func(p *frame.Probe) { p.To += 64 }), false},
			{"an ask", changed(func(p *frame.Probe) { p.Op = frame.ProbeAsk }), false},
			{"an answer", changed(func(p *frame.Probe) { p.Op = frame.ProbeAnswer }), false},
			{"no nicteam's", octet(frame.EtherLen), false},
			{"another version's", octet(frame.EtherLen + 7), false},
			{"one that is too short", changed(func(*frame.Probe) {})[:frame.EtherLen+32], false},
			{"in a VLAN", slices.Insert(slices.Clone(changed(func(*frame.Probe) {})), 12, 0x81, 0, 0, 7), false},
		} {
			o, err := b.run(b.Receive, tt.frame, 0)
			labtest.Must(t, err)
			// There is no ring, so that what is to go by it is dropped.
			m := &o.Counts.members[0]
			dropped := m.RXDrop[team.DropSocket]
			if noted := m.RX[frame.Other].Frames; (noted == 1) != tt.noted || noted+dropped != 1 ||
				o.Verdict != verdictNext {
				t.Errorf("gate %d: %s: %d noted, %d for the relay, verdict %d", gate, tt.what, noted, dropped,
					o.Verdict)
			}
		}
		n := &b.control.Hellos[0]
		if n.Seq != hello.Seq || int64(n.Sent) != hello.Sent || int64(n.At) != b.now {
			t.Errorf("gate %d: noted %+v of %+v", gate, n, hello)
		}
		b.noteHellos(&team.HelloFilter{Team: filter.Team})
		o, err := b.run(b.Receive, hello.Frame(), 0)
		labtest.Must(t, err)
		if m := &o.Counts.members[0]; m.RX[frame.Other].Frames != 0 || m.RXDrop[team.DropSocket] != 1 {
			t.Errorf("gate %d: noted though nobody wants it", gate)
		}
	}
}
