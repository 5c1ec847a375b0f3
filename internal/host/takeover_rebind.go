package host

import (
	"slices"

	"nicteam/internal/host/masquerade"
	"nicteam/internal/rtnl"
)

// RebindConnections begins to carry connections over that go by the addresses of recorded members. Adopt goes on with it, and
// begins it itself where nobody has; earlier is better, because packets take two different ways between Isolate and Adopt.
func (h *Host) RebindConnections(members []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var links []int
	for _, name := range members {
		n, err := h.nic(name)
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

// endRebinding ends what RebindConnections has begun for an Adopt that did not come.
func (h *Host) endRebinding() {
	h.rebinding.Close()
	h.rebinding = nil
}

// rebindLinks begins with connections that go by the addresses of links.
func (h *Host) rebindLinks(links []int) (*masquerade.Rebinding, error) {
	var list []rtnl.Object
	for _, index := range links {
		have, err := h.rt.Addresses(index)
		if err != nil {
			return nil, err
		}
		list = append(list, have...)
	}
	return h.startRebinding(list)
}

// startRebinding begins with connections that go by addresses.
func (h *Host) startRebinding(list []rtnl.Object) (*masquerade.Rebinding, error) {
	return masquerade.Start(h.rt, h.log, h.o.Team, list)
}

// rebindWhile carries connections over that go by the addresses of links, whose routes f moves.
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
