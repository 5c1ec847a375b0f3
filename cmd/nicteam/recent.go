// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/units"
)

// recentSpan is the period of the rates in a status: long enough for a steady rate, short enough to be current.
const recentSpan = 5 * time.Second

// recentRates are the rates of the last seconds, in bit/s.
type recentRates struct {
	known   bool
	in, out float64
	members map[string][2]float64 // in, out
}

// recentRates computes them from the team's history; known is false while it has none.
func (a *app) recentRates(c *control.Client) recentRates {
	h, err := c.History(a.interruptible(), control.HistoryOptions{Last: recentSpan, Step: time.Second})
	if err != nil {
		return recentRates{}
	}
	return newRecentRates(h)
}

func newRecentRates(h *api.History) recentRates {
	var covered int64
	for _, ns := range h.Covered {
		covered += ns
	}
	if covered == 0 {
		return recentRates{}
	}
	rate := func(s api.SeriesColumns) (bps float64) {
		for i, b := range s.Bytes {
			if h.Covered[i] > 0 {
				bps += float64(b) * 8e9 / float64(covered)
			}
		}
		return bps
	}
	l := recentRates{known: true, in: rate(h.RX), out: rate(h.TX), members: map[string][2]float64{}}
	for _, m := range h.Members {
		l.members[m.Name] = [2]float64{rate(m.RX), rate(m.TX)}
	}
	return l
}

// cells returns a member's IN and OUT, and its SHARE of the team's traffic in both directions.
func (l recentRates) cells(name string) (in, out, share string) {
	if !l.known {
		return "-", "-", "-"
	}
	m := l.members[name]
	share = "-"
	if all := l.in + l.out; all > 0 {
		share = fmt.Sprintf("%.0f %%", 100*(m[0]+m[1])/all)
	}
	return units.Rate(m[0]), units.Rate(m[1]), share
}
