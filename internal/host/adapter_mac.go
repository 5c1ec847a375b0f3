package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
)

// PutBackMAC gives the adapter its address again after somebody has given it another. The IPv6 addresses that the kernel
// has made of that one meanwhile go; a link-local one of its own address comes in place of theirs, as the kernel makes one
// only when a link comes up.
func (h *Host) PutBackMAC(adapter int, mac, wrong frame.MAC) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, err := h.rt.Handle.LinkByIndex(adapter)
	if err == nil {
		err = h.rt.Handle.LinkSetHardwareAddr(l, mac.HardwareAddr())
	}
	if err != nil {
		return fmt.Errorf("put MAC %v back: %w", mac, err)
	}
	list, err := h.rt.Addresses(adapter)
	if err != nil {
		return err
	}
	var made rtnl.Object // a link-local one that goes
	has := false
	for _, a := range list {
		p := rtnl.AddressPrefix(a)
		has = has || rtnl.IsLinkLocal(a) && rtnl.IsEUI64(p, mac)
		if !rtnl.IsEUI64(p, wrong) {
			continue
		}
		if err := h.rt.Change(fmt.Sprintf("remove address %v of MAC %v", p, wrong), unix.RTM_DELADDR, 0, a); err != nil {
			return err
		}
		if rtnl.IsLinkLocal(a) {
			made = a
		}
	}
	if made.Head == nil || has {
		return nil
	}
	right := rtnl.EUI64Address(made, mac)
	what := fmt.Sprintf("add address %v", rtnl.AddressPrefix(right))
	return h.rt.Change(what, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, right)
}
