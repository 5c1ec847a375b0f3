package daemon

import (
	"crypto/rand"
	"errors"
	"slices"

	"nicteam/internal/frame"
	"nicteam/internal/host"
	"nicteam/internal/settings"
	"nicteam/internal/tap"
)

// macDonor is the member whose MAC the adapter gets by --mac keep, and whose settings it gets: the one with the default
// route, or the first.
func (s *session) macDonor(c settings.Config, members []host.NIC) host.NIC {
	owner := s.host.DefaultOwner(c.MemberNames())
	if i := slices.IndexFunc(members, func(m host.NIC) bool { return m.Name == owner }); i >= 0 {
		return members[i]
	}
	return members[0]
}

// adapterMAC chooses the adapter's address.
func adapterMAC(c settings.Config, lender host.NIC) frame.MAC {
	switch c.MACPolicy {
	case settings.MACGiven:
		return c.MAC
	case settings.MACNew:
		var b [6]byte
		_, _ = rand.Read(b[:]) // never fails
		b[0] = b[0]&^1 | 2     // unicast, locally administered
		return frame.MACAt(b[:], 0)
	}
	return lender.MAC
}

// adapterMTU is what adapter and members are to have. The adapter of a process before this keeps its own, which somebody
// may have changed by hand, but not one that no member followed while nobody looked.
func (s *session) adapterMTU(c settings.Config, members []host.NIC, again bool) int {
	if again {
		if a, err := s.host.NIC(c.Team); err == nil {
			followed := c.MTU
			for _, m := range members {
				followed = max(followed, m.MTU)
			}
			return min(a.MTU, followed)
		}
	}
	if c.MTU != 0 {
		return c.MTU
	}
	return host.AutoMTU(members)
}

// openAdapter makes the adapter, or takes up the one that a process before this left: then its MAC
// stays, whatever was chosen now. made is false for one that was there.
func (s *session) openAdapter(c settings.Config, mac frame.MAC, mtu int, again bool) (made bool, err error) {
	s.adapterName, s.adapterUp = c.Team, true
	if again {
		if name := s.host.AdapterName(); name != "" {
			s.adapterName = name // which somebody may have given it
		}
		s.adapter, err = tap.Open(tap.Options{Name: s.adapterName, MTU: mtu})
		if err == nil || !errors.Is(err, tap.ErrNotFound) {
			return false, err
		}
	}
	s.adapterName = c.Team
	s.adapter, err = tap.Create(tap.Options{Name: c.Team, MTU: mtu, MAC: mac})
	return err == nil, err
}
