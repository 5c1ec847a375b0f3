package daemon

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// blindFilters are filters of others on the members. They do not see what comes by the team, whichever data path moves
// the frames. Those that were there when the process began, or when their NIC joined, were told of then; one that comes
// later is a warning as long as it is there: whoever has put it there means to keep something out.
type blindFilters struct {
	mu   sync.Mutex
	told []string // as host.BlindFilters names them
}

const (
	blindKey = "filters"
	// blindGap is the least time between two looks, whatever happens to filters, and blindShare how much longer than a look it is at least.
	blindGap   = 500 * time.Millisecond
	blindShare = 50
	// blindAge is how long what comes without an event may stay unnoticed: rules of the older iptables.
	blindAge = 30 * time.Second
	// tcxAge is the same for programs by tcx.
	tcxAge = 2 * time.Second
)

// knowFilters takes those of NICs for told.
func (s *session) knowFilters(nics []string) {
	found := s.host.BlindFilters(nics, s.team.Status().Adapter.Name)
	s.blind.mu.Lock()
	defer s.blind.mu.Unlock()
	s.blind.told = append(s.blind.told, found...)
}

// followFilters warns of filters that come while the team runs, until ctx ends.
func (s *session) followFilters(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // of the subscription, also when a panic has this begin anew
	changed := s.host.FilterChanges(ctx)
	s.knowFilters(s.presentMembers())
	tick := time.NewTicker(tcxAge)
	defer tick.Stop()
	for looked, revision := time.Now(), s.tcxRevision(); ; {
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-tick.C:
			if s.tcxRevision() == revision && time.Since(looked) < blindAge {
				continue
			}
		}
		begun := time.Now()
		revision = s.tcxRevision()
		_ = s.team.Warn(ctx, blindKey, s.blindWarning())
		looked = time.Now()
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(blindGap, blindShare*looked.Sub(begun))):
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

// blindWarning is what is to be said of filters that have come, "" for none.
func (s *session) blindWarning() string {
	found := s.host.BlindFilters(s.presentMembers(), s.team.Status().Adapter.Name)
	s.blind.mu.Lock()
	defer s.blind.mu.Unlock()
	// One that goes and comes again was not told of.
	s.blind.told = slices.DeleteFunc(s.blind.told, func(f string) bool { return !slices.Contains(found, f) })
	found = slices.DeleteFunc(found, func(f string) bool { return slices.Contains(s.blind.told, f) })
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
