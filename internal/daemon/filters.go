package daemon

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// filterWarnings are filters of others on the members. They do not see what comes by the team, whichever data path moves
// the frames. Those that were there when the process began, or when their NIC joined, were told of then; one that comes
// later is a warning as long as it is there: whoever has put it there means to keep something out.
type filterWarnings struct {
	mu    sync.Mutex
	known []string // as host.BlindFilters names them
}

const (
	filtersKey = "filters"
	// filterScanGap is the least time between two looks, whatever happens to filters, and filterScanShare how much longer than a look it is at least.
	filterScanGap   = 500 * time.Millisecond
	filterScanShare = 50
	// filterScanMax is how long what comes without an event may stay unnoticed: rules of the older iptables.
	filterScanMax = 30 * time.Second
	// tcxPollInterval is the same for programs by tcx.
	tcxPollInterval = 2 * time.Second
)

// recordFilters takes those of NICs for told.
func (s *session) recordFilters(nics []string) {
	found := s.host.BlindFilters(nics, s.team.Status().Adapter.Name)
	s.filters.mu.Lock()
	defer s.filters.mu.Unlock()
	s.filters.known = append(s.filters.known, found...)
}

// followFilters warns of filters that come while the team runs, until ctx ends.
func (s *session) followFilters(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of the subscription, also when a panic has this begin anew
	changed := s.host.FilterChanges(ctx)
	s.recordFilters(s.presentMembers())
	tick := time.NewTicker(tcxPollInterval)
	defer tick.Stop()
	for looked, revision := time.Now(), s.tcxRevision(); ; {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
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

// tcxRevision changes when programs come to the members or go.
func (s *session) tcxRevision() uint64 {
	var indices []int
	for _, m := range s.team.Members() {
		indices = append(indices, m.Index)
	}
	return s.host.FilterRevision(indices)
}

// filterWarning is what is to be said of filters that have come, "" for none.
func (s *session) filterWarning() string {
	found := s.host.BlindFilters(s.presentMembers(), s.team.Status().Adapter.Name)
	s.filters.mu.Lock()
	defer s.filters.mu.Unlock()
	// One that goes and comes again was not told of.
	s.filters.known = slices.DeleteFunc(s.filters.known, func(f string) bool { return !slices.Contains(found, f) })
	found = slices.DeleteFunc(found, func(f string) bool { return slices.Contains(s.filters.known, f) })
	if len(found) == 0 {
		return ""
	}
	return "what is made for a NIC, filters too, does not see what comes by the team: " + strings.Join(found, "; ") + "; make it for " + s.team.Status().Adapter.Name
}

// presentMembers are the members whose NICs are there.
func (s *session) presentMembers() (names []string) {
	for _, m := range s.team.Members() {
		if m.State != "absent" {
			names = append(names, m.Name)
		}
	}
	return names
}
