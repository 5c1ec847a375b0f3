package host

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// PutBackMAC gives the adapter its address again after somebody has given it another. The IPv6 addresses that the kernel
// has made of that one meanwhile go; a link-local one of its own address comes in place of theirs, as the kernel makes one
// only when a link comes up.
func (h *Host) PutBackMAC(adapter int, mac, wrong frame.MAC) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, err := h.rt.nl.LinkByIndex(adapter)
	if err == nil {
		err = h.rt.nl.LinkSetHardwareAddr(l, mac.HardwareAddr())
	}
	if err != nil {
		return fmt.Errorf("put MAC %v back: %w", mac, err)
	}
	list, err := h.rt.addresses(adapter)
	if err != nil {
		return err
	}
	var made object // a link-local one that goes
	has := false
	for _, a := range list {
		p := addressPrefix(a)
		has = has || linkLocal(a) && madeOf(p, mac)
		if !madeOf(p, wrong) {
			continue
		}
		if err := h.rt.change(fmt.Sprintf("remove address %v of MAC %v", p, wrong), unix.RTM_DELADDR, 0, a); err != nil {
			return err
		}
		if linkLocal(a) {
			made = a
		}
	}
	if made.head == nil || has {
		return nil
	}
	right := eui64Address(made, mac)
	what := fmt.Sprintf("add address %v", addressPrefix(right))
	return h.rt.change(what, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, right)
}
