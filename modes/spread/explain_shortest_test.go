// SPDX-License-Identifier: MIT

package spread

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"nicteam/internal/frame"

	"pgregory.net/rapid"
)

func ethN(id int) string { return fmt.Sprintf("eth%d", id) }

func addrPort(a string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(a), port)
}

// What explain says of the next frame is what the Picker then does with it, and what it foretells is what happens when
// the member dies.
func TestExplainShortestIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var speeds []int
		for range rapid.IntRange(1, 5).Draw(t, "members") {
			speeds = append(speeds, rapid.SampledFrom([]int{0, 100, 1000, -1000}).Draw(t, "speed"))
		}
		pl := shortestPlan(speeds...)
		for id := range speeds {
			if rapid.IntRange(0, 3).Draw(t, "suspect") == 0 {
				pl.Suspect = pl.Suspect.With(id)
			}
			pl.Shortest.Closed[id] = rapid.SampledFrom([]uint8{0, 0, 100, 255}).Draw(t, "closed")
		}
		var lives, dies Picker // the same until a member dies
		const flows = 6
		for range rapid.IntRange(0, 60).Draw(t, "frames") {
			wait := rapid.SampledFrom([]int64{0, 10 * us, 200 * us, 700 * us, 30 * ms, 1500 * ms}).Draw(t, "wait")
			i := rapid.IntRange(0, flows-1).Draw(t, "flow")
			ordered := rapid.IntRange(0, 20).Draw(t, "order") == 0
			if ordered {
				next := *pl
				f := flowFrame(rapid.IntRange(0, flows-1).Draw(t, "moved"))
				order(&next, Move{uint16(flowSlot(pl, &f.h, f.b)), uint8(rapid.IntRange(0, 4).Draw(t, "to"))})
				pl = &next
			}
			bytes := rapid.SampledFrom([]int{64, 1514, 65000}).Draw(t, "bytes")
			for _, p := range []*Picker{&lives, &dies} {
				p.Now += wait
				flowFrame(i).pick(p, pl, bytes)
			}
		}
		last := rapid.SampledFrom([]int64{25 * ms, 1500 * ms}).Draw(t, "last wait") // moves by order wait no longer
		for _, p := range []*Picker{&lives, &dies} {
			p.Now += last
		}
		f := flowFrame(rapid.IntRange(0, flows).Draw(t, "asked"))
		asked := Flow{Proto: 17, Src: addrPort("10.0.0.1", uint16(f.b[34])<<8|uint16(f.b[35])),
			Dst: addrPort("10.0.0.2", 0)}
		var table *FlowTable
		if live := lives.Flows(); live != nil {
			seen := *live
			table = &seen
		}
		e := Explain(pl, table, ethN, asked)
		if want := f.pick(&lives, pl, explainedBytes); e.Member != want || e.Slot != flowSlot(pl, &f.h, f.b) {
			t.Fatalf("explained %+v, picked %d", e, want)
		}
		if e.Suspect.Has(e.Member) && e.Age == 0 || e.Closed.Has(e.Member) || e.Suspect&e.Closed != 0 {
			t.Fatalf("%+v", e)
		}
		without := *pl
		if e.Member >= 0 {
			without.Distributing = pl.Distributing.Without(e.Member)
		}
		if want := f.pick(&dies, &without, explainedBytes); e.IfDead != want {
			t.Fatalf("explained %+v, then picked %d", e, want)
		}
		if e.Why == "" || e.IfDeadWhy == "" {
			t.Fatalf("explained %+v", e)
		}
	})
}

