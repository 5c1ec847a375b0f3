package daemon

import (
	"context"
	"reflect"
	"time"

	"nicteam/internal/host"
	"nicteam/modes/spread"
)

const (
	// rxModePollInterval is how often the adapter's multicast list and flags are read, besides after each event: no kernel tells of
	// all that changes them …
	rxModePollInterval = time.Second
	// … and those before 6.14 do not tell of groups that programs join.
	rxModePollOldKernel = 200 * time.Millisecond
	// rxModeMinGap is the least time between two readings, however often groups are joined and left …
	rxModeMinGap = 10 * time.Millisecond
	// … and so much more a group, of which thousands must not cost a processor.
	rxModeGapPerGroup = 50 * time.Microsecond
)

// followRxMode tells the team what the adapter's stack wants to receive, until ctx ends.
func (s *session) followRxMode(ctx context.Context) {
	news := s.follower.News(host.AdapterLink | host.MemberLink | host.OtherLink | host.AdapterHas | host.OtherHas | host.BehindHas | host.AdapterGroups)
	changed, every := news.C(), rxModePollInterval
	if !host.TellsOfGroups() {
		every = rxModePollOldKernel
	}
	var told spread.RxMode
	for {
		rx, err := s.host.RxMode(s.adapter.Index())
		switch {
		case err != nil:
			s.log.Debug("adapter's multicast list not read", "err", err) // it may be gone: others tell of that
		case !reflect.DeepEqual(rx, told) && s.team.SetRxMode(ctx, rx) == nil:
			told = rx
		}
		select {
		case <-time.After(rxModeMinGap + time.Duration(len(rx.Groups))*rxModeGapPerGroup):
		case <-ctx.Done():
			return
		}
		select {
		case <-changed:
		case <-time.After(every):
		case <-ctx.Done():
			return
		}
	}
}
