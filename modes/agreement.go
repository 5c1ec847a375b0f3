package modes

import "nicteam/modes/lacp"

// Agreement is what 802.3ad has agreed with who is at the other end.
type Agreement struct {
	lacp.Status
	Alone  int         // the member that works though nobody answers, -1 none
	Memory lacp.Memory // for a process that takes this one's place
}

// aloneWhy is why the member that works alone does not distribute as the protocol has it.
const aloneWhy = "nobody answers: it works alone, as on a switch without LACP"

// Agreed returns what m has agreed, nil for modes that agree nothing. It is the caller's own.
func Agreed(m Mode) *Agreement {
	a, ok := m.(*aggregation)
	if !ok || a.system == nil {
		return nil
	}
	g := &Agreement{Status: a.system.Status(), Alone: -1, Memory: a.system.Memory()}
	if a.choice.alone {
		g.Alone = a.choice.active
	}
	for i := range g.Ports {
		if g.Ports[i].ID == g.Alone {
			g.Ports[i].Why = aloneWhy
		}
	}
	return g
}
