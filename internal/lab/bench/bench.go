// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"
)

// group are measures that share hosts. It reports measures that it cannot take by absent.
type group struct {
	measures []string
	run      func(*bench, context.Context)
}

// groups in the order in which they run.
var groups = []group{
	{[]string{"tcp-1-out", "tcp-8-out", "tcp-1-in", "udp-64", "ping-flood", "cpu-loaded", "rss-loaded"},
		(*bench).speed},
	{[]string{"ping-loaded", "ping-loaded-p99"}, (*bench).latency},
	{[]string{"xor", "round-robin"}, (*bench).sum},
	{[]string{"create"}, (*bench).create},
	{[]string{"idle-cpu", "rss-idle"}, (*bench).idle},
	{[]string{"failover-out", "failover-in", "fastpath-failover-out", "fastpath-failover-out-late",
		"fastpath-failover-in", "fastpath-failover-in-late"}, (*bench).failover},
	{[]string{"second-loss"}, (*bench).secondLoss},
	{[]string{"dead-of-six"}, (*bench).shares},
	{[]string{"elb-tcp-8-out", "elb-tcp-8-out-cpu", "elb-tcp-1-in", "elb-tcp-1-in-cpu", "elb-udp-64", "elb-udp-64-cpu"},
		(*bench).elbSpeed},
	{[]string{"elb-8-flows", "elb-8-even", "elb-mixed"}, (*bench).elbFlows},
	{[]string{"elb-lost", "elb-duplicated", "elb-reordered", "elb-forced"}, (*bench).elbOrder},
	{[]string{"elb-in", "elb-in-ipv6"}, (*bench).elbReceive},
	{[]string{"elb-repair", "elb-repair-absent"}, (*bench).elbRepair},
	{[]string{"elb-failover-in", "fastpath-elb-failover-in"}, (*bench).elbFailover},
	{[]string{"lacp-agreed"}, (*bench).negotiation},
	{[]string{"lacp-silence"}, (*bench).silence},
	{[]string{"lacp-change-over"}, (*bench).changeOver},
	{[]string{"lacp-pdu-gap", "lacp-pdu-gap-p99"}, (*bench).onTime},
	{[]string{"lacp-32-flows"}, (*bench).lacpFlows},
	{[]string{"lacp-flaps"}, (*bench).flaps},
	{[]string{"fastpath-cost-udp-out", "fastpath-cost-udp-in", "fastpath-cost-tcp-out", "fastpath-cost-tcp-in"},
		(*bench).costs},
	{[]string{"fastpath-change-lost", "fastpath-change-duplicated", "fastpath-change-reordered", "fastpath-change-gap"},
		(*bench).changeDatapath},
	{[]string{"watch-elb", "watch-active-backup", "watch-xor", "watch-round-robin"}, (*bench).silenced},
	{[]string{"watch-idle"}, (*bench).silencedIdle},
	{[]string{"watch-connects"}, (*bench).connectsAfter},
	{[]string{"watch-cpu", "watch-arp"}, (*bench).watchCosts},
	{[]string{"watch-false-downs"}, (*bench).falseDowns},
	{scaleMeasures, (*bench).scale},
	{[]string{"scale-frame", "scale-flows", "scale-flows-elb"}, (*bench).scaleFrames},
}

type bench struct {
	options
	report   *report
	flowRigs []*rig // of flowsOver, until endFlows
}

// alsoFast are measures that include the fast path.
var alsoFast = []string{
	"tcp-1-out", "tcp-8-out", "tcp-1-in", "udp-64", "ping-flood", "cpu-loaded", "rss-loaded", "ping-loaded",
	"ping-loaded-p99", "xor", "round-robin",
	"create", "idle-cpu", "rss-idle", "dead-of-six", "elb-8-flows", "elb-8-even", "elb-mixed", "elb-lost",
	"elb-duplicated", "elb-reordered", "elb-forced",
	"elb-in", "elb-in-ipv6", "lacp-change-over", "lacp-pdu-gap", "lacp-pdu-gap-p99", "lacp-32-flows", "lacp-flaps",
	"watch-elb", "watch-active-backup", "watch-xor", "watch-round-robin", "watch-idle", "watch-connects", "watch-cpu",
	"watch-arp", "watch-false-downs",
}

// wants reports whether a measure was asked for, by its name or, as "fastpath", by a contestant.
func (b *bench) wants(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool {
		return b.only.MatchString(n) || !b.counting && slices.Contains(alsoFast, n) && b.only.MatchString(fast)
	})
}

