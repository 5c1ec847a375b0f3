package host

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

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
func (c *conn) addresses(index int) ([]object, error) {
	all, err := c.dump(unix.RTM_GETADDR, unix.AF_UNSPEC, addressHead)
	return slices.DeleteFunc(all, func(a object) bool {
		return a.family() != unix.AF_INET && a.family() != unix.AF_INET6 || a.index() != index
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
	a.setIndex(index)
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

func (c *conn) addAddress(a object, to string) error {
	return c.change(fmt.Sprintf("add %s to %s", addressPrefix(a), to), unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, a)
}

func (c *conn) deleteAddress(a object, from string) error {
	return c.change(fmt.Sprintf("take %s off %s", addressPrefix(a), from), unix.RTM_DELADDR, 0, a)
}

// newAddress makes an address object from nothing.
func newAddress(p netip.Prefix, index int) object {
	o := object{head: make([]byte, addressHead)}
	o.head[0], o.head[1] = unix.AF_INET, byte(p.Bits())
	if p.Addr().Is6() {
		o.head[0] = unix.AF_INET6
	}
	o.setIndex(index)
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

// addressPrefix is an address object's local address with its prefix length.
func addressPrefix(o object) netip.Prefix {
	b := o.get(unix.IFA_LOCAL)
	if b == nil {
		b = o.get(unix.IFA_ADDRESS)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, int(o.head[1]))
}

// elsewhere lists the addresses of all links but one.
func (c *conn) elsewhere(index int) ([]object, error) {
	all, err := c.dump(unix.RTM_GETADDR, unix.AF_UNSPEC, addressHead)
	return slices.DeleteFunc(all, func(a object) bool { return a.index() == index }), err
}

func (c *conn) addMissing(want, have []object, name string) error {
	for _, a := range want {
		if hasAddress(have, a) {
			continue
		}
		if err := c.addAddress(a, name); err != nil {
			return err
		}
	}
	return nil
}

// addInOrder adds IPv6 addresses so that they come to stand as in want. Kernels put a new address before those of its
// scope, so the last is added first; where that does not do it, all are added anew, and then the other way round.
func (c *conn) addInOrder(want []object, index int, name string) error {
	for try := 0; ; try++ {
		all, err := c.addresses(index)
		if err != nil {
			return err
		}
		var have []object
		for _, a := range all {
			if hasAddress(want, a) {
				have = append(have, a)
			}
		}
		if slices.EqualFunc(have, want, sameAddress) || try == 3 {
			return nil
		}
		if try > 0 {
			for _, a := range have {
				if err := c.deleteAddress(a, name); err != nil {
					return err
				}
			}
			have = nil
		}
		next := slices.Clone(want)
		if try < 2 {
			slices.Reverse(next)
		}
		if err := c.addMissing(next, have, name); err != nil {
			return err
		}
	}
}

// equalButTime reports whether two addresses differ in their lifetimes at most, and in what the kernel says of them.
func equalButTime(a, b object) bool {
	strip := func(o object) object {
		o = forLink(o, o.index(), 0)
		o.drop(unix.IFA_CACHEINFO, ifaProtocol)
		return o
	}
	return strip(a).equal(strip(b))
}

// renewedAt is when the kernel was last given an address, after boot. It counts hundredths of a second.
func renewedAt(o object) time.Duration {
	v := o.get(unix.IFA_CACHEINFO)
	if len(v) < 16 {
		return 0
	}
	return time.Duration(binary.NativeEndian.Uint32(v[12:])) * 10 * time.Millisecond
}

// asOf is an address with lifetimes as they were read at one time, as they would have been at another (CLOCK_BOOTTIME).
func asOf(o object, read, at int64) object {
	o, _ = aged(o, (at-read)/int64(time.Second))
	return o
}

func only6(list []object) []object {
	return slices.DeleteFunc(slices.Clone(list), func(o object) bool { return o.family() != unix.AF_INET6 })
}

// eui64Address is the link-local address a with another MAC in it.
func eui64Address(a object, mac frame.MAC) object {
	var b [16]byte
	copy(b[:8], addressPrefix(a).Addr().AsSlice())
	id := eui64(mac)
	copy(b[8:], id[:])
	a = forLink(a, a.index(), 0)
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

func addressID(a object) string {
	if a.family() == unix.AF_INET6 {
		return string(addressPrefix(a).Addr().AsSlice())
	}
	return fmt.Sprintf("%v %x", addressPrefix(a), peer(a))
}
