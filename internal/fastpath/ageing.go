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

// ageing tells the control loop of stations of Plan.Ageing that send. Programs note in the table of stations when each last
// sent, which nobody need look at more often than every ageingEvery.
type ageing struct {
	path   *Path
	kernel *kernel

	at   time.Time
	plan *spread.Plan
	asks []asked
}

// asked is a station that the control loop asks about.
type asked struct {
	station frame.Station
	since   uint64 // of CLOCK_MONOTONIC: when it was first asked about
}

const ageingEvery = time.Second

// look looks once for each station that is asked about.
func (a *ageing) look(pl *spread.Plan) {
	if pl != a.plan {
		a.follow(pl)
	}
	if len(a.asks) == 0 || time.Since(a.at) < ageingEvery {
		return
	}
	a.at = time.Now()
	a.asks = slices.DeleteFunc(a.asks, func(x asked) bool {
		return a.kernel.stations.sent(x.station) >= x.since && a.path.relay.Report(team.Control{Kind: team.ControlBehind, Member: -1, Station: x.station})
	})
}

// follow takes over what another Plan asks about. What was told of already is told of again if it still asks: the
// control loop has not heard.
func (a *ageing) follow(pl *spread.Plan) {
	now := uint64(relay.Monotonic())
	old := a.asks
	a.plan, a.asks = pl, make([]asked, 0, len(pl.Ageing))
	for _, s := range pl.Ageing {
		x := asked{station: s, since: now}
		// Both are sorted.
		if i, known := slices.BinarySearchFunc(old, s, func(o asked, s frame.Station) int { return cmp.Compare(o.station, s) }); known {
			x.since = old[i].since
		}
		a.asks = append(a.asks, x)
	}
}
