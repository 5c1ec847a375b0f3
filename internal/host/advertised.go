package host

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
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
)

// The IPv6 routes that the kernel learns from router advertisements: default routes, routes of a router, prefixes on the link.
// It keeps them by itself as long as it knows that they are its own, and rtnetlink cannot make such a route: a copy
// makes the kernel's own fail, and the kernel drops each later advertisement of that router. So they are not moved: the
// link that is to have them is handed an advertisement that says what the other link's kernel had learned.

// Flags of /proc/net/ipv6_route and of SIOCADDRT (linux/ipv6_route.h, linux/route.h).
const (
	rtfUp        = 0x0001
	rtfGateway   = 0x0002
	rtfDefault   = 0x0001_0000
	rtfAddrConf  = 0x0004_0000 // learned from an advertisement
	rtfPrefix    = 0x0008_0000
	rtfExpires   = 0x0040_0000
	rtfRouteInfo = 0x0080_0000
	rtfPrefShift = 27
)

const (
	rtaPref      = 20 // RTA_PREF
	rtaxHopLimit = 10 // RTAX_HOPLIMIT
	maxLifetime  = 65535
	// maxOptions bounds the options of an advertisement, so that it fits every MTU of IPv6.
	maxOptions = 32
)

const (
	// advertisedIn bounds the wait for the kernel to take an advertisement: a link's IPv6 begins a moment after its carrier.
	advertisedIn = 500 * time.Millisecond
	// formedIn bounds it where only an address is missing: the kernel may form another one.
	formedIn = 50 * time.Millisecond
	// noCarrierIn bounds it where the link has no carrier, without which IPv6 does not begin.
	noCarrierIn = 100 * time.Millisecond
)

// procRoute is what tells routes of /proc/net/ipv6_route apart here.
type procRoute struct {
	dst, gateway [16]byte
	bits         byte
	metric       uint32
	link         string
}

// parseProcRoutes finds the routes that the kernel learned from advertisements in /proc/net/ipv6_route: destination, bits,
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

// procKey is a route's name in /proc/net/ipv6_route.
func procKey(r object, link string) procRoute {
	k := procRoute{bits: r.head[rtDstLen], metric: r.get32(unix.RTA_PRIORITY), link: link}
	copy(k.dst[:], r.get(unix.RTA_DST))
	copy(k.gateway[:], r.get(unix.RTA_GATEWAY))
	return k
}

// learnable reports whether the kernel may have learned a route from an advertisement.
func learnable(r object) bool {
	return r.family() == unix.AF_INET6 && !kernelKeeps(r) && len(routeLinks(r)) == 1 && r.get(rtaNexthop) == nil
}

// splitAdvertised parts routes into those that somebody made and those that the kernel learned from advertisements.
func (h *Host) splitAdvertised(all []object) (made, advertised []object, err error) {
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
	links, err := h.links()
	if err != nil {
		return nil, nil, err
	}
	names := map[int]string{}
	for _, n := range links {
		names[n.Index] = n.Name
	}
	for _, r := range all {
		if learnable(r) && learned[procKey(r, names[routeLinks(r)[0]])] {
			advertised = append(advertised, r)
		} else {
			made = append(made, r)
		}
	}
	return made, advertised, nil
}

// advertisedRoutes lists the routes that the kernel learned from advertisements, of all links.
func (h *Host) advertisedRoutes() ([]object, error) {
	all, err := h.routesOfFamily(unix.AF_INET6)
	if err != nil {
		return nil, err
	}
	_, advertised, err := h.splitAdvertised(all)
	return advertised, err
}

// routeLifetime is for how many seconds a route is still good; all ones: for ever.
func routeLifetime(r object) uint32 {
	if v := r.get(unix.RTA_CACHEINFO); len(v) >= 12 {
		// struct rta_cacheinfo: clntref, lastuse, expires, …
		if expires := int32(binary.NativeEndian.Uint32(v[8:])); expires > 0 {
			return uint32(max(expires/userHZ, 1))
		}
	}
	return forever
}

// agedRoutes are routes as they are some seconds later, without those that have run out.
func agedRoutes(list []object, seconds int64) []object {
	var out []object
	for _, r := range list {
		left := routeLifetime(r)
		if left == forever {
			out = append(out, r)
			continue
		}
		if int64(left) <= seconds {
			continue
		}
		r = r.clone()
		info := slices.Clone(r.get(unix.RTA_CACHEINFO))
		binary.NativeEndian.PutUint32(info[8:], (left-uint32(seconds))*userHZ)
		r.set(unix.RTA_CACHEINFO, info)
		out = append(out, r)
	}
	return out
}