func TestExplainShortestWords(t *testing.T) {
	pl := shortestPlan(100, 100, 100)
	pl.Active = 2
	f := flowFrame(5)
	asked := Flow{Proto: 17, Src: addrPort("10.0.0.1", 1034), Dst: addrPort("10.0.0.2", 0)}
	slot := flowSlot(pl, &f.h, f.b)
	behind := asked
	behind.SrcMAC = 0x020000000500
	nobody := *pl
	nobody.Distributing, nobody.Pins = 0, nil
	layer2 := *pl
	layer2.Hash.Policy = Layer23
	group := Flow{Proto: frame.ProtoICMP, Src: addrPort("10.0.0.1", 0), Dst: addrPort("224.0.0.1", 0)}
	group6 := Flow{Proto: frame.ProtoICMPv6, Src: addrPort("fe80::1", 0), Dst: addrPort("ff02::1:ff00:1", 0)}
	udpGroup := Flow{Proto: frame.ProtoUDP, Src: addrPort("10.0.0.1", 1), Dst: addrPort("239.1.1.1", 2)}
	at := func(s FlowSlot, clock int64) *FlowTable {
		var p Picker
		p.Now = 5e9
		f.pick(&p, pl, 64) // takes over the Plan
		s.Bytes = 1
		p.Flows().Slots[slot] = s
		for id := range 3 {
			p.Flows().Members[id].Clock = 5e9
		}
		p.Flows().Members[1].Clock += clock
		return p.Flows()
	}
	for _, c := range []struct {
		name   string
		pl     *Plan
		flows  *FlowTable
		flow   Flow
		member int // -2: any
		age    time.Duration
		why    string
		after  string
	}{
		{"no table", pl, nil, asked, -2, 0, "has sent nothing yet; its next frame leaves by", "would carry it"},
		{"chosen by rank", pl, at(FlowSlot{Until: 5e9, Since: 2e9, Member: 1, Why: FlowRank}, 0),
			asked, 1, 3 * time.Second, "eth1's for 3s: several queues", "would carry it"},
		{"moved by order", pl, at(FlowSlot{Until: 5e9, Since: 2e9, Member: 1, Why: FlowForced}, 0), asked, 1,
			3 * time.Second, "rebalance flows that never pause", "would carry it"},
		{"the shortest", pl, at(FlowSlot{Until: 5e9, Since: 2e9, Member: 1, Why: FlowShortest}, 50*ms), asked,
			1, 3 * time.Second, "its queue was the shortest", "ranks first"},
		{"its queue is too long", pl, at(FlowSlot{Until: 3e9, Since: 2e9, Member: 1, Why: FlowShortest}, 50*ms),
			asked, -2, 0, "was last with eth1; its next frame leaves by", "would carry it"},
		{"the others are suspect", suspecting(pl, 0, 1), nil, asked, 2, 0, "leaves by eth2: the others are suspect",
			"would carry it"},
		{"its member is gone", shortestPlan(100, 0, 0), at(FlowSlot{Until: 5e9, Since: 2e9, Member: 1}, 0), asked, 0, 0,
			"sends no more; its next frame leaves by eth0: no other", "no other member"},
		{"behind", pl, nil, behind, pl.Pin(behind.SrcMAC), 0, "pinned to", "would be pinned"},
		{"behind, alone", shortestPlan(100), nil, behind, 0, 0, "pinned to", "no other member"},
		{"a group", pl, nil, group, 2, 0, "active member", "becomes active"},
		{"an IPv6 group", pl, nil, group6, 2, 0, "active member", "becomes active"},
		{"a group, alone", shortestPlan(100), nil, group, 0, 0, "active member", "no other"},
		{"UDP to a group", pl, nil, udpGroup, -2, 0, "hash layer3+4", "would carry it"},
		{"nobody", &nobody, nil, asked, -1, 0, "no member may send", "no member may send"},
		{"nobody, behind", &nobody, nil, behind, -1, 0, "no member may send", "no member may send"},
		{"the MAC is missing", &layer2, nil, asked, -1, 0, `add "to MAC"`, "depends"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := Explain(c.pl, c.flows, ethN, c.flow)
			if c.member != -2 && e.Member != c.member || c.member == -2 && e.Member < 0 || e.Age != c.age ||
				!strings.Contains(e.Why, c.why) || !strings.Contains(e.IfDeadWhy, c.after) {
				t.Errorf("%+v", e)
			}
		})
	}
}