func (b *bench) all(ctx context.Context) {
	if b.counting {
		countGroup.run(b, ctx)
		return
	}
	b.report.BusyBefore = b.otherLoad(ctx)
	for _, g := range groups {
		if !b.wants(g.measures...) || ctx.Err() != nil {
			continue
		}
		g.run(b, ctx)
	}
	b.report.BusyAfter = b.otherLoad(ctx)
}

// otherLoad measures the machine's other load before the bench starts: it disturbs all figures, most of all short gaps.
func (b *bench) otherLoad(ctx context.Context) figure {
	percent, err := busy(ctx, time.Second)
	if err != nil {
		return figure(math.NaN())
	}
	if percent > 5 {
		b.warn("other programs take %.0f %% of the CPUs: figures are disturbed, gaps and small ratios most of all",
			percent)
	}
	return figure(percent)
}

// measure adds a measure.
func (b *bench) measure(name, what, unit string) *measure {
	m := &measure{Name: name, What: what, Unit: unit}
	if b.wants(name) {
		b.report.Measures = append(b.report.Measures, m)
	}
	return m
}

func (b *bench) logf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(b.report.Time).Seconds(), fmt.Sprintf(format, args...))
}

// contestant is one of the systems that are compared.
type contestant struct {
	name string
	// take returns a figure for each of the measures.
	take func(context.Context) ([]float64, error)
	// missing: why there is no such contestant.
	missing error
}

// interleave measures the contestants in turns, in rounds of rotating order. A turn gives all the measures.
func (b *bench) interleave(ctx context.Context, rounds int, contestants []contestant, measures ...*measure) {
	if !slices.ContainsFunc(measures, func(m *measure) bool { return b.wants(m.Name) }) {
		return
	}
	// The measures may have rows of other contestants already.
	rows := make([][]*row, len(measures))
	for n, m := range measures {
		for _, c := range contestants {
			row := m.add(c.name)
			rows[n] = append(rows[n], row)
			if c.missing != nil {
				row.Missing = c.missing.Error()
			}
		}
	}
	for round := range rounds {
		if ctx.Err() != nil {
			break
		}
		var line strings.Builder
		for i := range contestants {
			at := (round + i) % len(contestants)
			c := contestants[at]
			// Two turns without a figure end the contestant.
			if ctx.Err() != nil || rows[0][at].Missing != "" {
				continue
			}
			figures, err := c.take(ctx)
			if ctx.Err() != nil {
				break // the turn was cut short
			}
			for n := range measures {
				if err != nil {
					rows[n][at].fail(round, err)
				} else {
					rows[n][at].set(round, figures[n])
				}
			}
			if err != nil {
				fmt.Fprintf(&line, "  %s: %v", c.name, err)
				continue
			}
			fmt.Fprintf(&line, "  %s", c.name)
			for _, f := range figures {
				fmt.Fprintf(&line, " %s", number(f))
			}
		}
		b.logf("%s %d/%d %s%s", measures[0].Name, round+1, rounds, measures[0].Unit, line.String())
	}
}

// repeat takes a figure of one contestant several times.
func (b *bench) repeat(ctx context.Context, n int, name string, m *measure,
	take func(ctx context.Context, i int) (float64, error)) {
	i := 0
	b.interleave(ctx, n, []contestant{{name: name, take: func(ctx context.Context) ([]float64, error) {
		f, err := take(ctx, i)
		i++
		return []float64{f}, err
	}}}, m)
}

// absent records why requested measures have no figures.
func (b *bench) absent(err error, measures ...*measure) {
	for _, m := range measures {
		m.Absent = err.Error()
		b.logf("%s: not taken: %v", m.Name, err)
	}
}

func (b *bench) warn(format string, args ...any) {
	b.report.Warnings = append(b.report.Warnings, fmt.Sprintf(format, args...))
	b.logf("warning: "+format, args...)
}

// close ends a rig.
func (b *bench) close(r *rig) {
	if err := r.Close(); err != nil {
		b.warn("close: %v", err)
	}
}

// few returns how often a measure without turns is repeated.
func (b *bench) few(n int) int {
	if b.quick {
		return max(2, n/5)
	}
	return n
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

func number(f float64) string {
	switch a := math.Abs(f); {
	case math.IsNaN(f):
		return "–"
	case a >= 1000:
		return fmt.Sprintf("%.0f", f)
	case a >= 100:
		return fmt.Sprintf("%.1f", f)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", f)
	default:
		return fmt.Sprintf("%.3f", f)
	}
}