// sameAdvertised reports whether a and b say the same of their links.
func sameAdvertised(a, b object) bool { return procKey(a, "") == procKey(b, "") }

func hasAdvertised(list []object, r object) bool {
	return slices.ContainsFunc(list, func(o object) bool { return sameAdvertised(o, r) })
}

func gateway(r object) netip.Addr {
	a, _ := netip.AddrFromSlice(r.get(unix.RTA_GATEWAY))
	return a
}

func preference(r object) uint8 {
	if v := r.get(rtaPref); len(v) == 1 {
		return v[0] & 3
	}
	return frame.RouterMedium
}

// hopLimit is the hop limit that a router advertised, 0 for none.
func hopLimit(r object) uint8 {
	return uint8(r.nest(unix.RTA_METRICS).get32(rtaxHopLimit))
}

// nobody is the sender of an advertisement that has no router. Its lifetime as a router is 0, so no route is made by it.
var nobody = netip.MustParseAddr("fe80::ffff:ffff:ffff:ffff")

// advertisements say what routes do, and have addresses formed: one or more for each router.
func advertisements(l learning, macs map[netip.Addr]frame.MAC) [][]byte {
	var order []netip.Addr
	by := map[netip.Addr]*frame.RouterAdvert{}
	from := func(router netip.Addr) *frame.RouterAdvert {
		if by[router] == nil {
			order = append(order, router)
			by[router] = &frame.RouterAdvert{From: router, MAC: macs[router], Managed: l.says.Managed, Other: l.says.Other, MTU: l.says.MTU}
		}
		return by[router]
	}
	for _, r := range l.routes {
		if r.head[rtDstLen] == 0 && gateway(r).IsValid() {
			a := from(gateway(r))
			a.Lifetime = uint16(min(routeLifetime(r), maxLifetime))
			a.Preference, a.HopLimit = preference(r), hopLimit(r)
		}
	}
	anybody := func() *frame.RouterAdvert {
		if len(order) == 0 {
			return from(nobody)
		}
		return from(order[0])
	}
	for _, r := range l.routes {
		left := routeLifetime(r)
		switch {
		case r.head[rtDstLen] == 0 && gateway(r).IsValid():
		case gateway(r).IsValid():
			a := from(gateway(r))
			a.Routes = append(a.Routes, frame.AdvertisedRoute{Prefix: destination(r), Preference: preference(r), Lifetime: left})
		default:
			a := anybody()
			a.Prefixes = append(a.Prefixes, frame.AdvertisedPrefix{Prefix: destination(r), OnLink: true, Valid: left, Preferred: left})
		}
	}
	for _, o := range l.form {
		preferred, valid := lifetimes(o)
		a := anybody()
		a.Prefixes = append(a.Prefixes, frame.AdvertisedPrefix{
			Prefix: addressPrefix(o).Masked(), Autonomous: true, Valid: valid, Preferred: min(preferred, valid)})
	}
	var frames [][]byte
	for _, router := range order {
		all := *by[router]
		for first := true; first || len(all.Prefixes)+len(all.Routes) > 0; first = false {
			part := all
			n := min(len(all.Prefixes), maxOptions)
			part.Prefixes, all.Prefixes = all.Prefixes[:n], all.Prefixes[n:]
			n = min(len(all.Routes), maxOptions-n)
			part.Routes, all.Routes = all.Routes[:n], all.Routes[n:]
			frames = append(frames, part.Frame())
		}
	}
	return frames
}

// learning is what a link is to learn from routers.
type learning struct {
	routes []object
	form   []object // addresses
	says   linkSays
}

// teach gives a link what the kernel learned on another: by advertisements, and where those are not taken, such as by a
// link without carrier, routes as routes that the kernel holds for learned, and addresses as ones that it refreshes.
func (h *Host) teach(to NIC, l learning) error {
	if len(l.routes)+len(l.form) == 0 {
		return nil
	}
	if err := h.at("hand " + to.Name + " a router advertisement"); err != nil {
		return err
	}
	left, err := h.advertise(to, l)
	if err != nil {
		return err
	}
	for _, r := range left.routes {
		if err := h.addAdvertised(r, to); err != nil {
			return err
		}
	}
	for _, a := range left.form {
		// The prefix's route is not this address's.
		if err := h.addAddress(forLink(a, to.Index, unix.IFA_F_NOPREFIXROUTE), to.Name); err != nil {
			return err
		}
	}
	return nil
}

