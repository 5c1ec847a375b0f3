// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net/netip"
	"slices"

	"nicteam/internal/api"
	"nicteam/internal/frame"
)

// AutoMTU returns the adapter's MTU if none is given: the largest of NICs with addresses, so that their connections go
// on; of all NICs if none has.
func AutoMTU(nics []NIC) int {
	mtu, used := 0, false
	for _, n := range nics {
		switch uses := n.inUse(); {
		case uses && !used:
			mtu, used = n.MTU, true
		case uses == used:
			mtu = max(mtu, n.MTU)
		}
	}
	return mtu
}

// inUse reports whether the NIC has an address, the link-local one excepted.
func (n NIC) inUse() bool {
	return slices.ContainsFunc(n.Addresses, func(p netip.Prefix) bool {
		return p.Addr().Is4() || !p.Addr().IsLinkLocalUnicast()
	})
}

// takesMTU reports whether the NIC supports the MTU, as far as its driver says.
func (n NIC) takesMTU(mtu int) bool {
	return (n.MinMTU == 0 || mtu >= n.MinMTU) && (n.MaxMTU == 0 || mtu <= n.MaxMTU)
}

// mtuOfAll checks the MTU of the adapter and all members.
func (c *preflight) mtuOfAll() *api.Problem {
	if c.cfg.MTU != 0 {
		return c.givenMTU()
	}
	mtu := AutoMTU(c.nics)
	for _, n := range c.nics {
		if n.takesMTU(mtu) {
			continue
		}
		p := &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("NIC %s cannot have MTU %d", n.Name, mtu),
			Why: fmt.Sprintf("%s has it, and %s takes %d to %d", c.nicsOf(mtu), n.Name, n.MinMTU, n.MaxMTU),
			Fix: fmt.Sprintf(
				"leave %s out, or use a smaller MTU, which stalls connections with larger frames: --mtu %d",
				n.Name, n.MaxMTU)}
		if c.mtuForIPv6(n.MaxMTU) != nil {
			p.Fix = fmt.Sprintf("leave %s out: IPv6, which the adapter gets, needs at least %d", n.Name, MinMTUIPv6)
		}
		return p
	}
	if p := c.mtuForIPv6(mtu); p != nil {
		return p
	}
	for _, n := range c.nics {
		if n.MTU != mtu {
			c.warnings = append(c.warnings, mtuChange(n, mtu, c.nicsOf(mtu))+" (--mtu N sets another for all)")
		}
	}
	return nil
}

// nicsOf names the NICs with this MTU, preferably those in use.
func (c *preflight) nicsOf(mtu int) string {
	var used, all []string
	for _, n := range c.nics {
		if n.MTU == mtu {
			all = append(all, n.Name)
			if n.inUse() {
				used = append(used, n.Name)
			}
		}
	}
	if len(used) > 0 {
		return joinNames(used)
	}
	return joinNames(all)
}

// givenMTU checks the MTU of --mtu.
func (c *preflight) givenMTU() *api.Problem {
	mtu := c.cfg.MTU
	for _, n := range c.nics {
		if !n.takesMTU(mtu) {
			return badMTU(mtu, fmt.Sprintf("NIC %s takes %d to %d", n.Name, n.MinMTU, n.MaxMTU),
				fmt.Sprintf("--mtu %d", min(max(mtu, n.MinMTU), n.MaxMTU)))
		}
	}
	if p := c.mtuForIPv6(mtu); p != nil {
		return p
	}
	for _, n := range c.nics {
		if n.inUse() && n.MTU > mtu {
			c.warnf("the MTU of %s changes from %d to %d: connections whose peers send larger frames stall", n.Name,
				n.MTU, mtu)
		}
	}
	return nil
}

// mtuForIPv6 refuses an MTU below IPv6's minimum if the adapter gets IPv6 addresses.
func (c *preflight) mtuForIPv6(mtu int) *api.Problem {
	if mtu >= MinMTUIPv6 {
		return nil
	}
	have := c.futureAddresses()
	if c.cfg.Address.FromMembers() {
		for _, n := range c.nics {
			if n.inUse() {
				have = append(have, n.Addresses...) // then the adapter has a link-local one, too
			}
		}
	}
	for _, p := range have {
		if p.Addr().Is6() {
			return badMTU(mtu, fmt.Sprintf("IPv6 needs at least %d, and the adapter gets %s", MinMTUIPv6, p),
				fmt.Sprintf("--mtu %d; or do without IPv6 first: sysctl -w net.ipv6.conf.NIC.disable_ipv6=1",
					MinMTUIPv6))
		}
	}
	return nil
}

// memberMTU checks the adapter's MTU on NICs that join.
func (c *preflight) memberMTU() *api.Problem {
	c.h.mu.Lock()
	a, ok := c.h.adapter()
	c.h.mu.Unlock()
	if !ok {
		return nil
	}
	for _, n := range c.nics {
		if p := c.adapterMTU(n, a.Name, a.MTU); p != nil {
			return p
		}
		if n.MTU != a.MTU {
			c.warnings = append(c.warnings, mtuChange(n, a.MTU, a.Name))
		}
	}
	return nil
}

// adapterMTU refuses a NIC that cannot have the adapter's MTU.
func (c *preflight) adapterMTU(n NIC, adapter string, mtu int) *api.Problem {
	if n.takesMTU(mtu) {
		return nil
	}
	return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("NIC %s cannot have MTU %d", n.Name, mtu),
		Why: fmt.Sprintf("%s has it, and %s takes %d to %d", adapter, n.Name, n.MinMTU, n.MaxMTU),
		Fix: fmt.Sprintf("nicteam set %s mtu=%d first, which stalls connections with larger frames", c.cfg.Team,
			n.MaxMTU)}
}

// mtuChange is the warning for a NIC whose MTU changes.
func mtuChange(n NIC, mtu int, others string) string {
	return fmt.Sprintf("the MTU of %s changes from %d to %d, that of %s; its switch port must carry such frames",
		n.Name, n.MTU, mtu, others)
}

func badMTU(mtu int, why, fix string) *api.Problem {
	return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("bad MTU %d", mtu), Why: why, Fix: fix}
}

// sameMACs refuses NICs with one MAC in modes where each sends with its own: a switch learns one port for a MAC. In
// other modes it warns.
func (c *preflight) sameMACs() *api.Problem {
	own := c.cfg.Mode.OwnMACs(c.cfg.Balance)
	by := map[frame.MAC]string{}
	for _, n := range slices.Concat(c.present, c.nics) {
		if name, ok := by[n.MAC]; ok && name != n.Name && !own {
			c.warnf("%s and %s have the same MAC, %v: outside the team they draw each other's traffic", name, n.Name,
				n.MAC)
		} else if ok && name != n.Name {
			return &api.Problem{Kind: api.Conflict,
				What: fmt.Sprintf("%s and %s have the same MAC, %v", name, n.Name, n.MAC),
				Why: fmt.Sprintf(
					"in mode %v each NIC sends with its own MAC, and a switch forwards a MAC to one port only",
					c.cfg.Mode),
				Fix: fmt.Sprintf("change one (ip link set %s address MAC), or choose a mode with one MAC for all: "+
					"--mode active-backup", n.Name)}
		}
		by[n.MAC] = n.Name
	}
	return nil
}
