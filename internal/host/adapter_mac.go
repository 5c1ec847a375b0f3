package host

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// PutBackMAC gives the adapter its address again after somebody has given it another. The IPv6 addresses that the kernel
// has made of that one meanwhile go; a link-local one of its own address comes in place of theirs, as the kernel makes one
// only when a link comes up.
func (h *Host) PutBackMAC(adapter int, mac, wrong frame.MAC) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	l, err := h.nl.LinkByIndex(adapter)
	if err == nil {
		err = h.nl.LinkSetHardwareAddr(l, mac.HardwareAddr())
	}
	if err != nil {
		return fmt.Errorf("put MAC %v back: %w", mac, err)
	}
	list, err := h.addresses(adapter)
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
		if err := h.change(fmt.Sprintf("remove address %v of MAC %v", p, wrong), unix.RTM_DELADDR, 0, a); err != nil {
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
	return h.change(what, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, right)
}

// eui64Address is the link-local address a with another MAC in it.
func eui64Address(a object, mac frame.MAC) object {
	var b [16]byte
	copy(b[:8], addressPrefix(a).Addr().AsSlice())
	id := eui64(mac)
	copy(b[8:], id[:])
	a = forLink(a, addressIndex(a), 0)
	a.drop(unix.IFA_LOCAL, unix.IFA_CACHEINFO)
	a.set(unix.IFA_ADDRESS, b[:])
	a.set(ifaProtocol, []byte{protocolKernelLL})
	return a
}

// madeOf reports whether an address is one that the kernel makes of a MAC (RFC 4291, appendix A).
func madeOf(p netip.Prefix, mac frame.MAC) bool {
	if !p.Addr().Is6() || p.Bits() != 64 {
		return false
	}
	b := p.Addr().As16()
	return [8]byte(b[8:]) == eui64(mac)
}

func eui64(mac frame.MAC) [8]byte {
	var m [6]byte
	mac.Put(m[:], 0)
	return [8]byte{m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}
}
