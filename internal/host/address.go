package host

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// Address attributes and flags that x/sys does not name.
const (
	ifaMetric   = 9  // IFA_RT_PRIORITY
	ifaProtocol = 11 // IFA_PROTO

	// Who made an address, since Linux 5.18.
	protocolKernelRA = 2 // IFAPROT_KERNEL_RA: the kernel, from a router's advertisement
	protocolKernelLL = 3 // IFAPROT_KERNEL_LL: the kernel, as for every link

	// Flags that a user may give an address; the others are the kernel's to set.
	userFlags = unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR |
		unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN
)

// addresses lists a link's addresses in the kernel's order, IPv4 first: that is how it lists families.
func (h *Host) addresses(index int) ([]object, error) {
	all, err := h.rt.dump(unix.RTM_GETADDR, unix.AF_UNSPEC, addressHead)
	return slices.DeleteFunc(all, func(a object) bool {
		return a.family() != unix.AF_INET && a.family() != unix.AF_INET6 || addressIndex(a) != index
	}), err
}

// sameAddress reports whether the kernel holds a and b for one address of a link. IPv4 tells addresses apart by
// local address, prefix and peer; IPv6 by the address alone.
func sameAddress(a, b object) bool {
	if a.family() != b.family() || addressPrefix(a).Addr() != addressPrefix(b).Addr() {
		return false
	}
	return a.family() == unix.AF_INET6 ||
		a.head[1] == b.head[1] && slices.Equal(peer(a), peer(b))
}

func peer(a object) []byte { return a.get(unix.IFA_ADDRESS) }

func addressFlags(a object) uint32 {
	if v := a.get(unix.IFA_FLAGS); v != nil {
		return a.get32(unix.IFA_FLAGS)
	}
	return uint32(a.head[2])
}

func hasAddress(list []object, a object) bool {
	return slices.ContainsFunc(list, func(b object) bool { return sameAddress(a, b) })
}

// linkLocal reports whether an address is of IPv6's link-local scope.
func linkLocal(a object) bool {
	p := addressPrefix(a)
	return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()
}

// kernelLinkLocal reports whether an address is the link-local one that the kernel makes for a link by itself. Those that
// somebody gave the link by hand are addresses like others.
func kernelLinkLocal(a object, macs ...frame.MAC) bool {
	if !linkLocal(a) {
		return false
	}
	if v := a.get(ifaProtocol); len(v) == 1 { // Linux ≥ 5.18
		return v[0] == protocolKernelLL
	}
	return addressFlags(a)&unix.IFA_F_STABLE_PRIVACY != 0 ||
		slices.ContainsFunc(macs, func(mac frame.MAC) bool { return madeOf(addressPrefix(a), mac) })
}

// kernelLinkLocal is kernelLinkLocal of an address of the member.
func (m *Member) kernelLinkLocal(a object) bool { return kernelLinkLocal(a, m.MAC, m.PermanentMAC) }

// kernelLinkLocal is kernelLinkLocal of an address of the link.
func (n NIC) kernelLinkLocal(a object) bool { return kernelLinkLocal(a, n.MAC, n.PermanentMAC) }

// autoconfigured reports whether the kernel formed the address from a router's advertisement, and will go on to do so.
func autoconfigured(a object) bool {
	f := addressFlags(a)
	if a.family() != unix.AF_INET6 || f&(unix.IFA_F_TEMPORARY|unix.IFA_F_PERMANENT) != 0 {
		return false
	}
	if v := a.get(ifaProtocol); len(v) == 1 { // Linux ≥ 5.18
		return v[0] == protocolKernelRA
	}
	return f&unix.IFA_F_MANAGETEMPADDR != 0 && f&unix.IFA_F_NOPREFIXROUTE == 0
}

// temporary reports whether the kernel made the address for privacy, beside one that it formed.
func temporary(a object) bool {
	return a.family() == unix.AF_INET6 && addressFlags(a)&unix.IFA_F_TEMPORARY != 0
}

