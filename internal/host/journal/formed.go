// SPDX-License-Identifier: MIT

package journal

import (
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// FormedAddress finds an address among those that a member's kernel had formed and that moved to the adapter.
func (s *State) FormedAddress(a rtnl.Object) (was rtnl.Object, of *Member, ok bool) {
	for _, m := range s.Members {
		for _, was := range m.Addresses {
			if m.Adopted && rtnl.SameAddress(a, was) && (rtnl.IsAutoconfigured(was) || rtnl.IsTemporary(was)) {
				return was, &m.Member, true
			}
		}
	}
	return rtnl.Object{}, nil, false
}

// ManagedAddress finds an address that moved to the adapter from a NIC whose kernel ignores router advertisements: a
// network manager handles them, and formed the address from one. One that it acquired by DHCP has another prefix length
// than those that routers advertise, as a rule.
func (s *State) ManagedAddress(a rtnl.Object) (was rtnl.Object, of *Member, ok bool) {
	for _, m := range s.Members {
		for _, was := range m.Addresses {
			if m.isManaged(was) && rtnl.SameAddress(a, was) {
				return was, &m.Member, true
			}
		}
	}
	return rtnl.Object{}, nil, false
}

// HasManagedAddress reports whether there is an address of the kind of ManagedAddress.
func (s *State) HasManagedAddress() bool {
	return slices.ContainsFunc(s.Members,
		func(m *MemberState) bool { return slices.ContainsFunc(m.Addresses, m.isManaged) })
}

func (m *MemberState) isManaged(a rtnl.Object) bool {
	_, valid := rtnl.Lifetimes(a)
	return m.Adopted && m.Sysctls["ipv6/accept_ra"] == "0" && a.Family() == unix.AF_INET6 && valid != rtnl.Forever &&
		!rtnl.IsAutoconfigured(a) && !rtnl.IsLinkLocal(a)
}
