// SPDX-License-Identifier: MIT

package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/boot"
	"nicteam/internal/frame"
)

// Address attributes and flags that x/sys does not name.
const (
	IFAMetric   = 9  // IFA_RT_PRIORITY
	ifaProtocol = 11 // IFA_PROTO

	// IFA_PROTO says who made an address (Linux 5.18).
	protocolKernelRA = 2 // IFAPROT_KERNEL_RA: from a router advertisement
	protocolKernelLL = 3 // IFAPROT_KERNEL_LL: link-local

	// Flags that user space may set; the kernel sets the others.
	userFlags = unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR |
		unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN
)

// Addresses lists a link's addresses in the kernel's order, IPv4 first; none if there is no such link. The kernel
// filters the dump, because a host may have very many links; kernels before 4.20 return all.
func (c *Conn) Addresses(index int) (list []Object, err error) {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		ask := Object{Head: make([]byte, AddressHeaderLen)}
		ask.Head[0] = family
		ask.SetIndex(index)
		all, err := c.dumpLike(c.strict, unix.RTM_GETADDR, ask, AddressHeaderLen)
		if errors.Is(err, unix.ENODEV) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		for _, a := range all {
			if a.Family() == family && a.Index() == index {
				list = append(list, a)
			}
		}
	}
	return list, nil
}

// SameAddress reports whether a and b are one address of a link to the kernel. IPv4 compares local address, prefix
// length and peer; IPv6 the address alone.
func SameAddress(a, b Object) bool {
	if a.Family() != b.Family() || AddressPrefix(a).Addr() != AddressPrefix(b).Addr() {
		return false
	}
	return a.Family() == unix.AF_INET6 ||
		a.Head[1] == b.Head[1] && slices.Equal(peer(a), peer(b))
}

func peer(a Object) []byte { return a.Get(unix.IFA_ADDRESS) }

func AddressFlags(a Object) uint32 {
	if v := a.Get(unix.IFA_FLAGS); v != nil {
		return a.Get32(unix.IFA_FLAGS)
	}
	return uint32(a.Head[2])
}

func HasAddress(list []Object, a Object) bool {
	return slices.ContainsFunc(list, func(b Object) bool { return SameAddress(a, b) })
}

// IsLinkLocal reports whether the address is an IPv6 link-local one.
func IsLinkLocal(a Object) bool {
	p := AddressPrefix(a)
	return p.Addr().Is6() && p.Addr().IsLinkLocalUnicast()
}

// IsKernelLinkLocal reports whether the kernel itself made this link-local address. One that was set by hand is an
// address like any other.
func IsKernelLinkLocal(a Object, macs ...frame.MAC) bool {
	if !IsLinkLocal(a) {
		return false
	}
	if v := a.Get(ifaProtocol); len(v) == 1 { // Linux ≥ 5.18
		return v[0] == protocolKernelLL
	}
	return AddressFlags(a)&unix.IFA_F_STABLE_PRIVACY != 0 ||
		slices.ContainsFunc(macs, func(mac frame.MAC) bool { return IsEUI64(AddressPrefix(a), mac) })
}

// IsAutoconfigured reports whether the kernel formed the address from a router advertisement (SLAAC), and will refresh
// it.
func IsAutoconfigured(a Object) bool {
	f := AddressFlags(a)
	if a.Family() != unix.AF_INET6 || f&(unix.IFA_F_TEMPORARY|unix.IFA_F_PERMANENT) != 0 {
		return false
	}
	if v := a.Get(ifaProtocol); len(v) == 1 { // Linux ≥ 5.18
		return v[0] == protocolKernelRA
	}
	return f&unix.IFA_F_MANAGETEMPADDR != 0 && f&unix.IFA_F_NOPREFIXROUTE == 0
}

// IsTemporary reports whether this is a temporary address (RFC 8981).
func IsTemporary(a Object) bool {
	return a.Family() == unix.AF_INET6 && AddressFlags(a)&unix.IFA_F_TEMPORARY != 0
}

