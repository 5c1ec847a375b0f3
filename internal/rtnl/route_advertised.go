// SPDX-License-Identifier: MIT

package rtnl

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// IPv6 routes that the kernel learned from router advertisements: default routes, route information, on-link prefixes.
// The kernel maintains them only while it knows that they are its own, and rtnetlink cannot create such a route: a copy
// makes the kernel's own fail, and the kernel drops each later advertisement of that router. So these routes are not
// moved. The target link gets an advertisement with what the other link's kernel had learned.

// Flags of /proc/net/ipv6_route and of SIOCADDRT (linux/ipv6_route.h, linux/route.h).
const (
	rtfUp        = 0x0001
	rtfGateway   = 0x0002
	rtfDefault   = 0x0001_0000
	rtfAddrConf  = 0x0004_0000 // from an advertisement
	rtfPrefix    = 0x0008_0000
	rtfExpires   = 0x0040_0000
	rtfRouteInfo = 0x0080_0000
	rtfPrefShift = 27
)

// procRoute identifies a route in /proc/net/ipv6_route.
type procRoute struct {
	dst, gateway [16]byte
	bits         byte
	metric       uint32
	link         string
}

// parseProcRoutes returns the routes in /proc/net/ipv6_route that came from advertisements. Fields: destination, bits,
// source, bits, gateway, metric, references, use, flags, link.
func parseProcRoutes(in io.Reader) map[procRoute]bool {
	learned := map[procRoute]bool{}
	for s := bufio.NewScanner(in); s.Scan(); {
		f := bytes.Fields(s.Bytes())
		if len(f) < 10 {
			continue
		}
		flags, err := strconv.ParseUint(string(f[8]), 16, 32)
		if err != nil || flags&rtfAddrConf == 0 {
			continue
		}
		r := procRoute{link: string(f[9])}
		bits, err1 := strconv.ParseUint(string(f[1]), 16, 8)
		metric, err2 := strconv.ParseUint(string(f[5]), 16, 32)
		if err1 != nil || err2 != nil || len(f[0]) != 32 || len(f[4]) != 32 {
			continue
		}
		_, err1 = hex.Decode(r.dst[:], f[0])
		_, err2 = hex.Decode(r.gateway[:], f[4])
		if err1 != nil || err2 != nil {
			continue
		}
		r.bits, r.metric = byte(bits), uint32(metric)
		learned[r] = true
	}
	return learned
}

// procKey returns the route's identity in /proc/net/ipv6_route.
func procKey(r Object, link string) procRoute {
	k := procRoute{bits: r.Head[rtDstLen], metric: r.Get32(unix.RTA_PRIORITY), link: link}
	copy(k.dst[:], r.Get(unix.RTA_DST))
	copy(k.gateway[:], r.Get(unix.RTA_GATEWAY))
	return k
}

// learnable reports whether the kernel may have learned the route from an advertisement.
func learnable(r Object) bool {
	return r.Family() == unix.AF_INET6 && !kernelManages(r) && len(RouteLinks(r)) == 1 && r.Get(RTANexthopID) == nil
}

// splitAdvertised separates routes that somebody made from those that the kernel learned from advertisements.
func (c *Conn) splitAdvertised(all []Object) (made, advertised []Object, err error) {
	if !slices.ContainsFunc(all, learnable) {
		return all, nil, nil
	}
	f, err := os.Open("/proc/thread-self/net/ipv6_route")
	if errors.Is(err, os.ErrNotExist) {
		return all, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list routes: %w", err)
	}
	defer f.Close()
	learned := parseProcRoutes(f)
	if len(learned) == 0 {
		return all, nil, nil
	}
	links, err := c.Dump(unix.RTM_GETLINK, unix.AF_UNSPEC, LinkHeaderLen)
	if err != nil {
		return nil, nil, err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Index()] = l.Text(unix.IFLA_IFNAME)
	}
	for _, r := range all {
		if learnable(r) && learned[procKey(r, names[RouteLinks(r)[0]])] {
			advertised = append(advertised, r)
		} else {
			made = append(made, r)
		}
	}
	return made, advertised, nil
}

