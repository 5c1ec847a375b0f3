// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab"
)

const (
	team3, team4  = "relay of 3", "relay of 4"
	fast3, fast4  = "fastpath of 3", "fastpath of 4"
	fourPlain     = "4 × plain"
	alone         = "alone"
	elbRate       = 200_000_000
	evenUntil     = 3 * time.Second // by then elb has placed its flows
	portsOfRounds = 200             // so that no round has the ports of another
)

// elbTeam returns the arguments for an elb team of eth1 … ethN.
func elbTeam(n int) []string {
	args := []string{"--mode", "elb"}
	for i := range n {
		args = append(args, fmt.Sprintf("eth%d", i+1))
	}
	return args
}

// ports returns the first port of a round: flows collide by chance, so each round has other ports.
func (l loadOf) ports(round int) int { return firstPort + portsOfRounds*round }

// loadOf is TCP flows from box to peer that are measured once the team has placed them.
type loadOf struct {
	r     *rig
	flows int
}

// measure returns Mbit/s from after on, and the load of the busiest member relative to the mean.
func (l loadOf) measure(ctx context.Context, round int, after, d time.Duration) (mbit, busiest float64, err error) {
	load := lab.Load{From: l.r.box, To: l.r.peer, Address: peerAddr, Flows: l.flows, FirstPort: l.ports(round),
		PortStep: portStep}
	running, err := load.Start(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer running.Stop()
	if err := pause(ctx, after); err != nil {
		return 0, 0, err
	}
	before, err := l.sent(ctx)
	if err != nil {
		return 0, 0, err
	}
	start := running.Rate()
	if err := pause(ctx, d); err != nil {
		return 0, 0, err
	}
	got := running.Rate().Less(start)
	since, err := l.sent(ctx)
	if err != nil {
		return 0, 0, err
	}
	if got.Bytes == 0 {
		return 0, 0, errors.New("nothing arrived")
	}
	most, sum := 0.0, 0.0
	for i := range since {
		n := since[i] - before[i]
		most, sum = max(most, n), sum+n
	}
	if sum > 0 {
		busiest = most / (sum / float64(len(since)))
	}
	return got.BitsPerSecond() / 1e6, busiest, nil
}

// sent returns the bytes of each member so far, nil without a team.
func (l loadOf) sent(ctx context.Context) (bytes []float64, err error) {
	if l.r.client == nil {
		return nil, nil
	}
	st, err := l.r.client.Status(ctx)
	if err != nil {
		return nil, err
	}
	for _, m := range st.Members {
		bytes = append(bytes, float64(m.TX.Bytes))
	}
	return bytes, nil
}

// elbFlows compares the throughput of an elb team over shaped NICs with that of such NICs alone. elb must find their
// rates: a veth reports 10 Gbit/s.
func (b *bench) elbFlows(ctx context.Context) {
	sum := b.measure("elb-8-flows",
		"elb, TCP from consecutive even ports over NICs of 200 Mbit/s that say 10 Gbit/s: 8 flows over a "+
			"team of 4 from the third second on, against four times 2 flows over one plain NIC", "Mbit/s").
		compare(team4, fourPlain).compare(fast4, fourPlain)
	even := b.measure("elb-8-even", "the same: what the busiest member carries, of the mean", "")
	if b.wants(sum.Name, even.Name) {
		round := map[string]int{}
		contestants, done := b.setUp(ctx, []setup{
			{name: fourPlain, network: network{nics: 1, rates: []uint64{elbRate}}},
			{name: team4, network: network{nics: 4, rates: []uint64{elbRate}}, path: relay, args: elbTeam(4)},
			{name: fast4, network: network{nics: 4, rates: []uint64{elbRate}}, path: fast, args: elbTeam(4)},
		}, func(ctx context.Context, r *rig, name string) ([]float64, error) {
			n := round[name]
			round[name]++
			if name == fourPlain {
				mbit, _, err := loadOf{r, 2}.measure(ctx, n, b.turn/4, b.turn)
				return []float64{4 * mbit, 1}, err
			}
			mbit, busiest, err := loadOf{r, 8}.measure(ctx, n, evenUntil, b.turn)
			if err == nil {
				sum.Notes = lastOf(name, sum.Notes, r.rates(ctx))
			}
			return []float64{mbit, busiest}, err
		})
		b.interleave(ctx, b.rounds, contestants, sum, even)
		done()
	}

	mixed := b.measure("elb-mixed", "the same over a NIC of 100 and one of 500 Mbit/s: 12 flows over a team of both, "+
		"against the sum of what each carries alone with 2 and 10 of them", "Mbit/s").
		compare(team2, alone).compare(fast2, alone)
	if !b.wants(mixed.Name) {
		return
	}
	small, err := b.switched("shaped", network{nics: 1, rates: []uint64{100_000_000}})
	if err == nil {
		defer b.close(small)
		err = small.plain(ctx)
	}
	if err != nil {
		b.absent(err, mixed)
		return
	}
	round := map[string]int{}
	contestants, done := b.setUp(ctx, []setup{
		{name: alone, network: network{nics: 1, rates: []uint64{500_000_000}}},
		{name: team2, network: network{nics: 2, rates: []uint64{100_000_000, 500_000_000}}, path: relay,
			args: elbTeam(2)},
		{name: fast2, network: network{nics: 2, rates: []uint64{100_000_000, 500_000_000}}, path: fast,
			args: elbTeam(2)},
	}, func(ctx context.Context, r *rig, name string) ([]float64, error) {
		n := round[name]
		round[name]++
		if name == alone {
			one, _, err := loadOf{small, 2}.measure(ctx, n, b.turn/4, b.turn)
			if err != nil {
				return nil, err
			}
			other, _, err := loadOf{r, 10}.measure(ctx, n, b.turn/4, b.turn)
			return []float64{one + other}, err
		}
		mbit, _, err := loadOf{r, 12}.measure(ctx, n, evenUntil, b.turn)
		if err == nil {
			mixed.Notes = lastOf(name, mixed.Notes, r.rates(ctx))
		}
		return []float64{mbit}, err
	})
	defer done()
	b.interleave(ctx, b.rounds, contestants, mixed)
}

// lastOf adds a contestant's note to those of others and replaces its earlier one.
func lastOf(name string, notes []string, note string) []string {
	notes = slices.DeleteFunc(notes, func(n string) bool { return strings.HasPrefix(n, name+": ") })
	return append(notes, name+": "+note)
}

// rates formats the rates that the team has measured for its members.
func (r *rig) rates(ctx context.Context) string {
	st, err := r.client.Status(ctx)
	if err != nil {
		return err.Error()
	}
	var out []string
	for _, m := range st.Members {
		out = append(out, fmt.Sprintf("%s %.0f Mbit/s (%s)", m.Name, float64(m.RateBps)/1e6, m.RateSource))
	}
	return fmt.Sprintf("rates after the last turn: %s; moves forced so far: %d", strings.Join(out, ", "), forced(st))
}

// forced returns how many flows moved without a pause.
func forced(st *api.Status) uint64 {
	if st.FlowMoves == nil {
		return 0
	}
	return st.FlowMoves.Forced
}

// The changing load: so many streams, each of so many flows, with rates and sizes in turn.
const (
	orderFlows = 16
	orderTime  = 60 * time.Second
	orderStep  = 3 * time.Second
)

var (
	orderRates = []int{2000, 4000, 6000, 8000} // frames a second
	orderSizes = []int{64, 300, 700, 1400}     // octets
)

// elbOrder sends many flows over an elb team, and over a plain NIC, and counts lost, duplicated and reordered frames.
func (b *bench) elbOrder(ctx context.Context) {
	d := orderTime
	if b.quick {
		d = 2 * orderStep
	}
	what := fmt.Sprintf("elb, 64 UDP flows, 20000 frames/s in all for %v over 3 NICs of 200 Mbit/s, every "+
		"%v other rates and sizes: frames", d, orderStep)
	lost := b.measure("elb-lost", what+" lost", "frames")
	twice := b.measure("elb-duplicated", what+" that came twice", "frames")
	late := b.measure("elb-reordered", what+" that came after a later one of their flow, of a million", "10⁻⁶")
	moves := b.measure("elb-forced", "the same: flows moved though they did not pause", "flows")
	if !b.wants(lost.Name, twice.Name, late.Name, moves.Name) {
		return
	}
	contestants, done := b.setUp(ctx, []setup{
		{name: plain, network: network{nics: 1, rates: []uint64{3 * elbRate}}},
		{name: team3, network: network{nics: 3, rates: []uint64{elbRate}}, path: relay, args: elbTeam(3)},
		{name: fast3, network: network{nics: 3, rates: []uint64{elbRate}}, path: fast, args: elbTeam(3)},
	}, func(ctx context.Context, r *rig, name string) ([]float64, error) {
		total, err := r.order(ctx, d)
		if err != nil {
			return nil, err
		}
		lost.Notes = append(lost.Notes, fmt.Sprintf("%s: %v", name, total))
		figures := []float64{float64(total.Lost), float64(total.Duplicated),
			1e6 * float64(total.Reordered) / float64(max(total.Received, 1)), 0}
		if r.client != nil {
			st, err := r.client.Status(ctx)
			if err != nil {
				return nil, err
			}
			figures[3] = float64(forced(st))
			for _, note := range append(drops(st), r.queues()) {
				lost.Notes = append(lost.Notes, name+": "+note)
			}
		}
		return figures, nil
	})
	defer done()
	b.interleave(ctx, 1, contestants, lost, twice, late, moves)
}

// drops formats the team's drop counters.
func drops(st *api.Status) (out []string) {
	for _, m := range st.Members {
		if m.TX.Drops > 0 || m.RX.Drops > 0 {
			out = append(out, fmt.Sprintf("%s: the team dropped %d out, %d in: %v", m.Name, m.TX.Drops, m.RX.Drops,
				m.DropReasons))
		}
	}
	return out
}

// queues formats the kernel's drops in box, before the team and behind it.
func (r *rig) queues() string {
	adapter, err := r.box.Handle().LinkByName(teamName)
	if err != nil {
		return err.Error()
	}
	var out strings.Builder
	out.WriteString(fmt.Sprintf("dropped by the adapter's queue, which waited for the team's process: %d; "+
		"by the qdiscs of NICs:", adapter.Attrs().Statistics.TxDropped))
	for i := range r.lines {
		name := fmt.Sprintf("eth%d", i+1)
		nic, err := r.box.Handle().LinkByName(name)
		if err != nil {
			return err.Error()
		}
		all, err := r.box.Handle().QdiscList(nic)
		if err != nil {
			return err.Error()
		}
		dropped := uint32(0)
		for _, q := range all {
			if s := q.Attrs().Statistics; s != nil && s.Queue != nil {
				dropped += s.Queue.Drops
			}
		}
		out.WriteString(fmt.Sprintf(" %s %d", name, dropped))
	}
	return out.String()
}

// order runs the changing load and returns the sum of all streams.
func (r *rig) order(ctx context.Context, d time.Duration) (total lab.Report, err error) {
	witness, err := lab.StartWitness()
	if err != nil {
		return total, err
	}
	defer witness.Close()
	start := time.Now()
	for step := range max(1, int(d/orderStep)) {
		var running []*lab.Running
		stop := func() error {
			var errs []error
			for _, s := range running {
				report, err := s.Stop()
				errs = append(errs, err)
				add(&total, report)
			}
			return errors.Join(errs...)
		}
		for i := range orderRates {
			s, err := lab.Stream{
				From: r.box, To: r.peer, Address: peerAddr, Flows: orderFlows, Witness: witness,
				Rate: orderRates[(i+step)%len(orderRates)], Size: orderSizes[(i+step/2)%len(orderSizes)],
				FirstPort: firstPort + i*portStep*orderFlows, PortStep: portStep,
			}.Start()
			if err != nil {
				return total, errors.Join(err, stop())
			}
			running = append(running, s)
		}
		err := pause(ctx, orderStep)
		if err := errors.Join(err, stop()); err != nil {
			return total, err
		}
	}
	total.Took, total.Standstill = time.Since(start), witness.Within(start, time.Now())
	return total, nil
}

func add(total *lab.Report, r lab.Report) {
	total.Sent += r.Sent
	total.Refused += r.Refused
	total.Received += r.Received
	total.Lost += r.Lost
	total.Duplicated += r.Duplicated
	total.Reordered += r.Reordered
	total.Corrupt += r.Corrupt
	if r.Gap.Net > total.Gap.Net {
		total.Gap = r.Gap
	}
	if r.FlowGap.Net > total.FlowGap.Net {
		total.FlowGap = r.FlowGap
	}
}
