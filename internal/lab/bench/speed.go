// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// speed compares box's one NIC without a team, as the only member of teams of either data path, and in Open vSwitch's
// bond.
func (b *bench) speed(ctx context.Context) {
	oneOut := b.measure("tcp-1-out", "TCP, one stream from box to peer, iperf3", "Mbit/s")
	eightOut := b.measure("tcp-8-out", "TCP, 8 streams from box to peer, iperf3", "Mbit/s")
	oneIn := b.measure("tcp-1-in", "TCP, one stream from peer to box, iperf3", "Mbit/s")
	small := b.measure("udp-64",
		fmt.Sprintf("UDP frames of 64 octets from box that arrive a second, in %d flows, never more than "+
			"%d on their way", frameFlows, frameWindow), "frames/s")
	flood := b.measure("ping-flood", "ICMP echo, the next as soon as the last is answered: median round trip", "µs")
	cpu := b.measure("cpu-loaded",
		"time that the team's process takes of one CPU while 8 TCP streams go out as fast as they can", "%")
	rss := b.measure("rss-loaded", "memory of the team's process after all this (VmRSS; VmHWM is the most it had)",
		"MB")
	for _, m := range []*measure{oneOut, eightOut, oneIn, small, flood} {
		m.compare(fast, plain, ovsTSO, ovs).compare(relay, plain, ovsTSO, ovs).compare(ovsTSO, plain)
	}

	rigs := map[string]*rig{}
	faults := map[string]error{}
	defer func() {
		for _, r := range rigs {
			if err := r.Close(); err != nil {
				b.warn("close: %v", err)
			}
		}
	}()
	for _, c := range []struct {
		name string
		nics int
		make func(*rig) error
	}{
		{plain, 1, func(r *rig) error { return r.plain(ctx) }},
		{relay, 1, func(r *rig) error { return r.team(ctx, relay, "eth1", "--mode", "active-backup") }},
		{fast, 1, func(r *rig) error { return r.team(ctx, fast, "eth1", "--mode", "active-backup") }},
		{ovs, 2, func(r *rig) error { return r.openVSwitch(ctx, false) }},
		{ovsTSO, 2, func(r *rig) error { return r.openVSwitch(ctx, true) }},
	} {
		r, err := b.direct(strings.ReplaceAll(c.name, "+", "-"), c.nics)
		if err == nil {
			rigs[c.name] = r
			err = c.make(r)
		}
		if err != nil {
			faults[c.name] = err
			b.logf("%s cannot take part: %v", c.name, err)
		}
	}
	some := func(names []string, take func(*rig, string) ([]float64, error)) []contestant {
		var all []contestant
		for _, name := range names {
			r := rigs[name]
			all = append(all, contestant{name: name, missing: faults[name],
				take: func(ctx context.Context) ([]float64, error) {
					figures, err := take(r, name)
					if err == nil {
						err = r.checkDatapath(ctx)
					}
					return figures, err
				}})
		}
		return all
	}
	contestants := func(take func(*rig, string) ([]float64, error)) []contestant {
		return some([]string{plain, relay, fast, ovs, ovsTSO}, take)
	}
	serve := func() {
		for name, r := range rigs {
			if faults[name] == nil && !r.serving {
				if r.noServer = r.serve(ctx); r.noServer == nil {
					r.serving = true
				}
			}
		}
	}
	iperf := func(streams int, args ...string) []contestant {
		serve()
		return contestants(func(r *rig, _ string) ([]float64, error) {
			if r.noServer != nil {
				return nil, r.noServer
			}
			f, err := r.iperf(ctx, b.turn, streams, args...)
			return []float64{f}, err
		})
	}
	b.interleave(ctx, b.rounds, iperf(1), oneOut)
	b.interleave(ctx, b.rounds, iperf(8), eightOut)
	b.interleave(ctx, b.rounds, iperf(1, "-R"), oneIn)
	worst := map[string]float64{}
	b.interleave(ctx, b.rounds, contestants(func(r *rig, name string) ([]float64, error) {
		f, lost, err := frameRate(ctx, r.box, r.peer, peerAddr, b.turn)
		worst[name] = max(worst[name], lost)
		return []float64{f}, err
	}), small)
	for _, name := range slices.Sorted(maps.Keys(worst)) {
		small.Notes = append(small.Notes, fmt.Sprintf("most frames of %s lost in a turn: %.3f %%",
			name, 100*worst[name]))
	}
	b.interleave(ctx, b.rounds, contestants(func(r *rig, _ string) ([]float64, error) {
		times, err := ping(ctx, r.box, peerAddr, b.turn/2, 0)
		return []float64{microseconds(times.Quantile(0.5))}, err
	}), flood)

	serve()
	b.interleave(ctx, min(3, b.rounds), some([]string{relay, fast}, func(r *rig, _ string) ([]float64, error) {
		if r.noServer != nil {
			return nil, r.noServer
		}
		was, err := r.teamCPU(ctx)
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if _, err := r.iperf(ctx, b.turn, 8); err != nil {
			return nil, err
		}
		took := time.Since(start)
		is, err := r.teamCPU(ctx)
		return []float64{100 * (is - was).Seconds() / took.Seconds()}, err
	}), cpu)
	b.interleave(ctx, 1, some([]string{relay, fast}, func(r *rig, _ string) ([]float64, error) {
		// It is loaded, whichever measures are requested.
		if _, err := b.load(r, 8).Measure(ctx, time.Second); err != nil {
			return nil, err
		}
		st, err := r.client.Status(ctx)
		if err != nil {
			return nil, err
		}
		now, most, err := resident(st.PID)
		rss.Notes = append(rss.Notes, fmt.Sprintf("mode %s, datapath %s, most memory %s MB", st.Mode, st.Datapath,
			number(most)))
		return []float64{now}, err
	}), rss)
	if faults[ovs] == nil || faults[ovsTSO] == nil {
		oneIn.Notes = append(oneIn.Notes,
			"ovs without TSO: peer's NIC has its transmit offloads off, as that bond takes in finished frames only")
	}
}

// latency compares pings under load over shaped NICs.
func (b *bench) latency(ctx context.Context) {
	const rate = 200_000_000
	median := b.measure("ping-loaded",
		"ICMP echo each 5 ms while 8 TCP flows from box fill NICs of 200 Mbit/s: median round trip", "ms").
		compare(team1, plain).compare(team2, plain).compare(fast, plain).compare(fast2, plain)
	p99 := b.measure("ping-loaded-p99", "the same: 99th percentile", "ms").
		compare(team1, plain).compare(team2, plain).compare(fast, plain).compare(fast2, plain)
	contestants, done := b.shaped(ctx, rate, []string{"--mode", "xor"}, func(r *rig, _ string) ([]float64, error) {
		load, err := b.load(r, 8).Start(ctx)
		if err != nil {
			return nil, err
		}
		defer load.Stop()
		if err := pause(ctx, b.turn/4); err != nil {
			return nil, err
		}
		times, err := ping(ctx, r.box, peerAddr, b.turn*3/2, 5*time.Millisecond)
		if err != nil {
			return nil, err
		}
		if filled := load.Rate(); filled.Bytes == 0 {
			return nil, fmt.Errorf("the load did not flow")
		}
		return []float64{milliseconds(times.Quantile(0.5)), milliseconds(times.Quantile(0.99))}, nil
	}, plain, team1, team2, fast, fast2)
	defer done()
	b.interleave(ctx, b.rounds, contestants, median, p99)
}
