// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"time"
)

// countGroup are the measures of `make bench-count`, which boots a machine whose clock counts instructions
// (internal/lab/count) and runs this program in it with -count. Nothing else happens in that machine, so that subjects
// are measured one after the other, once each; the repetition is another boot. On a real clock the figures are noise.
var countGroup = group{[]string{"count-tcp-1-out", "count-tcp-8-out", "count-tcp-1-in", "count-tcp-8-in",
	"count-udp-64-out", "count-udp-64-in", "count-udp-1400-out", "count-udp-1400-in", "count-rtt",
	countProcess}, (*bench).count}

// countProcess is the measure of the team's process.
const countProcess = "count-process"

// A subject is what box uses instead of a plain NIC, with a peer that fits it.
type subject struct {
	name string
	peer peerKind
	make func(context.Context, *rig) error
}

// subjects: the plain NIC with each kind of peer, followed by what is compared with it. Teams and bonds have two
// members.
func (b *bench) subjects() (all []subject) {
	add := func(name string, peer peerKind, make func(context.Context, *rig) error) {
		all = append(all, subject{name, peer, make})
	}
	for _, g := range []struct {
		peer  peerKind
		modes []countMode
	}{
		{peerNIC, []countMode{{"active-backup", "active-backup", []string{"--primary", "eth1"}}}},
		{peerBridge, []countMode{{"elb", "balance-alb", nil}}},
		{peerLAG, []countMode{{"xor", "balance-xor", nil}, {"round-robin", "balance-rr", nil}}},
		{peerLACP, []countMode{{"802.3ad", "802.3ad", []string{"--lacp-rate", "fast"}}}},
	} {
		add(g.peer.baseline(), g.peer, func(ctx context.Context, r *rig) error {
			// Its other NIC must not be a second way to a peer that has a bridge or a bond.
			if err := r.box.Down("eth2"); err != nil {
				return err
			}
			return r.plain(ctx)
		})
		if g.peer == peerNIC {
			add(redirect, g.peer, func(ctx context.Context, r *rig) error { return r.redirects(ctx) })
		}
		for _, m := range g.modes {
			add("bond "+m.bond, g.peer, func(ctx context.Context, r *rig) error { return r.kernelBond(ctx, m.bond) })
			for _, path := range []string{fast, relay} {
				if path == relay && g.peer != peerNIC {
					continue // its cost is that of the process, in any mode
				}
				args := append([]string{"eth1", "eth2", "--mode", m.team}, m.args...)
				add(path+" "+m.team, g.peer, func(ctx context.Context, r *rig) error {
					return r.countedTeam(ctx, path, args...)
				})
			}
		}
	}
	return all
}

// countMode is a mode of the team and the kernel bond's nearest.
type countMode struct {
	team, bond string
	args       []string
}

// settleCount is how long a subject settles: a bond or a team that has just been made still admits members, negotiates
// and announces. On an instruction clock idle time passes at once.
const settleCount = 6 * time.Second

// A countRow is a measure and how it is taken.
type countRow struct {
	name, what, unit string
	take             func(context.Context, *rig) (float64, error)
}

// Amounts: a run of TCP moves tcpAmount octets after tcpWarm, one of UDP udpFrames frames. Figures are of the median
// round of it.
const (
	tcpWarm, tcpAmount = 12 << 20, 16 << 20
	udpFrames          = 1024
)

