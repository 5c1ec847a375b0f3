// SPDX-License-Identifier: MIT

package modes

import "nicteam/modes/lacp"

// Agreement is what 802.3ad has agreed with its partner.
type Agreement struct {
	lacp.Status
	Alone  int         // the member that works without a partner, -1 none
	Memory lacp.Memory // for the next process
}

// aloneWhy is why the member that works alone does not distribute by the protocol.
const aloneWhy = "nobody answers: it works alone, as on a switch without LACP"

// Agreed returns what m has agreed, nil for modes without a partner. It is the caller's own.
func Agreed(m Mode) *Agreement {
	a, ok := m.(*aggregation)
	if !ok || a.system == nil {
		return nil
	}
	g := &Agreement{Status: a.system.Status(), Alone: -1, Memory: a.system.Memory()}
	if a.single.alone {
		g.Alone = a.single.active
	}
	for i := range g.Ports {
		if g.Ports[i].ID == g.Alone {
			g.Ports[i].Why = aloneWhy
		}
	}
	return g
}