// forLink makes an address ready to be added to a link. flags are added to those that the address had. One that the kernel
// made for privacy gets no connected route, as it had none by that.
func forLink(a object, index int, flags uint32) object {
	if temporary(a) {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	a = a.clone()
	binary.NativeEndian.PutUint32(a.head[4:], uint32(index))
	flags |= addressFlags(a) & userFlags
	a.head[2] = byte(flags)
	a.set32(unix.IFA_FLAGS, flags)
	return a
}

// unflagged is an address without some flags.
func unflagged(a object, flags uint32) object {
	a = a.clone()
	f := addressFlags(a) &^ flags
	a.head[2] = byte(f)
	a.set32(unix.IFA_FLAGS, f)
	return a
}

// relabel gives an IPv4 address of one link the label that fits another: the label begins with the link's name.
func relabel(a object, from, to string) object {
	label := a.text(unix.IFA_LABEL)
	if label == "" {
		return a
	}
	rest, ok := strings.CutPrefix(label, from)
	if !ok || len(to)+len(rest) >= unix.IFNAMSIZ {
		a.drop(unix.IFA_LABEL)
		return a
	}
	a.set(unix.IFA_LABEL, zeroTerminated(to+rest))
	return a
}

const forever = ^uint32(0)

// lifetimes are the seconds that an address is still preferred and valid.
func lifetimes(a object) (preferred, valid uint32) {
	v := a.get(unix.IFA_CACHEINFO)
	if len(v) < 8 {
		return forever, forever
	}
	return binary.NativeEndian.Uint32(v), binary.NativeEndian.Uint32(v[4:])
}

// aged is an address as it is some seconds later, or was so many earlier where they are negative; false when it has run out.
func aged(a object, seconds int64) (object, bool) {
	preferred, valid := lifetimes(a)
	if valid == forever {
		return a, true
	}
	if int64(valid) <= seconds {
		return a, false
	}
	left := func(v uint32) uint32 {
		if v == forever {
			return v
		}
		return uint32(min(max(int64(v)-seconds, 0), int64(forever)-1))
	}
	a = a.clone()
	info := slices.Clone(a.get(unix.IFA_CACHEINFO))
	binary.NativeEndian.PutUint32(info, min(left(preferred), left(valid)))
	binary.NativeEndian.PutUint32(info[4:], left(valid))
	a.set(unix.IFA_CACHEINFO, info)
	return a, true
}

// withLifetimes is an address with the lifetimes of another.
func withLifetimes(a, of object) object {
	if v := of.get(unix.IFA_CACHEINFO); v != nil {
		a = a.clone()
		a.set(unix.IFA_CACHEINFO, v)
	}
	return a
}

// withMetric is an address whose connected route has the metric of another's.
func withMetric(a, of object) object {
	if a.get32(ifaMetric) == of.get32(ifaMetric) {
		return a
	}
	a = a.clone()
	a.drop(ifaMetric)
	if metric := of.get32(ifaMetric); metric != 0 {
		a.set32(ifaMetric, metric)
	}
	return a
}

func (h *Host) addAddress(a object, to string) error {
	return h.change(fmt.Sprintf("add %s to %s", addressPrefix(a), to), unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, a)
}

func (h *Host) deleteAddress(a object, from string) error {
	return h.change(fmt.Sprintf("take %s off %s", addressPrefix(a), from), unix.RTM_DELADDR, 0, a)
}

// newAddress makes an address object from nothing.
func newAddress(p netip.Prefix, index int) object {
	o := object{head: make([]byte, addressHead)}
	o.head[0], o.head[1] = unix.AF_INET, byte(p.Bits())
	if p.Addr().Is6() {
		o.head[0] = unix.AF_INET6
	}
	binary.NativeEndian.PutUint32(o.head[4:], uint32(index))
	a := p.Addr().AsSlice()
	o.set(unix.IFA_LOCAL, a)
	o.set(unix.IFA_ADDRESS, a)
	if p.Addr().Is4() && p.Bits() < 31 {
		brd := slices.Clone(a)
		for i := range brd {
			brd[i] |= ^mask4(p.Bits())[i]
		}
		o.set(unix.IFA_BROADCAST, brd)
	}
	return o
}

func mask4(bits int) (m [4]byte) {
	binary.BigEndian.PutUint32(m[:], ^uint32(0)<<(32-bits))
	return m
}
