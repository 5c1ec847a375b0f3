// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"time"

	"nicteam/internal/api"
)

const elb, xorMode = "elb", "xor"

// elbSpeed compares the throughput of a NIC as the only member of teams in two modes: the cost of elb for each frame.
// Beside each throughput is the CPU time of the team's process, which a busy machine disturbs less.
func (b *bench) elbSpeed(ctx context.Context) {
	pair := func(name, what, unit, cost string) []*measure {
		return []*measure{
			b.measure(name, what, unit).compare(elb, xorMode),
			b.measure(name+"-cpu", "the same: what the team's process ran for it", cost).compare(elb, xorMode),
		}
	}
	out := pair("elb-tcp-8-out", "TCP, 8 streams from box to peer by a team of one unlimited NIC in the relay, iperf3",
		"Mbit/s", "ms/Gbit")
	in := pair("elb-tcp-1-in", "the same, one stream from peer to box", "Mbit/s", "ms/Gbit")
	small := pair("elb-udp-64", "the same, UDP frames of 64 octets from box that arrive a second", "frames/s",
		"ns/frame")
	rigs := map[string]*rig{}
	faults := map[string]error{}
	for _, mode := range []string{xorMode, elb} {
		r, err := b.direct(mode, 1)
		if err == nil {
			defer b.close(r)
			rigs[mode] = r
			err = r.team(ctx, relay, "eth1", "--mode", mode)
		}
		if err == nil {
			err = r.serve(ctx)
		}
		if faults[mode] = err; err != nil {
			b.logf("%s cannot take part: %v", mode, err)
		}
	}
	turns := func(ms []*measure, unit time.Duration,
		take func(ctx context.Context, r *rig) (perSecond float64, err error)) {
		var all []contestant
		for _, mode := range []string{xorMode, elb} {
			all = append(all, contestant{name: mode, missing: faults[mode],
				take: func(ctx context.Context) ([]float64, error) {
					r := rigs[mode]
					ran, err := r.teamCPU(ctx)
					if err != nil {
						return nil, err
					}
					f, err := take(ctx, r)
					if err != nil {
						return nil, err
					}
					until, err := r.teamCPU(ctx)
					return []float64{f, float64(until-ran) / float64(unit) / (f * b.turn.Seconds())}, err
				}})
		}
		b.interleave(ctx, b.rounds, all, ms...)
	}
	turns(out, time.Microsecond, func(ctx context.Context, r *rig) (float64, error) { return r.iperf(ctx, b.turn, 8) })
	turns(in, time.Microsecond, func(ctx context.Context, r *rig) (float64, error) {
		return r.iperf(ctx, b.turn, 1, "-R")
	})
	turns(small, time.Nanosecond, func(ctx context.Context, r *rig) (float64, error) {
		f, _, err := frameRate(ctx, r.box, r.peer, peerAddr, b.turn)
		return f, err
	})
}

// teamCPU returns the CPU time of the team's process so far.
func (r *rig) teamCPU(ctx context.Context) (time.Duration, error) {
	st, err := r.client.Status(ctx)
	if err != nil {
		return 0, err
	}
	return cpuTime(st.PID)
}

// elbFailover cuts the member that receives peer's frames: peer has its MAC, and keeps it.
func (b *bench) elbFailover(ctx context.Context) {
	for _, p := range []struct{ path, prefix string }{{relay, ""}, {fast, "fastpath-"}} {
		m := b.measure(p.prefix+"elb-failover-in",
			"elb, the member of 3 (veth) by which peer's 10000 frames/s come loses its carrier: longest gap as above",
			"ms")
		if b.wants(m.Name) {
			b.elbCuts(ctx, p.path, m)
		}
	}
}

func (b *bench) elbCuts(ctx context.Context, path string, m *measure) {
	c, err := b.cutter(ctx, 3, true, path, "--mode", "elb")
	if err != nil {
		b.absent(err, m)
		return
	}
	defer b.close(c.rig)
	b.gaps(ctx, b.few(20), m, nil, func(ctx context.Context) (loss, error) {
		if _, err := c.ready(ctx); err != nil {
			return loss{}, err
		}
		carries, err := c.receiver(ctx)
		if err != nil {
			return loss{}, err
		}
		return c.loss(ctx, carries)
	})
}

// receiver returns the member that receives most.
func (c *cutter) receiver(ctx context.Context) (string, error) {
	before, err := c.client.Status(ctx)
	if err == nil {
		err = pause(ctx, 50*time.Millisecond)
	}
	if err != nil {
		return "", err
	}
	after, err := c.client.Status(ctx)
	if err != nil {
		return "", err
	}
	var best api.Member
	most := uint64(0)
	for _, m := range after.Members {
		if n := m.RX.Frames - member(before, m.Name).RX.Frames; n >= most {
			best, most = m, n
		}
	}
	return best.Name, nil
}
