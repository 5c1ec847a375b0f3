package sim

import "nicteam/team"

// Readdress gives a NIC of the team another address, as somebody does by hand. The loop hears of it a moment later.
func (t *Team) Readdress(n *NIC) {
	n.MAC = t.w.number(0x1)
	t.w.Tell("%s: %s has %v now", t.Name, n.Name, n.MAC)
	t.w.After(t.w.between(0, pokeLate), func() {
		l := team.Link{Name: n.Name, Index: n.Index, MAC: n.MAC}
		t.handle(team.Observed{NICs: []team.ObservedNIC{{Link: l, MTU: 1500}}})
	})
}
