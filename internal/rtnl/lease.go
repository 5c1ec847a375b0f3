// SPDX-License-Identifier: MIT

package rtnl

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// WithLifetime returns an address that is valid and preferred for some seconds, or Forever.
func WithLifetime(a Object, seconds uint32) Object {
	a = a.Clone()
	info := make([]byte, 16) // struct ifa_cacheinfo
	binary.NativeEndian.PutUint32(info, seconds)
	binary.NativeEndian.PutUint32(info[4:], seconds)
	a.Set(unix.IFA_CACHEINFO, info)
	return a
}

// NewLeaseRoute makes an IPv4 route as a DHCP client does. Without a gateway the destination is on the link.
func NewLeaseRoute(to netip.Prefix, via netip.Addr, index int) Object {
	r := Object{Head: make([]byte, HeaderLen)}
	r.Head[0], r.Head[rtDstLen] = unix.AF_INET, byte(to.Bits())
	r.Head[rtTable], r.Head[rtProto], r.Head[rtType] = unix.RT_TABLE_MAIN, unix.RTPROT_DHCP, unix.RTN_UNICAST
	if to.Bits() > 0 {
		r.Set(unix.RTA_DST, to.Addr().AsSlice())
	}
	if via.IsValid() {
		r.Set(unix.RTA_GATEWAY, via.AsSlice())
	} else {
		r.Head[rtScope] = unix.RT_SCOPE_LINK
	}
	r.Set32(unix.RTA_OIF, uint32(index))
	return r
}
