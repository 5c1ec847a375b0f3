package daemon

import (
	"context"
	"time"

	"nicteam/internal/host"
)

const (
	// udevWindow is how long after it was made udev may give an adapter another MAC, where it could see it being made …
	udevWindow = 30 * time.Second
	// … and maxMACRestores how often that is undone: whoever insists is not udev.
	maxMACRestores = 3
)

// followAdapterMAC has the team's adapter MAC be the one that the adapter has, until ctx ends: somebody changes it by hand. A
// change that may be udev's is undone.
func (s *session) followAdapterMAC(ctx context.Context) {
	index, mac, left := s.adapter.Index(), s.adapter.MAC(), maxMACRestores
	if s.adapter.MACSettled() {
		left = 0
	}
	made := time.Now()
	for changed := s.follower.News(host.AdapterLink).C(); ; {
		adapter, err := s.host.Facts(index)
		for ; err == nil && adapter.MAC != mac && left > 0 && time.Since(made) < udevWindow; adapter, err = s.host.Facts(index) {
			left--
			if err := s.host.PutBackMAC(index, mac, adapter.MAC); err != nil {
				s.log.Warn("adapter's MAC not put back", "mac", mac, "is", adapter.MAC, "err", err)
				continue
			}
			s.team.Record("adapter-mac-restored", "",
				"the new device was given "+adapter.MAC.String()+" by somebody else, as udev does")
		}
		if err == nil && adapter.MAC != mac { // else it is as it was, or the adapter is gone
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

// lendsMAC reports whether the adapter has a member's MAC: then the member must not be on the LAN by itself.
func (s *session) lendsMAC(member string) bool {
	st := s.team.Status()
	for _, m := range st.Members {
		if m.Name == member {
			return m.MAC == st.Adapter.MAC
		}
	}
	return false
}
