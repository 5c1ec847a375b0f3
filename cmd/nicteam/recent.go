// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/units"
)

// recentSpan is what a status calls now: long enough for a rate that does not jump, short enough to be true.
const recentSpan = 5 * time.Second

// recentRates are rates of a moment ago, in bit/s.
type recentRates struct {
	known   bool
	in, out float64
	members map[string][2]float64 // in, out
}

// recentRates reads the last seconds of a team's history; nothing is known of a team that has none yet.
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

// cells are a member's IN, OUT and SHARE of what the team moves in both directions.
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
