// SPDX-License-Identifier: MIT

package host

import (
	"slices"

	"nicteam/internal/host/masquerade"
	"nicteam/internal/rtnl"
)

// RebindConnections starts to rebind masqueraded connections of recorded members' addresses, and Adopt completes it.
// Adopt starts it itself if nobody has. Earlier is better: between Isolate and Adopt the two directions of a connection
// take different interfaces.
func (h *Host) RebindConnections(members []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var links []int
	for _, name := range members {
		n, err := h.linkNamed(name)
		if err != nil {
			return err
		}
		links = append(links, n.Index)
	}
	slices.Sort(links)
	h.endRebinding()
	var err error
	h.rebinding, err = h.rebindLinks(links)
	h.rebindingLinks = links
	return err
}

// endRebinding ends a rebinding for which no Adopt came.
func (h *Host) endRebinding() {
	h.rebinding.Close()
	h.rebinding = nil
}

// rebindLinks starts rebinding for the addresses of links.
func (h *Host) rebindLinks(links []int) (*masquerade.Rebinding, error) {
	list, err := h.rt.AddressesOf(links)
	if err != nil {
		return nil, err
	}
	return h.startRebinding(list)
}

// startRebinding starts rebinding for addresses.
func (h *Host) startRebinding(list []rtnl.Object) (*masquerade.Rebinding, error) {
	return masquerade.Start(h.rt, h.log, h.o.Team, list)
}

// rebindWhile rebinds connections of links' addresses before and after f, which moves their routes.
func (h *Host) rebindWhile(f func() error, links ...int) (err error) {
	slices.Sort(links)
	c := h.rebinding
	if c != nil && slices.Equal(h.rebindingLinks, links) {
		h.rebinding = nil
	} else if c, err = h.rebindLinks(links); err != nil {
		return err
	}
	defer c.Close()
	if err := c.CatchUp(); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return c.CatchUp()
}
