// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"net/netip"
	"slices"

	"nicteam/internal/host"
	"nicteam/internal/managers"
	"nicteam/internal/settings"
)

// managedLinks are the links that the host's managers are told about.
func (s *session) managedLinks() (l managers.Links) {
	st := s.team.Status()
	l.Own = s.team.Config().Address != settings.AddressAuto
	l.Origin = func(ip netip.Addr) string {
		nic, _, _ := s.host.AddressMember(ip)
		return nic
	}
	l.Adapter = managers.NIC{Name: st.Adapter.Name, Index: s.adapter.Index()}
	for _, m := range s.team.Members() {
		if m.State == "absent" {
			continue
		}
		nic := managers.NIC{Name: m.Name, Index: m.Index}
		if m.MAC == st.Adapter.MAC { // it lent the adapter its configuration
			l.Members = slices.Insert(l.Members, 0, nic)
		} else {
			l.Members = append(l.Members, nic)
		}
	}
	return l
}

// tellManagers makes the host's managers serve the adapter. They may be wrong, or missing: a team does without them.
func (u *startup) tellManagers(ctx context.Context) {
	steps, warnings := u.managers.TakeOver(ctx, u.managedLinks())
	for _, step := range steps {
		u.rep.Step("%s", step)
	}
	u.rep.Warn(warnings...)
}

// keepFromRAs does what router advertisements say for managers of members that do not hear them any more.
func (s *session) keepFromRAs(ctx context.Context) {
	if !s.team.Config().Address.FromMembers() {
		return
	}
	s.host.KeepFromRAs(ctx, s.adapter.Index(), func() bool {
		manager, _ := s.managers.Serving()
		return manager != ""
	})
}

// followManagers keeps the managers at the adapter.
func (s *session) followManagers(ctx context.Context) { s.managers.Run(ctx, s.managedLinks) }

// untellManagers makes the host's managers serve the NICs again that were given back.
func (s *session) untellManagers() (steps []string) {
	steps, err := s.managers.GiveBack(context.Background())
	if err != nil {
		steps = append(steps, "warning: network managers were not told that the team has ended: "+err.Error())
	}
	return steps
}

// withoutLetGo removes the leases that end: those of NICs whose manager serves the adapter in place of another one.
// An adapter needs one lease.
func (s *session) withoutLetGo(leases []host.Lease) []host.Lease {
	_, served := s.managers.Serving()
	if served == "" {
		return leases
	}
	return slices.DeleteFunc(slices.Clone(leases), func(l host.Lease) bool {
		nic, _, known := s.host.AddressMember(l.Address.Addr())
		return known && nic != served
	})
}
