// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"math"
)

// goal is a bound on one figure of a measure.
type goal struct {
	measure string
	of, to  string // a ratio, or with to empty the case of
	figure  kind
	least   bool // the bound is a minimum, otherwise a maximum
	bound   float64
	aim     float64 // a second bound that is only shown; 0: none
}

type kind uint8

const (
	theMedian kind = iota
	theHighest
	theLowest
)

const (
	plain, relay, ovs, ovsTSO = "plain", "relay", "ovs", "ovs+tso"
	team1, team2              = "relay", "relay of 2" // teams by their data path, of one NIC unless said
	fast, fast2               = "fastpath", "fastpath of 2"
	noCut                     = "no cut"
)

func ratioAtLeast(measure, of, to string, bound, aim float64) goal {
	return goal{measure: measure, of: of, to: to, least: true, bound: bound, aim: aim}
}

func ratioAtMost(measure, of, to string, bound float64) goal {
	return goal{measure: measure, of: of, to: to, bound: bound}
}

func atMost(measure, of string, k kind, bound float64) goal {
	return goal{measure: measure, of: of, figure: k, bound: bound}
}

// goals are those of the relay, of the fast path, of elb and of 802.3ad; figures in the unit of the measure.
var goals = []goal{
	ratioAtLeast("tcp-1-out", fast, plain, 0.97, 0),
	ratioAtLeast("tcp-8-out", fast, plain, 0.97, 0),
	ratioAtLeast("tcp-1-in", fast, plain, 0.97, 0),
	ratioAtLeast("tcp-1-out", fast, ovsTSO, 1.5, 0),
	ratioAtLeast("tcp-8-out", fast, ovsTSO, 1.5, 0),
	ratioAtLeast("tcp-1-in", fast, ovsTSO, 1.5, 0),
	ratioAtLeast("udp-64", fast, plain, 0.97, 0),
	ratioAtMost("ping-flood", fast, plain, 1.15),
	ratioAtMost("ping-loaded", fast, plain, 1.2),
	ratioAtMost("ping-loaded", fast2, plain, 1.2),
	ratioAtMost("ping-loaded-p99", fast, plain, 1.2),
	ratioAtMost("ping-loaded-p99", fast2, plain, 1.2),
	ratioAtLeast("xor", fast2, plain, 1.94, 0),
	ratioAtLeast("round-robin", fast2, plain, 1.8, 0),
	atMost("create", fast, theMedian, 300),
	atMost("idle-cpu", fast, theMedian, 0.5),
	atMost("cpu-loaded", fast, theMedian, 1),
	atMost("rss-loaded", fast, theHighest, 40),
	atMost("rss-idle", fast, theHighest, 40),
	atMost("fastpath-failover-out", fast, theMedian, 2),
	atMost("fastpath-failover-out-late", fast, theHighest, 1),
	atMost("fastpath-failover-in", fast, theMedian, 2),
	atMost("fastpath-failover-in-late", fast, theHighest, 1),
	{measure: "dead-of-six", of: "fastpath least", figure: theLowest, least: true, bound: 19},
	atMost("dead-of-six", "fastpath most", theHighest, 21),
	atMost("fastpath-change-lost", "out", theHighest, 20),
	atMost("fastpath-change-lost", "in", theHighest, 20),
	atMost("fastpath-change-duplicated", "out", theHighest, 0),
	atMost("fastpath-change-duplicated", "in", theHighest, 0),
	atMost("fastpath-change-reordered", "out", theHighest, 0),
	atMost("fastpath-change-reordered", "in", theHighest, 0),
	ratioAtLeast("elb-8-flows", fast4, fourPlain, 0.97, 0),
	atMost("elb-8-even", fast4, theMedian, 1.05),
	ratioAtLeast("elb-mixed", fast2, alone, 0.93, 0),
	atMost("elb-lost", fast3, theHighest, 0),
	atMost("elb-duplicated", fast3, theHighest, 0),
	atMost("elb-reordered", fast3, theHighest, 1),
	ratioAtLeast("elb-in", fast4, fourPlain, 0.9, 0),
	ratioAtLeast("elb-in-ipv6", fast4, fourPlain, 0.9, 0),
	atMost("fastpath-elb-failover-in", fast, theHighest, 5),
	ratioAtLeast("tcp-1-out", relay, plain, 0.65, 0.8),
	ratioAtLeast("tcp-8-out", relay, plain, 0.65, 0.8),
	ratioAtLeast("tcp-1-in", relay, plain, 0.65, 0.8),
	ratioAtLeast("tcp-1-out", relay, ovsTSO, 1.2, 0),
	ratioAtLeast("tcp-8-out", relay, ovsTSO, 1.2, 0),
	ratioAtLeast("tcp-1-in", relay, ovsTSO, 1.2, 0),
	ratioAtLeast("udp-64", relay, plain, 0.7, 0),
	ratioAtMost("ping-flood", relay, plain, 4),
	ratioAtMost("ping-loaded", team1, plain, 2),
	ratioAtMost("ping-loaded", team2, plain, 2),
	ratioAtMost("ping-loaded-p99", team1, plain, 2),
	ratioAtMost("ping-loaded-p99", team2, plain, 2),
	ratioAtLeast("xor", team2, plain, 1.9, 0),
	ratioAtLeast("round-robin", team2, plain, 1.8, 0),
	atMost("create", team1, theMedian, 300),
	atMost("idle-cpu", team1, theMedian, 0.5),
	atMost("rss-loaded", relay, theHighest, 40),
	atMost("rss-idle", team1, theHighest, 40),
	atMost("failover-out", team1, theMedian, 2),
	atMost("failover-out", team1, theHighest, 5),
	atMost("failover-in", team1, theMedian, 2),
	atMost("failover-in", team1, theHighest, 5),
	atMost("second-loss", team1, theHighest, 15),
	{measure: "dead-of-six", of: "relay least", figure: theLowest, least: true, bound: 19},
	atMost("dead-of-six", "relay most", theHighest, 21),
	ratioAtLeast("elb-tcp-8-out", elb, xorMode, 0.95, 0),
	ratioAtLeast("elb-tcp-1-in", elb, xorMode, 0.95, 0),
	ratioAtLeast("elb-udp-64", elb, xorMode, 0.95, 0),
	ratioAtLeast("elb-8-flows", team4, fourPlain, 0.95, 0),
	atMost("elb-8-even", team4, theMedian, 1.05),
	ratioAtLeast("elb-mixed", team2, alone, 0.93, 0),
	atMost("elb-lost", team3, theHighest, 0),
	atMost("elb-duplicated", team3, theHighest, 0),
	atMost("elb-reordered", team3, theHighest, 1),
	ratioAtLeast("elb-in", team4, fourPlain, 0.9, 0),
	ratioAtLeast("elb-in-ipv6", team4, fourPlain, 0.9, 0),
	atMost("elb-repair", team4, theHighest, 100),
	atMost("elb-repair-absent", team4, theHighest, 100),
	atMost("elb-failover-in", team1, theHighest, 5),
	atMost("lacp-agreed", byOVS, theHighest, 4000),
	atMost("lacp-agreed", byTwin, theHighest, 3200),
	atMost("lacp-silence", byOVS, theHighest, 3100),
	atMost("lacp-change-over", relay, theHighest, 50),
	atMost("lacp-change-over", fast, theHighest, 50),
	atMost("lacp-pdu-gap-p99", relay, theHighest, 1200),
	atMost("lacp-pdu-gap-p99", fast, theHighest, 1200),
	ratioAtLeast("lacp-32-flows", team4, fourPlain, 0.9, 0),
	ratioAtLeast("lacp-32-flows", fast4, fourPlain, 0.9, 0),
	atMost("lacp-flaps", relay, theHighest, 0),
	atMost("lacp-flaps", fast, theHighest, 0),
	atMost("watch-elb", "relay transmit", theHighest, 45),
	atMost("watch-elb", "relay receive", theHighest, 45),
	atMost("watch-elb", "fastpath transmit", theHighest, 45),
	atMost("watch-elb", "fastpath receive", theHighest, 45),
	atMost("watch-active-backup", "relay transmit", theHighest, 45),
	atMost("watch-active-backup", "relay receive", theHighest, 45),
	atMost("watch-active-backup", "fastpath transmit", theHighest, 45),
	atMost("watch-active-backup", "fastpath receive", theHighest, 45),
	atMost("watch-xor", "relay transmit", theHighest, 45),
	atMost("watch-xor", "relay receive", theHighest, 45),
	atMost("watch-xor", "fastpath transmit", theHighest, 45),
	atMost("watch-xor", "fastpath receive", theHighest, 45),
	atMost("watch-round-robin", "relay transmit", theHighest, 45),
	atMost("watch-round-robin", "relay receive", theHighest, 45),
	atMost("watch-round-robin", "fastpath transmit", theHighest, 45),
	atMost("watch-round-robin", "fastpath receive", theHighest, 45),
	atMost("watch-idle", relay, theHighest, 3500),
	atMost("watch-idle", fast, theHighest, 3500),
	atMost("watch-connects", relay, theHighest, 2),
	atMost("watch-connects", fast, theHighest, 2),
	atMost("watch-cpu", "relay difference", theMedian, 0.1),
	atMost("watch-cpu", "fastpath difference", theMedian, 0.1),
	atMost("watch-arp", "relay idle", theHighest, 1.05),
	atMost("watch-arp", "relay loaded", theHighest, 1.05),
	atMost("watch-arp", "fastpath idle", theHighest, 1.05),
	atMost("watch-arp", "fastpath loaded", theHighest, 1.05),
	atMost("scale-create", "64", theMedian, 1000),
	atMost("scale-rss", "64", theHighest, 60),
	atMost("scale-decided", "64", theMedian, 0.5),
	atMost("scale-delete", "64", theMedian, 1000),
	ratioAtMost("scale-frame", "64", "2", 1.1),
	ratioAtMost("scale-flows", "100000", "10", 1.2),
	ratioAtMost("scale-flows-elb", "100000", "10", 1.2),
	atMost("watch-false-downs", relay, theHighest, 0),
	atMost("watch-false-downs", fast, theHighest, 0),
}

