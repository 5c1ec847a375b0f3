package host

import (
	"net/netip"

	"nicteam/internal/settings"
)

// masqueraded warns of connections that will be cut, as far as that can be known before.
func (c *check) masqueraded() {
	if c.cfg.Address != settings.AddressAuto {
		return
	}
	var addresses []netip.Addr
	for _, n := range c.chosen {
		for _, p := range n.Addresses {
			addresses = append(addresses, p.Addr())
		}
	}
	if cut, why := CutConnections(addresses); cut > 0 {
		c.warnf("%d connections that this host masquerades for others will be cut: %s", cut, why)
	}
}
