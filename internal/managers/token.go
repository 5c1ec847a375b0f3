// SPDX-License-Identifier: MIT

package managers

import (
	"log/slog"
	"net/netip"

	"nicteam/internal/rtnl"
)

// token returns the last 64 bits of an address that the adapter has from a NIC, and that ends if no router advertises
// its prefix again; invalid if there is none.
func (l Links) token(nic string) (token netip.Addr) {
	rt, err := rtnl.Open(slog.New(slog.DiscardHandler), func(string) error { return nil })
	if err != nil || l.Origin == nil {
		return token
	}
	defer rt.Close()
	have, _ := rt.Addresses(l.Adapter.Index)
	for _, a := range have {
		p := rtnl.AddressPrefix(a)
		_, valid := rtnl.Lifetimes(a)
		if p.Addr().Is4() || p.Bits() != 64 || valid == rtnl.Forever || rtnl.IsTemporary(a) ||
			l.Origin(p.Addr()) != nic {
			continue
		}
		b := p.Addr().As16()
		return netip.AddrFrom16([16]byte(append(make([]byte, 8), b[8:]...)))
	}
	return token
}
