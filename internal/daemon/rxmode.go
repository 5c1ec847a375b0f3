// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"reflect"
	"time"

	"nicteam/internal/host"
	"nicteam/internal/tick"
	"nicteam/modes/spread"
)

const (
	rxModePollInterval  = time.Second            // besides events: no kernel reports every change …
	rxModePollOldKernel = 200 * time.Millisecond // … and kernels before 6.14 do not report groups that programs join
	rxModeMinGap        = 10 * time.Millisecond  // between two readings, however often groups are joined and left …
	rxModeGapPerGroup   = 50 * time.Microsecond  // … plus this: thousands of groups must not use up a processor
)

// followRxMode reports the adapter's multicast list and flags to the control loop, until ctx ends.
func (s *session) followRxMode(ctx context.Context) {
	news := s.follower.Subscribe(host.AdapterLink | host.MemberLink | host.OtherLink |
		host.AdapterConfig | host.OtherConfig | host.UpperConfig | host.AdapterGroups)
	changed, every := news.C(), rxModePollInterval
	if !host.ReportsGroupChanges() {
		every = rxModePollOldKernel
	}
	var reported spread.RxMode
	look := time.NewTimer(0)
	defer look.Stop()
	for {
		rx, err := s.host.RxMode(s.adapter.Index())
		switch {
		case err != nil:
			s.log.Debug("adapter's multicast list not read", "err", err)
		case !reflect.DeepEqual(rx, reported) && s.team.SetRxMode(ctx, rx) == nil:
			reported = rx
		}
		rested := time.Now().Add(rxModeMinGap + time.Duration(len(rx.Groups))*rxModeGapPerGroup)
		look.Reset(time.Until(rested.Add(tick.FromBeat(rested, every))))
		select {
		case <-changed:
			look.Reset(time.Until(rested))
			select {
			case <-look.C:
			case <-ctx.Done():
				return
			}
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}
