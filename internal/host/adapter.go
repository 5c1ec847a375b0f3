package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// NIC reads the link of that name.
func (h *Host) NIC(name string) (NIC, error) { return h.withAddresses(h.nic(name)) }

// NICAt reads the link with that ifindex.
func (h *Host) NICAt(index int) (NIC, error) { return h.withAddresses(h.nicAt(index)) }

func (h *Host) withAddresses(n NIC, err error) (NIC, error) {
	if err != nil {
		return NIC{}, err
	}
	list, err := h.addresses(n.Index)
	if err != nil {
		return NIC{}, err
	}
	for _, a := range list {
		n.Addresses = append(n.Addresses, addressPrefix(a))
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
	m := j.state.byName(member)
	if m == nil {
		return NIC{}, fmt.Errorf("NIC %s: not recorded", member)
	}
	return h.Find(m.Identity)
}

// Up brings the adapter up.
func (h *Host) Up(adapter int) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, err := h.nl.LinkByIndex(adapter)
	if err != nil {
		return fmt.Errorf("bring up adapter: %w", err)
	}
	return h.setUp(l, true)
}

// SetMTU gives the adapter and the members another MTU, or none of them. While they differ the members' is
// never the smaller one, so no frame is too large for its member.
func (h *Host) SetMTU(adapter, mtu int) (err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.begun()
	if err != nil {
		return err
	}
	links := []int{adapter}
	for _, m := range j.state.members {
		if !m.strip {
			continue
		}
		if _, n, err := h.link(m); err == nil {
			links = append(links, n.Index)
		}
	}
	a, err := h.nl.LinkByIndex(adapter)
	if err != nil {
		return fmt.Errorf("set MTU: %w", err)
	}
	if mtu > a.Attrs().MTU { // the adapter last
		links = append(links[1:], adapter)
	}
	was := map[int]int{}
	for _, index := range links {
		l, err := h.nl.LinkByIndex(index)
		if err == nil {
			was[index] = l.Attrs().MTU
			err = h.setMTU(l, mtu)
		}
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return errors.Join(err, h.setMTUs(was))
		}
	}
	return nil
}

func (h *Host) setMTUs(of map[int]int) error {
	var errs []error
	for index, mtu := range of {
		l, err := h.nl.LinkByIndex(index)
		if err == nil {
			err = h.setMTU(l, mtu)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
