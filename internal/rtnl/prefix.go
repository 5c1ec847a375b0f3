// SPDX-License-Identifier: MIT

package rtnl

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Prefix is an autonomous prefix of a router advertisement.
type Prefix struct {
	Index            int
	Prefix           netip.Prefix
	Preferred, Valid uint32
}

// ParsePrefix reads the body of an RTM_NEWPREFIX: family, 3 of padding, ifindex, type, length, flags, padding.
func ParsePrefix(b []byte) (Prefix, bool) {
	o, err := ParseObject(b, prefixHead)
	if err != nil || o.Family() != unix.AF_INET6 || o.Head[10]&prefixAutonomous == 0 {
		return Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(o.Get(prefixAddress))
	life := o.Get(prefixLifetimes)
	if !ok || !a.Is6() || len(life) < 8 {
		return Prefix{}, false
	}
	p, err := a.Prefix(int(o.Head[9]))
	return Prefix{int(int32(binary.NativeEndian.Uint32(o.Head[4:]))), p,
		binary.NativeEndian.Uint32(life), binary.NativeEndian.Uint32(life[4:])}, err == nil
}

const (
	RTMNewPrefix     = 52   // RTM_NEWPREFIX
	GroupIPv6Prefix  = 18   // RTNLGRP_IPV6_PREFIX
	prefixHead       = 12   // struct prefixmsg
	prefixAutonomous = 0x42 // IF_PREFIX_AUTOCONF, or the flag as in the option, which Linux 6.18 passes on
	prefixAddress    = 1    // PREFIX_ADDRESS
	prefixLifetimes  = 2    // PREFIX_CACHEINFO
)
