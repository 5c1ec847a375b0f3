// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/rtnl"
	"nicteam/internal/settings"
	"nicteam/monitor"
)

// CheckNewWatches checks targets of link watches against the addresses that the adapter of a new team will have. It is
// for who waits for the team: one that starts at boot has to make do with what is configured.
func (h *Host) CheckNewWatches(cfg settings.Config) (warnings []string, problem *api.Problem) {
	c := &preflight{h: h, cfg: cfg, verb: "create"}
	if problem := c.run(c.readNICs, c.members); problem != nil {
		return nil, problem
	}
	warnings, problem = checkWatches(cfg.Team, cfg.Watches(), c.futureAddresses())
	if problem != nil {
		problem.What = c.prefixed(problem.What)
	}
	return warnings, problem
}

// CheckWatches checks targets of link watches against the addresses of the adapter and of what is on top of it.
func (h *Host) CheckWatches(adapter int, list []monitor.Spec) (warnings []string, problem *api.Problem) {
	links, err := rtnl.RetryDump(h.rt.Handle.LinkList)
	if err != nil {
		return nil, nil
	}
	name, own := "", []netip.Prefix(nil)
	for _, on := range uppersOf(links, adapter) {
		if on.index == adapter {
			name = on.name
		}
		addresses, err := h.rt.Addresses(on.index)
		if err != nil {
			return nil, nil // what cannot be checked is asked
		}
		for _, a := range addresses {
			own = append(own, rtnl.AddressPrefix(a))
		}
	}
	return checkWatches(name, list, own)
}

// checkWatches refuses targets that are no other host, and warns of those that are on no subnet.
func checkWatches(adapter string, list []monitor.Spec, own []netip.Prefix) (warnings []string, problem *api.Problem) {
	for _, w := range list {
		if !w.IP.IsValid() {
			continue
		}
		if why := settings.NobodyAt(w.IP, own); why != "" {
			return nil, &api.Problem{Kind: api.Usage, What: fmt.Sprintf("link watch %v asks nobody", w), Why: why,
				Fix: settings.WatchFix}
		}
		var nets []string
		near := w.IP.Is6() && w.IP.IsLinkLocalUnicast()
		for _, p := range own {
			if p.Addr().Is4() == w.IP.Is4() {
				near = near || p.Contains(w.IP)
				if !p.Addr().IsLinkLocalUnicast() && !slices.Contains(nets, p.Masked().String()) {
					nets = append(nets, p.Masked().String())
				}
			}
		}
		if !near && len(nets) > 0 {
			warnings = append(warnings, fmt.Sprintf("%v is on no subnet of %s (%s): a host behind a router does not "+
				"answer", w, adapter, strings.Join(nets, ", ")))
		}
	}
	return warnings, nil
}
