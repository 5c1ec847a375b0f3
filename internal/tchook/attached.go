// SPDX-License-Identifier: MIT

package tchook

import "fmt"

// CheckAttached returns an error if another program has detached one that this process attached to a link by tcx.
// Filters are not checked.
func (h *Hooks) CheckAttached(index int) error {
	for at, a := range h.attached {
		if at.index == index && a.link != nil && !a.link.on(index) {
			return fmt.Errorf("another program has detached the one at %s of the NIC with ifindex %d",
				HookName(at.hook), index)
		}
	}
	return nil
}

// LostIsolation reports whether another program has ended the isolation of a link.
func (h *Hooks) LostIsolation(index int) bool {
	i := h.isolated[index]
	return i != nil && i.link != nil && !i.holds(index)
}
