// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"

	"nicteam/internal/lab"
)

// firstPort and portStep give flows consecutive even source ports, as Linux clients use them; kernel hashes distribute
// those badly.
const (
	firstPort = 40000
	portStep  = 2
)

// load is TCP flows from box to peer.
func (b *bench) load(r *rig, flows int) lab.Load {
	return lab.Load{From: r.box, To: r.peer, Address: peerAddr, Flows: flows, FirstPort: firstPort, PortStep: portStep}
}

// setup describes a contestant.
type setup struct {
	name    string
	network network
	path    string   // the team's data path
	args    []string // of create; empty: eth1 without a team
}

// setUp creates contestants, each with hosts of its own.
func (b *bench) setUp(ctx context.Context, all []setup,
	take func(ctx context.Context, r *rig, name string) ([]float64, error)) (out []contestant, done func()) {
	var rigs []*rig
	for _, e := range all {
		r, err := b.switched("shaped", e.network)
		if err == nil {
			rigs = append(rigs, r)
			if e.args == nil {
				err = r.plain(ctx)
			} else {
				err = r.team(ctx, e.path, e.args...)
			}
		}
		if err != nil {
			b.logf("%s cannot take part: %v", e.name, err)
		}
		out = append(out, contestant{name: e.name, missing: err, take: func(ctx context.Context) ([]float64, error) {
			figures, err := take(ctx, r, e.name)
			if err == nil {
				err = r.checkDatapath(ctx)
			}
			return figures, err
		}})
	}
	return out, func() {
		for _, r := range rigs {
			b.close(r)
		}
	}
}

// shaped creates contestants behind a switch: plain has one shaped NIC, team1 and fast a team of one, team2 and fast2 a
// team of two in a LAG of the switch.
func (b *bench) shaped(ctx context.Context, rate uint64, settings []string,
	take func(r *rig, name string) ([]float64, error), names ...string) (all []contestant, done func()) {
	var list []setup
	for _, name := range names {
		e := setup{name: name, network: network{nics: 1, rates: []uint64{rate}}}
		switch name {
		case team1, fast:
			e.args = append([]string{"eth1"}, settings...)
		case team2, fast2:
			e.network.nics, e.network.lag = 2, true
			e.args = append([]string{"eth1", "eth2"}, settings...)
		}
		if e.path = relay; name == fast || name == fast2 {
			e.path = fast
		}
		list = append(list, e)
	}
	return b.setUp(ctx, list, func(_ context.Context, r *rig, name string) ([]float64, error) { return take(r, name) })
}

// sum compares the throughput of two shaped NICs with that of one.
func (b *bench) sum(ctx context.Context) {
	const rate = 500_000_000
	xor := b.measure("xor", "TCP from consecutive even ports over NICs of 500 Mbit/s: 8 flows over a team "+
		"of 2 in mode xor, 4 over one plain NIC", "Mbit/s").
		compare(team2, plain).compare(fast2, plain)
	turn := b.measure("round-robin",
		"TCP, one stream over NICs of 500 Mbit/s: a team of 2 in mode round-robin, one plain NIC", "Mbit/s").
		compare(team2, plain).compare(fast2, plain)
	for _, s := range []struct {
		m           *measure
		mode        string
		one, ofTeam int
	}{{xor, "xor", 4, 8}, {turn, "round-robin", 1, 1}} {
		if !b.wants(s.m.Name) {
			continue
		}
		contestants, done := b.shaped(ctx, rate, []string{"--mode", s.mode},
			func(r *rig, name string) ([]float64, error) {
				flows := s.one
				if name != plain {
					flows = s.ofTeam
				}
				got, err := b.load(r, flows).Measure(ctx, b.turn)
				if err == nil && got.Bytes == 0 {
					err = fmt.Errorf("nothing arrived")
				}
				return []float64{float64(got.Bytes) * 8 / got.Took.Seconds() / 1e6}, err
			}, plain, team2, fast2)
		b.interleave(ctx, b.rounds, contestants, s.m)
		done()
	}
}
