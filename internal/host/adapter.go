package host

import (
	"fmt"

	"nicteam/internal/rtnl"
)

// NIC reads the link of that name.
func (h *Host) NIC(name string) (NIC, error) { return h.withAddresses(h.nic(name)) }

// NICAt reads the link with that ifindex.
func (h *Host) NICAt(index int) (NIC, error) { return h.withAddresses(h.nicAt(index)) }

func (h *Host) withAddresses(n NIC, err error) (NIC, error) {
	if err != nil {
		return NIC{}, err
	}
	list, err := h.rt.Addresses(n.Index)
	if err != nil {
		return NIC{}, err
	}
	for _, a := range list {
		n.Addresses = append(n.Addresses, rtnl.AddressPrefix(a))
	}
	return n, nil
}

// Returned reads the NIC of a recorded member that was gone, wherever it is.
func (h *Host) Returned(member string) (NIC, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.begun()
	if err != nil {
		return NIC{}, err
	}
	m := j.State.ByName(member)
	if m == nil || m.Left {
		return NIC{}, fmt.Errorf("NIC %s: not recorded", member)
	}
	return h.Find(m.Identity)
}

// Up brings the adapter up.
func (h *Host) Up(adapter int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, err := h.rt.Handle.LinkByIndex(adapter)
	if err != nil {
		return fmt.Errorf("bring up adapter: %w", err)
	}
	return h.rt.SetUp(l, true)
}
