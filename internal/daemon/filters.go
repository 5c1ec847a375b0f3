// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"nicteam/internal/tick"
)

// filterWarnings tracks filters that other programs have on members. They see no frame that passes by the team,
// whichever data path moves it. Filters found when the process started, or when their NIC joined, were reported then.
// One that comes later is a warning as long as it exists.
type filterWarnings struct {
	mu    sync.Mutex
	known []string // reported, as host.BypassedFilters names them
}

const (
	filtersKey = "filters"

	filterScanGap   = 500 * time.Millisecond // between two scans, whatever changes …
	filterScanShare = 50                     // … and so many times the duration of the last one
	filterScanMax   = 30 * time.Second       // without an event: changes by old iptables have none
	tcxPollInterval = 2 * time.Second        // programs on tcx have none either
)

// recordFilters takes the filters on NICs as known.
func (s *session) recordFilters(nics []string) {
	found := s.host.BypassedFilters(nics, s.team.Status().Adapter.Name)
	s.filters.mu.Lock()
	defer s.filters.mu.Unlock()
	s.filters.known = append(s.filters.known, found...)
}

// followFilters warns of filters that come while the team runs, until ctx ends.
func (s *session) followFilters(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the subscription also if this panics and is restarted
	changed := s.host.WatchFilters(ctx)
	s.recordFilters(s.presentMembers())
	look := time.NewTimer(tick.UntilBeat(tcxPollInterval))
	defer look.Stop()
	for looked, revision := time.Now(), s.tcxRevision(); ; {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-look.C:
			look.Reset(tick.UntilBeat(tcxPollInterval))
			if s.tcxRevision() == revision && time.Since(looked) < filterScanMax {
				continue
			}
		}
		begun := time.Now()
		revision = s.tcxRevision()
		_ = s.team.Warn(ctx, filtersKey, s.filterWarning())
		looked = time.Now()
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(filterScanGap, filterScanShare*looked.Sub(begun))):
		}
	}
}

// tcxRevision changes when tcx programs of members come or go.
func (s *session) tcxRevision() uint64 {
	var indices []int
	for _, m := range s.team.Members() {
		indices = append(indices, m.Index)
	}
	return s.host.FilterRevision(indices)
}

// filterWarning returns the warning about filters that have come, "" for none.
func (s *session) filterWarning() string {
	found := s.host.BypassedFilters(s.presentMembers(), s.team.Status().Adapter.Name)
	s.filters.mu.Lock()
	defer s.filters.mu.Unlock()
	// A filter that goes and comes again is reported again.
	s.filters.known = slices.DeleteFunc(s.filters.known, func(f string) bool { return !slices.Contains(found, f) })
	found = slices.DeleteFunc(found, func(f string) bool { return slices.Contains(s.filters.known, f) })
	if len(found) == 0 {
		return ""
	}
	return "filters on members do not see frames of the team: " + strings.Join(found, "; ") +
		"; add them to " + s.team.Status().Adapter.Name
}