// AddressRequest returns the message that adds a to a link. flags are added to its own. A temporary address gets no
// connected route, as it had none.
func AddressRequest(a Object, index int, flags uint32) Object {
	if IsTemporary(a) {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	a = a.Clone()
	a.SetIndex(index)
	flags |= AddressFlags(a) & userFlags
	a.Head[2] = byte(flags)
	a.Set32(unix.IFA_FLAGS, flags)
	return a
}

// WithoutFlags returns a copy of an address without these flags.
func WithoutFlags(a Object, flags uint32) Object {
	a = a.Clone()
	f := AddressFlags(a) &^ flags
	a.Head[2] = byte(f)
	a.Set32(unix.IFA_FLAGS, f)
	return a
}

// Relabel renames an IPv4 label, which begins with the name of its link.
func Relabel(a Object, from, to string) Object {
	label := a.Text(unix.IFA_LABEL)
	if label == "" {
		return a
	}
	rest, ok := strings.CutPrefix(label, from)
	if !ok || len(to)+len(rest) >= unix.IFNAMSIZ {
		a.Drop(unix.IFA_LABEL)
		return a
	}
	a.Set(unix.IFA_LABEL, CString(to+rest))
	return a
}

const Forever = ^uint32(0)

// Lifetimes returns the preferred and the valid lifetime in seconds.
func Lifetimes(a Object) (preferred, valid uint32) {
	v := a.Get(unix.IFA_CACHEINFO)
	if len(v) < 8 {
		return Forever, Forever
	}
	return binary.NativeEndian.Uint32(v), binary.NativeEndian.Uint32(v[4:])
}

// Aged returns an address as it is some seconds later (negative: earlier); false if its lifetime is over.
func Aged(a Object, seconds int64) (Object, bool) {
	preferred, valid := Lifetimes(a)
	if valid == Forever {
		return a, true
	}
	if int64(valid) <= seconds {
		return a, false
	}
	left := func(v uint32) uint32 {
		if v == Forever {
			return v
		}
		return uint32(min(max(int64(v)-seconds, 0), int64(Forever)-1))
	}
	a = a.Clone()
	info := slices.Clone(a.Get(unix.IFA_CACHEINFO))
	binary.NativeEndian.PutUint32(info, min(left(preferred), left(valid)))
	binary.NativeEndian.PutUint32(info[4:], left(valid))
	a.Set(unix.IFA_CACHEINFO, info)
	return a, true
}

// WithLifetimes returns a with the lifetimes of another address.
func WithLifetimes(a, of Object) Object {
	if v := of.Get(unix.IFA_CACHEINFO); v != nil {
		a = a.Clone()
		a.Set(unix.IFA_CACHEINFO, v)
	}
	return a
}

// WithMetric returns a with the metric of another's connected route.
func WithMetric(a, of Object) Object {
	if a.Get32(IFAMetric) == of.Get32(IFAMetric) {
		return a
	}
	a = a.Clone()
	a.Drop(IFAMetric)
	if metric := of.Get32(IFAMetric); metric != 0 {
		a.Set32(IFAMetric, metric)
	}
	return a
}

func (c *Conn) AddAddress(a Object, to string) error {
	return c.Change(fmt.Sprintf("add %s to %s", AddressPrefix(a), to), unix.RTM_NEWADDR,
		unix.NLM_F_CREATE|unix.NLM_F_EXCL, a)
}

func (c *Conn) DeleteAddress(a Object, from string) error {
	return c.Change(fmt.Sprintf("take %s off %s", AddressPrefix(a), from), unix.RTM_DELADDR, 0, a)
}

// NewAddress makes an address.
func NewAddress(p netip.Prefix, index int) Object {
	o := Object{Head: make([]byte, AddressHeaderLen)}
	o.Head[0], o.Head[1] = unix.AF_INET, byte(p.Bits())
	if p.Addr().Is6() {
		o.Head[0] = unix.AF_INET6
	}
	o.SetIndex(index)
	a := p.Addr().AsSlice()
	o.Set(unix.IFA_LOCAL, a)
	o.Set(unix.IFA_ADDRESS, a)
	if p.Addr().Is4() && p.Bits() < 31 {
		brd := slices.Clone(a)
		for i := range brd {
			brd[i] |= ^mask4(p.Bits())[i]
		}
		o.Set(unix.IFA_BROADCAST, brd)
	}
	return o
}

func mask4(bits int) (m [4]byte) {
	binary.BigEndian.PutUint32(m[:], ^uint32(0)<<(32-bits))
	return m
}

// AddressPrefix returns the local address with its prefix length.
func AddressPrefix(o Object) netip.Prefix {
	b := o.Get(unix.IFA_LOCAL)
	if b == nil {
		b = o.Get(unix.IFA_ADDRESS)
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.PrefixFrom(a, int(o.Head[1]))
}

// AddressesOf lists the addresses of several links.
func (c *Conn) AddressesOf(links []int) ([]Object, error) {
	all, err := c.Dump(unix.RTM_GETADDR, unix.AF_UNSPEC, AddressHeaderLen)
	return slices.DeleteFunc(all, func(a Object) bool {
		return a.Family() != unix.AF_INET && a.Family() != unix.AF_INET6 || !slices.Contains(links, a.Index())
	}), err
}

// AddressesElsewhere lists the addresses of all links except one.
func (c *Conn) AddressesElsewhere(index int) ([]Object, error) {
	all, err := c.Dump(unix.RTM_GETADDR, unix.AF_UNSPEC, AddressHeaderLen)
	return slices.DeleteFunc(all, func(a Object) bool { return a.Index() == index }), err
}

func (c *Conn) AddMissingAddresses(want, have []Object, name string) error {
	for _, a := range want {
		if HasAddress(have, a) {
			continue
		}
		if err := c.AddAddress(a, name); err != nil {
			return err
		}
	}
	return nil
}

// AddAddressesInOrder adds IPv6 addresses so that they are listed in the order of want. Kernels put a new address
// before those of its scope, so the last is added first. If that fails, all are removed and added again, then in the
// other direction.
func (c *Conn) AddAddressesInOrder(want []Object, index int, name string) error {
	for try := 0; len(want) > 0; try++ {
		all, err := c.Addresses(index)
		if err != nil {
			return err
		}
		var have []Object
		for _, a := range all {
			if HasAddress(want, a) {
				have = append(have, a)
			}
		}
		if slices.EqualFunc(have, want, SameAddress) || try == 3 {
			return nil
		}
		if try > 0 {
			for _, a := range have {
				if err := c.DeleteAddress(a, name); err != nil {
					return err
				}
			}
			have = nil
		}
		next := slices.Clone(want)
		if try < 2 {
			slices.Reverse(next)
		}
		if err := c.AddMissingAddresses(next, have, name); err != nil {
			return err
		}
	}
	return nil
}

// EqualButLifetimes reports whether two addresses differ at most in lifetimes and origin (IFA_PROTO).
func EqualButLifetimes(a, b Object) bool {
	strip := func(o Object) Object {
		o = AddressRequest(o, o.Index(), 0)
		o.Drop(unix.IFA_CACHEINFO, ifaProtocol)
		return o
	}
	return strip(a).Equal(strip(b))
}

// RenewedAt returns when the lifetimes were last set, as time since boot (ifa_cacheinfo.tstamp, in 1/100 s).
func RenewedAt(o Object) time.Duration {
	v := o.Get(unix.IFA_CACHEINFO)
	if len(v) < 16 {
		return 0
	}
	return time.Duration(binary.NativeEndian.Uint32(v[12:])) * 10 * time.Millisecond
}

// LifetimesAt converts lifetimes that were read at one time to another time (both CLOCK_BOOTTIME, ns).
func LifetimesAt(o Object, read, at int64) Object {
	o, _ = Aged(o, (at-read)/int64(time.Second))
	return o
}

func OnlyIPv6(list []Object) []Object {
	return slices.DeleteFunc(slices.Clone(list), func(o Object) bool { return o.Family() != unix.AF_INET6 })
}

// EUI64Address returns the link-local address a with the interface identifier of another MAC.
func EUI64Address(a Object, mac frame.MAC) Object {
	var b [16]byte
	copy(b[:8], AddressPrefix(a).Addr().AsSlice())
	id := eui64(mac)
	copy(b[8:], id[:])
	a = AddressRequest(a, a.Index(), 0)
	a.Drop(unix.IFA_LOCAL, unix.IFA_CACHEINFO)
	a.Set(unix.IFA_ADDRESS, b[:])
	a.Set(ifaProtocol, []byte{protocolKernelLL})
	return a
}

// IsEUI64 reports whether the interface identifier is made of this MAC (RFC 4291, appendix A).
func IsEUI64(p netip.Prefix, mac frame.MAC) bool {
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

func AddressID(a Object) string {
	if a.Family() == unix.AF_INET6 {
		return string(AddressPrefix(a).Addr().AsSlice())
	}
	return fmt.Sprintf("%v %x", AddressPrefix(a), peer(a))
}

// MonotonicTime returns the time since boot without suspend in ns (CLOCK_MONOTONIC): the clock of cstamp and tstamp.
func MonotonicTime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}

// BootTime returns boot.Time in ns: address lifetimes go on during suspend.
func BootTime() int64 { return int64(boot.Time()) }
