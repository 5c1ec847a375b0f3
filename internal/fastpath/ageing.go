// SPDX-License-Identifier: MIT

package fastpath

import (
	"cmp"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

// ageingReporter reports to the control loop which stations of Plan.Ageing still send. Programs record when each
// station last sent; it reads that each ageingInterval.
type ageingReporter struct {
	path   *Path
	kernel *kernel

	lastReport time.Time
	plan       *spread.Plan
	asked      []ageingStation
}

// ageingStation is a station that the control loop asks about.
type ageingStation struct {
	station frame.Station
	since   uint64 // ns of CLOCK_MONOTONIC: when a Plan first had it
}

const ageingInterval = time.Second

// report reports each station that sent since it was asked about, once.
func (a *ageingReporter) report(pl *spread.Plan) {
	if pl != a.plan {
		a.follow(pl)
	}
	if len(a.asked) == 0 || time.Since(a.lastReport) < ageingInterval {
		return
	}
	a.lastReport = time.Now()
	a.asked = slices.DeleteFunc(a.asked, func(x ageingStation) bool {
		return a.kernel.stations.sent(x.station) >= x.since &&
			a.path.relay.Report(team.Control{Kind: team.ControlStation, Member: -1, Station: x.station})
	})
}

// follow takes the stations of another Plan. One that was reported already is reported again if the Plan still asks:
// the control loop did not get the report.
func (a *ageingReporter) follow(pl *spread.Plan) {
	now := uint64(relay.Monotonic())
	old := a.asked
	a.plan, a.asked = pl, make([]ageingStation, 0, len(pl.Ageing))
	for _, s := range pl.Ageing {
		x := ageingStation{station: s, since: now}
		// Both are sorted.
		compare := func(o ageingStation, s frame.Station) int { return cmp.Compare(o.station, s) }
		if i, known := slices.BinarySearchFunc(old, s, compare); known {
			x.since = old[i].since
		}
		a.asked = append(a.asked, x)
	}
}
