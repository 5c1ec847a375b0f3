// SPDX-License-Identifier: MIT

package journal

import (
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
			if m.Adopted && m.Sysctls["ipv6/accept_ra"] == "0" && was.Family() == unix.AF_INET6 &&
				rtnl.SameAddress(a, was) && !rtnl.IsAutoconfigured(was) && !rtnl.IsLinkLocal(was) {
				return was, &m.Member, true
			}
		}
	}
	return rtnl.Object{}, nil, false
}