var countRows = []countRow{
	{"count-tcp-1-out", "TCP, one stream from box to peer: 8 writes of 64 KiB, then reads", "Mbit/s",
		func(ctx context.Context, r *rig) (float64, error) { return tcpRate(ctx, r.box, r.peer, peerCIDR, 1) }},
	{"count-tcp-8-out", "the same, 8 streams in turn", "Mbit/s",
		func(ctx context.Context, r *rig) (float64, error) { return tcpRate(ctx, r.box, r.peer, peerCIDR, 8) }},
	{"count-tcp-1-in", "TCP, one stream from peer to box", "Mbit/s",
		func(ctx context.Context, r *rig) (float64, error) { return tcpRate(ctx, r.peer, r.box, boxCIDR, 1) }},
	{"count-tcp-8-in", "the same, 8 streams", "Mbit/s",
		func(ctx context.Context, r *rig) (float64, error) { return tcpRate(ctx, r.peer, r.box, boxCIDR, 8) }},
	{"count-udp-64-out", fmt.Sprintf("UDP in frames of 64 octets from box to peer, in %d flows: a datagram a call, "+
		"%d are sent and then received", countFlows, frameBatch), "frames/s",
		func(ctx context.Context, r *rig) (float64, error) {
			return udpRate(ctx, r.box, r.peer, peerCIDR, framePayload)
		}},
	{"count-udp-64-in", "the same from peer to box", "frames/s",
		func(ctx context.Context, r *rig) (float64, error) {
			return udpRate(ctx, r.peer, r.box, boxCIDR, framePayload)
		}},
	{"count-udp-1400-out", "the same from box to peer, with 1400 octets of data", "frames/s",
		func(ctx context.Context, r *rig) (float64, error) { return udpRate(ctx, r.box, r.peer, peerCIDR, 1400) }},
	{"count-udp-1400-in", "the same from peer to box", "frames/s",
		func(ctx context.Context, r *rig) (float64, error) { return udpRate(ctx, r.peer, r.box, boxCIDR, 1400) }},
	{"count-rtt", "ICMP echo from box, the next as soon as the last is answered: median round trip", "µs",
		func(ctx context.Context, r *rig) (float64, error) {
			median, err := rttMedian(ctx, r.box, peerAddr)
			return microseconds(median), err
		}},
}

// count measures all subjects.
func (b *bench) count(ctx context.Context) {
	rows := map[string]*measure{}
	for _, c := range countRows {
		rows[c.name] = b.measure(c.name, c.what, c.unit)
	}
	rows[countProcess] = b.measure(countProcess, "CPU time of the team's process while the rows before are taken", "%")
	all := b.subjects()
	wanted := map[peerKind]bool{}
	for _, s := range all {
		wanted[s.peer] = wanted[s.peer] || b.subject.MatchString(s.name)
	}
	for _, s := range all {
		base := s.peer.baseline()
		if !wanted[s.peer] || s.name != base && !b.subject.MatchString(s.name) {
			continue
		}
		if ctx.Err() != nil {
			return
		}
		for name, m := range rows {
			m.add(s.name)
			if s.name != base && name != countProcess {
				m.compare(s.name, base)
			}
		}
		b.countSubject(ctx, s, rows)
	}
}

// countSubject sets a subject up, measures it and removes it, so that it does not cost the next one anything.
func (b *bench) countSubject(ctx context.Context, s subject, rows map[string]*measure) {
	err := b.takeSubject(ctx, s, rows)
	if err == nil {
		return
	}
	b.logf("%s: %v", s.name, err)
	for _, m := range rows {
		if r := m.row(s.name); len(r.Samples) == 0 {
			r.Missing = err.Error()
		}
	}
}

func (b *bench) takeSubject(ctx context.Context, s subject, rows map[string]*measure) error {
	r, err := b.withPeer(s.peer)
	if err != nil {
		return err
	}
	defer b.close(r)
	if err := s.make(ctx, r); err != nil {
		return err
	}
	if err := pause(ctx, settleCount); err != nil {
		return err
	}
	process, err := r.watchProcess(ctx)
	if err != nil {
		return err
	}
	figures := make([]float64, len(countRows))
	for i, c := range countRows {
		if !b.wants(c.name) {
			continue
		}
		if figures[i], err = c.take(ctx, r); err != nil {
			return err
		}
		b.logf("%s %s %s %s", s.name, c.name, number(figures[i]), c.unit)
	}
	percent, err := process()
	if err != nil {
		return err
	}
	// Asked for at the end only: an answer costs the process more than a measure.
	if err := r.checkDatapath(ctx); err != nil {
		return err
	}
	for i, c := range countRows {
		if b.wants(c.name) {
			rows[c.name].row(s.name).set(0, figures[i])
		}
	}
	if r.client == nil {
		rows[countProcess].row(s.name).Missing = "there is no process"
	} else {
		rows[countProcess].row(s.name).set(0, percent)
		b.logf("%s %s %s %%", s.name, countProcess, number(percent))
	}
	return nil
}

// watchProcess returns a function that returns the CPU time of the team's process since, in percent.
func (r *rig) watchProcess(ctx context.Context) (func() (float64, error), error) {
	if r.client == nil {
		return func() (float64, error) { return 0, nil }, nil
	}
	st, err := r.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	ran, err := cpuTime(st.PID)
	began := time.Now()
	return func() (float64, error) {
		took := time.Since(began)
		until, err := cpuTime(st.PID)
		return 100 * (until - ran).Seconds() / took.Seconds(), err
	}, err
}
