// SPDX-License-Identifier: MIT

package fastpath

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// What a program takes for a frame, without what is done for a test's frame besides.
func BenchmarkPrograms(b *testing.B) {
	labtest.Root(b)
	k, err := load()
	labtest.Must(b, err)
	b.Cleanup(func() { k.close() })
	d := &bed{TB: b, kernel: k}
	d.gates(2)
	for i := range k.cpus {
		k.cpus[i].Ifindex, k.cpus[i].Decided = loopback, 2
	}
	c := &cast{members: 0b1111, behind: []frame.MAC{0x0200000000d0}}
	pl := &spread.Plan{Adapter: adapterMAC, Distributing: 15, Collecting: 15, Multicast: 15,
		Shortest:         &spread.Shortest{Gain: spread.DefaultGain, Skew: spread.DefaultSkew},
		PacketsPerMember: 1, TeamMACs: []frame.MAC{adapterMAC},
		Slots: &spread.SlotTable{Members: make([]uint8, spread.SlotCount)}}
	for id := range 4 {
		c.mac[id], pl.Weights[id], pl.Shortest.Rates[id] = memberMAC(id), spread.MaxShare, 1e9
		pl.TeamMACs = append(pl.TeamMACs, memberMAC(id))
		pl.Filter[id] = []frame.MAC{adapterMAC}
	}
	d.links, pl.MACs = linksOf(c), c.mac
	labtest.Must(b, d.receives(2))
	in := func(dst frame.MAC, f []byte) []byte {
		f = slices.Clone(f)
		dst.Put(f, 0)
		peerMAC.Put(f, 6)
		return f
	}
	tcp4 := flowsOf(1)[0]
	tcp6 := stack(make([]byte, 1000), ether(peerMAC, adapterMAC, frame.TypeIPv6), ipv6(frame.ProtoTCP), tcp(1, 2, 0))
	for _, v := range []struct {
		name    string
		program *ebpf.Program
		spread  spread.Rule
		f       []byte
	}{
		{"transmit/single", k.Transmit, spread.RuleSingle, tcp4},
		{"transmit/single, looking", k.Transmit, spread.RuleSingle, tcp4},
		{"transmit/slots", k.Transmit, spread.RuleSlots, tcp4},
		{"transmit/slots6", k.Transmit, spread.RuleSlots, tcp6},
		{"transmit/round-robin", k.Transmit, spread.RuleRoundRobin, tcp4},
		{"transmit/elb", k.Transmit, spread.RuleShortest, tcp4},
		{"receive/adapter", k.Receive, spread.RuleSlots, in(adapterMAC, tcp4)},
		{"receive/own", k.Receive, spread.RuleShortest, in(memberMAC(2), tcp4)},
		{"receive/own6", k.Receive, spread.RuleShortest, in(memberMAC(2), tcp6)},
		{"receive/refused", k.Receive, spread.RuleSlots, in(0x0200000000ee, tcp4)},
		{"relay_filter", k.RelayFilter, spread.RuleSlots, stack(in(adapterMAC, tcp4), ether(0, 0, 0x88b6))},
	} {
		b.Run(v.name, func(b *testing.B) {
			pl := *pl
			pl.Rule = v.spread
			pl.PerMember = v.program == k.Receive && v.spread == spread.RuleShortest // transmit would change the frame
			p := &spread.Picker{}
			p.KeepIn(k.txState)
			p.Follow(&pl)
			for id := range k.devices {
				if k.devices[id] = 0; strings.HasSuffix(b.Name(), "looking") {
					k.devices[id] = k.findDevice(loopback).address // which is up
				}
			}
			labtest.Must(b, k.applyPlan(&pl, &d.links))
			for b.Loop() {
				const repeat = 10000
				_, took, err := v.program.Benchmark(v.f, repeat, nil)
				labtest.Must(b, err)
				b.ReportMetric(float64(took.Nanoseconds()), "ns/frame")
			}
		})
	}
}
