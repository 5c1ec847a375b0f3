// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"time"

	"nicteam/modes/spread"
)

// adapterLink is the adapter's link as the host sees it.
type adapterLink struct {
	carrier bool
	speed   Speed
}

// carrierRetry is when a carrier that the kernel refused is tried again.
const carrierRetry = time.Second

// runAdapterLink sets the adapter's speed and carrier. It has its own goroutine because the kernel needs the RTNL lock
// for them, which others may hold for long. The speed is set first, since a bridge reads it when it sees the carrier. A
// refused speed waits for the next change: frames pass without it.
func (t *Team) runAdapterLink(ctx context.Context) {
	var again <-chan time.Time
	var is *adapterLink // as last set; nil: as a process before this one left it
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.adapter.wake:
		case <-again:
		}
		again = nil
		want := t.adapter.take()
		set := false
		t.o.Panics.Do(panicCarrier, func() { is, set = t.applyAdapterLink(is, want), true })
		if !set || is.carrier != want.carrier {
			again = time.After(carrierRetry)
		}
	}
}

// applyAdapterLink sets what differs, and returns what is set then.
func (t *Team) applyAdapterLink(is *adapterLink, want adapterLink) *adapterLink {
	if is == nil || want.speed != is.speed {
		if err := t.o.Adapter.SetSpeed(want.speed.Bps, want.speed.Duplex); err != nil {
			t.log.Debug("adapter's speed not set", "bps", want.speed.Bps, "err", err)
		}
	}
	carrier := is != nil && is.carrier
	inherited := is == nil && t.o.Checkpoint != nil // it is as the process before left it, not without
	if inherited || want.carrier != carrier {
		if err := t.o.Adapter.SetCarrier(want.carrier); err != nil {
			t.log.Warn("adapter's carrier not set", "up", want.carrier, "err", err)
			want.carrier = carrier
		}
	}
	t.carrierOn.Store(want.carrier)
	return &want
}

// Speed is the speed of the adapter for ethtool, SNMP and routing daemons that derive costs from it.
type Speed struct {
	Bps    uint64 // 0 unknown
	Duplex string // "full", "half" or "" unknown
}

// speed returns the adapter's speed, by the rule of bond_ethtool_get_link_ksettings (bond_main.c): the sum of the
// distributing members; in broadcast that of the slowest, since every frame waits for it. An unknown speed counts as 0.
// The duplex is that of the first member that knows it.
func (l *Loop) speed() (s Speed) {
	if l.plan == nil {
		return s
	}
	for _, m := range l.members {
		if !l.plan.Distributing.Has(m.id) {
			continue
		}
		link := m.linkState.Link
		switch {
		case l.plan.Rule != spread.RuleBroadcast:
			s.Bps += link.SpeedBps
		case link.SpeedBps > 0 && (s.Bps == 0 || link.SpeedBps < s.Bps):
			s.Bps = link.SpeedBps
		}
		if s.Duplex == "" {
			s.Duplex = link.Duplex
		}
	}
	return s
}
