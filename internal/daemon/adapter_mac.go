// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"time"

	"nicteam/internal/host"
)

const (
	udevWindow     = 30 * time.Second // after the adapter was made, a change of its MAC may be udev's
	maxMACRestores = 3                // whoever changes it more often is not udev
)

// followAdapterMAC follows changes of the adapter's MAC, until ctx ends. It undoes a change that may be udev's
// (MACAddressPolicy in systemd.link(5)).
func (s *session) followAdapterMAC(ctx context.Context) {
	index, mac, left := s.adapter.Index(), s.adapter.MAC(), maxMACRestores
	if s.adapter.MACSettled() {
		left = 0
	}
	made := time.Now()
	for changed := s.follower.Subscribe(host.AdapterLink).C(); ; {
		adapter, err := s.host.ReadLink(index)
		for err == nil && adapter.MAC != mac && left > 0 && time.Since(made) < udevWindow {
			left--
			if err := s.host.RestoreMAC(index, mac, adapter.MAC); err != nil {
				s.log.Warn("adapter's MAC not restored", "mac", mac, "is", adapter.MAC, "err", err)
			} else {
				s.team.Record("adapter-mac-restored", "", "somebody, as udev does, set "+adapter.MAC.String())
			}
			adapter, err = s.host.ReadLink(index)
		}
		if err == nil && adapter.MAC != mac {
			mac = adapter.MAC
			_ = s.team.AdapterMAC(ctx, mac)
		}
		select {
		case <-changed:
		case <-ctx.Done(): // the channel is never closed
			return
		}
	}
}