// AdvertisedRoutes lists the routes of all links that the kernel learned from advertisements.
func (c *Conn) AdvertisedRoutes() ([]Object, error) {
	all, err := c.routesOfFamily(unix.AF_INET6)
	if err != nil {
		return nil, err
	}
	_, advertised, err := c.splitAdvertised(all)
	return advertised, err
}

// RouteLifetime returns the remaining lifetime in seconds, Forever if it has none.
func RouteLifetime(r Object) uint32 {
	if v := r.Get(unix.RTA_CACHEINFO); len(v) >= 12 {
		// struct rta_cacheinfo: clntref, lastuse, expires, …
		if expires := int32(binary.NativeEndian.Uint32(v[8:])); expires > 0 {
			return uint32(max(expires/UserHZ, 1))
		}
	}
	return Forever
}

// AgedRoutes returns routes as they are some seconds later, without expired ones.
func AgedRoutes(list []Object, seconds int64) []Object {
	var out []Object
	for _, r := range list {
		left := RouteLifetime(r)
		if left == Forever {
			out = append(out, r)
			continue
		}
		if int64(left) <= seconds {
			continue
		}
		r = r.Clone()
		info := slices.Clone(r.Get(unix.RTA_CACHEINFO))
		binary.NativeEndian.PutUint32(info[8:], (left-uint32(seconds))*UserHZ)
		r.Set(unix.RTA_CACHEINFO, info)
		out = append(out, r)
	}
	return out
}

// SameAdvertised reports whether a and b are the same route on their links.
func SameAdvertised(a, b Object) bool { return procKey(a, "") == procKey(b, "") }

func HasAdvertised(list []Object, r Object) bool {
	return slices.ContainsFunc(list, func(o Object) bool { return SameAdvertised(o, r) })
}

func Gateway(r Object) netip.Addr {
	a, _ := netip.AddrFromSlice(r.Get(unix.RTA_GATEWAY))
	return a
}

func RouterPreference(r Object) uint8 {
	if v := r.Get(rtaPref); len(v) == 1 {
		return v[0] & 3
	}
	return frame.RouterMedium
}

// HopLimit returns the advertised hop limit, 0 for none.
func HopLimit(r Object) uint8 {
	return uint8(r.Nest(unix.RTA_METRICS).Get32(rtaxHopLimit))
}

// AddAdvertisedRoute adds a route that the kernel treats as learned. It is shown with another protocol.
func (c *Conn) AddAdvertisedRoute(r Object, index int) error {
	what := "add " + RouteText(r)
	if err := c.FaultPoint(what); err != nil {
		return err
	}
	if err := ioctlRoute(r, index); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// in6Route is struct in6_rtmsg.
type in6Route struct {
	dst, src, gateway [16]byte
	kind              uint32
	dstLen, srcLen    uint16
	metric            uint32
	expires           uintptr // in USER_HZ
	flags             uint32
	index             int32
}

// ioctlRoute adds a route with the flags of a learned one (SIOCADDRT).
func ioctlRoute(r Object, index int) error {
	m := in6Route{dstLen: uint16(r.Head[rtDstLen]), metric: r.Get32(unix.RTA_PRIORITY), flags: rtfUp | rtfAddrConf,
		index: int32(index)}
	copy(m.dst[:], r.Get(unix.RTA_DST))
	copy(m.gateway[:], r.Get(unix.RTA_GATEWAY))
	switch {
	case !Gateway(r).IsValid():
		m.flags |= rtfPrefix
	case m.dstLen == 0:
		m.flags |= rtfGateway | rtfDefault
	default:
		m.flags |= rtfGateway | rtfRouteInfo
	}
	m.flags |= uint32(RouterPreference(r)) << rtfPrefShift
	if left := RouteLifetime(r); left != Forever {
		m.flags |= rtfExpires
		m.expires = uintptr(left) * UserHZ
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT,
		uintptr(unsafe.Pointer(&m))); errno != 0 {
		return errno
	}
	return nil
}
