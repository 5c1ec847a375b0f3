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

// ageingReporter tells the control loop of stations of Plan.Ageing that send. Programs note in the table of stations when each last
// sent, which nobody need look at more often than every ageingEvery.
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
	since   uint64 // of CLOCK_MONOTONIC: when it was first asked about
}

const ageingInterval = time.Second

// report looks once for each station that is asked about.
func (a *ageingReporter) report(pl *spread.Plan) {
	if pl != a.plan {
		a.follow(pl)
	}
	if len(a.asked) == 0 || time.Since(a.lastReport) < ageingInterval {
		return
	}
	a.lastReport = time.Now()
	a.asked = slices.DeleteFunc(a.asked, func(x ageingStation) bool {
		return a.kernel.stations.sent(x.station) >= x.since && a.path.relay.Report(team.Control{Kind: team.ControlBehind, Member: -1, Station: x.station})
	})
}

// follow takes over what another Plan asks about. What was told of already is told of again if it still asks: the
// control loop has not heard.
func (a *ageingReporter) follow(pl *spread.Plan) {
	now := uint64(relay.Monotonic())
	old := a.asked
	a.plan, a.asked = pl, make([]ageingStation, 0, len(pl.Ageing))
	for _, s := range pl.Ageing {
		x := ageingStation{station: s, since: now}
		// Both are sorted.
		if i, known := slices.BinarySearchFunc(old, s, func(o ageingStation, s frame.Station) int { return cmp.Compare(o.station, s) }); known {
			x.since = old[i].since
		}
		a.asked = append(a.asked, x)
	}
}