// verdict is the result of a goal.
type verdict struct {
	Measure string `json:"measure"`
	Goal    string `json:"goal"`
	Got     figure `json:"got"`
	State   string `json:"state"` // met, missed, not taken
	Aim     string `json:"aim,omitempty"`
	Reason  string `json:"reason,omitempty"`
}

func (g goal) judge(m *measure) verdict {
	v := verdict{Measure: g.measure, Got: figure(math.NaN())}
	sign := map[bool]string{true: "≥", false: "≤"}[g.least]
	if g.to != "" {
		v.Goal = fmt.Sprintf("%s / %s %s %v", g.of, g.to, sign, g.bound)
		v.Got = figure(m.ratio(g.of, g.to))
	} else {
		what := map[kind]string{theMedian: "median", theHighest: "highest", theLowest: "lowest"}[g.figure]
		v.Goal = fmt.Sprintf("%s %s %s %v %s", g.of, what, sign, g.bound, m.Unit)
		if r := m.row(g.of); r != nil {
			v.Got = pick(r, g.figure)
		}
	}
	switch {
	case math.IsNaN(float64(v.Got)):
		v.State, v.Reason = "not taken", g.why(m)
	case g.holds(v.Got, g.bound):
		v.State = "met"
	default:
		v.State = "missed"
		// Inconclusive on a machine whose traffic has such gaps without a cut.
		if r := m.row(noCut); r != nil {
			if calm := pick(r, g.figure); !g.holds(calm, g.bound) {
				v.Reason = fmt.Sprintf("without a cut %s too", number(float64(calm)))
			}
		}
	}
	if g.aim != 0 && v.State != "not taken" {
		v.Aim = fmt.Sprintf("aim %v %s", g.aim, map[bool]string{true: "met", false: "missed"}[g.holds(v.Got, g.aim)])
	}
	return v
}

func (g goal) holds(f figure, bound float64) bool {
	if g.least {
		return float64(f) >= bound
	}
	return float64(f) <= bound
}

func pick(r *row, k kind) figure {
	switch k {
	case theHighest:
		return r.Highest
	case theLowest:
		return r.Lowest
	default:
		return r.Median
	}
}

// why returns why a figure is missing.
func (g goal) why(m *measure) string {
	if m.Absent != "" {
		return m.Absent
	}
	for _, name := range []string{g.of, g.to} {
		if r := m.row(name); name != "" && r != nil && r.Missing != "" {
			return name + ": " + r.Missing
		}
	}
	return "no figure of both sides in one round"
}
