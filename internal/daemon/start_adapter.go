// SPDX-License-Identifier: MIT

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

// setUpAdapter makes the adapter, or opens the one that the process before this one left (made is false), records it in
// the journal and sets it up.
func (u *startup) setUpAdapter(nics []host.NIC, mtu int) (made bool, err error) {
	donor := u.macDonor(nics)
	if made, err = u.openAdapter(adapterMAC(u.config, donor), mtu); err != nil {
		return false, err
	}
	index := u.adapter.Index()
	if _, err := u.nics.Lock(index); err != nil {
		return false, err
	}
	u.rep.Step("adapter %s: MAC %v, MTU %d", u.config.Team, u.adapter.MAC(), mtu)
	if err := u.host.RecordAdapter(index); err != nil {
		return false, err
	}
	if u.follower, err = u.host.Follow(index); err != nil {
		return false, err
	}
	if made {
		notes, err := u.host.CopySettings(index, donor.Name, u.config.MemberNames())
		if err != nil {
			return false, err
		}
		for _, note := range notes {
			u.rep.Warn(note)
		}
	}
	return made, u.host.BringUp(index)
}

// macDonor is the member whose MAC (--mac keep) and settings the adapter gets: the one with the default route, or the
// first.
func (u *startup) macDonor(members []host.NIC) host.NIC {
	owner := u.host.DefaultRouteMember(u.config.MemberNames())
	if i := slices.IndexFunc(members, func(m host.NIC) bool { return m.Name == owner }); i >= 0 {
		return members[i]
	}
	return members[0]
}

// adapterMAC chooses the adapter's MAC.
func adapterMAC(c settings.Config, donor host.NIC) frame.MAC {
	if mac := host.AdapterMAC(c, donor); mac != 0 {
		return mac
	}
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	b[0] = b[0]&^1 | 2     // unicast, locally administered
	return frame.MACAt(b[:], 0)
}

// adapterMTU is the MTU of adapter and members. An adapter that the process before this one left keeps its own, which
// somebody may have changed, unless no member has followed it.
func (u *startup) adapterMTU(members []host.NIC) int {
	c := u.config
	if u.resume {
		if a, err := u.host.NIC(c.Team); err == nil {
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

// openAdapter opens the adapter that the process before this one left, with its MAC, or makes one with mac.
func (u *startup) openAdapter(mac frame.MAC, mtu int) (made bool, err error) {
	u.adapterName, u.adapterUp = u.config.Team, true
	if u.resume {
		if name := u.host.AdapterName(); name != "" {
			u.adapterName = name // it may have been renamed
		}
		u.adapter, err = tap.Open(tap.Options{Name: u.adapterName, MTU: mtu, Store: u.supervisor})
		if err == nil || !errors.Is(err, tap.ErrNotFound) {
			return false, err
		}
	}
	u.adapterName = u.config.Team
	if index := u.adapterInAdvance(); index != 0 {
		if a, err := u.host.NIC(u.config.Team); err == nil && a.Index == index {
			u.adapter, err = tap.Open(tap.Options{Name: u.config.Team, MTU: mtu, MAC: mac, Store: u.supervisor})
			return err == nil, err
		}
	}
	u.adapter, err = tap.Create(tap.Options{Name: u.config.Team, MTU: mtu, MAC: mac,
		Store: u.supervisor})
	return err == nil, err
}