// advertise hands a link advertisements until it has learned, and returns what it has not.
func (h *Host) advertise(to NIC, l learning) (left learning, err error) {
	macs, err := h.routerMACs(to.Index)
	if err != nil {
		return l, err
	}
	if !takesAdvertisements(to.Name) {
		return h.unlearned(to, l)
	}
	frames := advertisements(l, macs)
	inject, err := newInjector()
	if err != nil {
		h.log.Debug("no router advertisement handed over", "nic", to.Name, "err", err)
		return h.unlearned(to, l)
	}
	defer inject.close()
	for begun := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		for _, f := range frames {
			if err := inject.receive(to.Index, f); err != nil {
				h.log.Debug("no router advertisement handed over", "nic", to.Name, "err", err)
				return h.unlearned(to, l)
			}
		}
		left, err := h.unlearned(to, l)
		waited := time.Since(begun)
		patience := advertisedIn
		switch {
		case len(left.routes)+len(left.form) == 0:
			patience = 0
		case len(left.routes) == 0:
			patience = formedIn
		case !h.probe.carrier(to.Index):
			patience = noCarrierIn
		}
		if err != nil || waited >= patience {
			return left, err
		}
	}
}

// takesAdvertisements reports whether the kernel minds routers on a link (ipv6_accept_ra in net/ipv6/ndisc.c).
func takesAdvertisements(nic string) bool {
	accept, ok := readSysctl(nic, "ipv6/accept_ra")
	return ok && accept != "0" && (accept == "2" || !forwards(nic))
}

// unlearned is what a link does not have of what it is to learn.
func (h *Host) unlearned(to NIC, l learning) (learning, error) {
	all, err := h.advertisedRoutes()
	if err != nil {
		return l, err
	}
	have, err := h.addresses(to.Index)
	if err != nil {
		return l, err
	}
	mine := routesOf(all, to.Index)
	return learning{
		routes: slices.DeleteFunc(slices.Clone(l.routes), func(r object) bool { return hasAdvertised(mine, r) }),
		form:   slices.DeleteFunc(slices.Clone(l.form), func(a object) bool { return hasAddress(have, a) }),
		says:   l.says,
	}, nil
}

// routerMACs are the MACs of a link's routers as far as it knows them.
func (h *Host) routerMACs(index int) (map[netip.Addr]frame.MAC, error) {
	list, err := h.learned(index)
	if err != nil {
		return nil, err
	}
	macs := map[netip.Addr]frame.MAC{}
	for _, n := range list {
		if b := n.get(unix.NDA_LLADDR); len(b) == 6 {
			macs[neighbourAddr(n)] = frame.MACAt(b, 0)
		}
	}
	return macs, nil
}

// addAdvertised makes a route that the kernel holds for one of its own. It is shown as one of another protocol.
func (h *Host) addAdvertised(r object, to NIC) error {
	what := "add " + routeText(r)
	if err := h.at(what); err != nil {
		return err
	}
	if err := ioctlRoute(r, to.Index); err != nil && !errors.Is(err, unix.EEXIST) {
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

// ioctlRoute adds a route with the flags of one that the kernel learned from an advertisement.
func ioctlRoute(r object, index int) error {
	m := in6Route{dstLen: uint16(r.head[rtDstLen]), metric: r.get32(unix.RTA_PRIORITY), flags: rtfUp | rtfAddrConf, index: int32(index)}
	copy(m.dst[:], r.get(unix.RTA_DST))
	copy(m.gateway[:], r.get(unix.RTA_GATEWAY))
	switch {
	case !gateway(r).IsValid():
		m.flags |= rtfPrefix
	case m.dstLen == 0:
		m.flags |= rtfGateway | rtfDefault
	default:
		m.flags |= rtfGateway | rtfRouteInfo
	}
	m.flags |= uint32(preference(r)) << rtfPrefShift
	if left := routeLifetime(r); left != forever {
		m.flags |= rtfExpires
		m.expires = uintptr(left) * userHZ
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCADDRT, uintptr(unsafe.Pointer(&m))); errno != 0 {
		return errno
	}
	return nil
}
