// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/rtnl"
)

// Some network managers (dhcpcd, NetworkManager, systemd-networkd) have a NIC's kernel ignore router advertisements and
// do what they say themselves. A manager that is not at the adapter does not hear the routers any more. In its place:
//
//	its addresses    get the lifetimes of each advertisement of their prefix, as its kernel would give them
//	its routes       end when their router says so, or is silent for the lifetime that it advertised last
//	default route    one by the advertising router, with its lifetime, if the adapter has none
//
// What was never advertised since the process began stays as it is.

// raKeeper keeps what managers made of router advertisements.
type raKeeper struct {
	h       *Host
	adapter int
	ends    map[string]time.Time // of routes, by rtnl.RouteID
}

// KeepFromRAs keeps what the members' network managers had made of router advertisements, until ctx ends. While served
// reports true, a manager does so at the adapter.
func (h *Host) KeepFromRAs(ctx context.Context, adapter int, served func() bool) {
	k := &raKeeper{h: h, adapter: adapter, ends: map[string]time.Time{}}
	for last := ""; ctx.Err() == nil; {
		err := k.listen(ctx, served)
		if err != nil && ctx.Err() == nil && err.Error() != last {
			h.log.Warn("router advertisements not heard", "err", err)
			last = err.Error()
		}
		select {
		case <-ctx.Done():
		case <-time.After(rtnl.ReopenGap):
		}
	}
}

// maxRA bounds a router advertisement: a jumbo frame.
const maxRA = 9216

// listen handles advertisements until ctx ends or the socket breaks.
func (k *raKeeper) listen(ctx context.Context, served func() bool) error {
	c, err := listenRAs(ctx, k.adapter)
	if err != nil {
		return fmt.Errorf("open a socket for router advertisements: %w", err)
	}
	defer context.AfterFunc(ctx, func() { c.Close() })()
	defer c.Close()
	b, control := make([]byte, maxRA), make([]byte, unix.CmsgSpace(4))
	for {
		_ = c.SetReadDeadline(k.nextEnd())
		n, controlLen, _, from, err := c.ReadMsgIP(b, control)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = nil
			if !served() {
				err = k.endRoutes(time.Now())
			}
		case err != nil:
			return err
		default:
			source, _ := netip.AddrFromSlice(from.IP)
			a, ok := frame.ParseRouterAdvert(b[:n])
			ok = ok && source.IsLinkLocalUnicast() && hopLimit(control[:controlLen]) == 255
			if a.From = source; ok && !served() {
				err = k.keep(a, time.Now())
			}
		}
		if err != nil {
			k.h.log.Warn("what a router advertised is not kept", "err", err)
		}
	}
}

// listenRAs opens a socket that hears the router advertisements that a link receives.
func listenRAs(ctx context.Context, index int) (*net.IPConn, error) {
	l := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		if e := raw.Control(func(fd uintptr) { err = onlyRAs(int(fd), index) }); e != nil {
			return e
		}
		return err
	}}
	c, err := l.ListenPacket(ctx, "ip6:ipv6-icmp", "::")
	if err != nil {
		return nil, err
	}
	return c.(*net.IPConn), nil
}

func onlyRAs(fd, index int) error {
	var block unix.ICMPv6Filter
	for i := range block.Data {
		block.Data[i] = ^uint32(0)
	}
	const ra = uint(frame.ICMPv6RouterAdvertisement)
	block.Data[ra/32] &^= 1 << (ra % 32)
	return errors.Join(
		unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &block),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index),
		unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1),
	)
}

// hopLimit returns the hop limit in control messages, -1 for none.
func hopLimit(control []byte) int {
	list, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return -1
	}
	for _, m := range list {
		if m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT && len(m.Data) >= 4 {
			return int(int32(binary.NativeEndian.Uint32(m.Data)))
		}
	}
	return -1
}

// keep does what an advertisement says.
func (k *raKeeper) keep(a frame.RouterAdvert, now time.Time) error {
	h := k.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil {
		return nil
	}
	have, err := h.linkConfig(k.adapter)
	if err != nil {
		return err
	}
	var errs []error
	formed := false // by managers, of this advertisement
	for _, p := range a.Prefixes {
		if !p.Autonomous {
			continue
		}
		formed = formed || slices.ContainsFunc(have.Addresses, func(o rtnl.Object) bool {
			_, _, ok := h.journal.State.ManagedAddress(o)
			return ok && rtnl.AddressPrefix(o).Masked() == p.Prefix
		})
		errs = append(errs, h.refreshAddresses(k.adapter, have.Addresses,
			rtnl.Prefix{Index: k.adapter, Prefix: p.Prefix, Preferred: p.Preferred, Valid: p.Valid},
			h.journal.State.ManagedAddress))
	}
	errs = append(errs, k.keepRoutes(managedRoutes(have.Routes), a, now))
	if formed && a.Lifetime > 0 {
		errs = append(errs, k.keepDefaultRoute(a))
	}
	return errors.Join(errs...)
}

// managedRoutes returns those of a link's routes that managers made of router advertisements.
func managedRoutes(list []rtnl.Object) []rtnl.Object {
	return slices.DeleteFunc(slices.Clone(list), func(r rtnl.Object) bool {
		return r.Family() != unix.AF_INET6 || rtnl.RouteProtocol(r) != unix.RTPROT_RA || len(rtnl.RouteLinks(r)) != 1
	})
}

// keepRoutes notes until when routes hold, and removes those that the router withdraws.
func (k *raKeeper) keepRoutes(list []rtnl.Object, a frame.RouterAdvert, now time.Time) error {
	var errs []error
	known := map[string]time.Time{} // those that still are there
	for _, r := range list {
		id := rtnl.RouteID(r)
		if end, ok := k.ends[id]; ok {
			known[id] = end
		}
		left, ok := routeLifetime(r, a)
		switch {
		case !ok:
		case left == 0:
			delete(known, id)
			errs = append(errs, k.h.rt.DeleteRoute(rtnl.RouteRequest(r, nil)))
		case left == rtnl.Forever:
			delete(known, id)
		default:
			known[id] = now.Add(time.Duration(left) * time.Second)
			if rtnl.RouteLifetime(r) != rtnl.Forever {
				errs = append(errs, k.h.rt.Change("refresh "+rtnl.RouteText(r), unix.RTM_NEWROUTE,
					unix.NLM_F_CREATE|unix.NLM_F_REPLACE, rtnl.WithRouteLifetime(r, left)))
			}
		}
	}
	k.ends = known
	return errors.Join(errs...)
}

// routeLifetime returns what an advertisement says about a route, in seconds. ok is false if it says nothing.
func routeLifetime(r rtnl.Object, a frame.RouterAdvert) (left uint32, ok bool) {
	dst, gateway := rtnl.Destination(r), rtnl.Gateway(r)
	if !gateway.IsValid() {
		for _, p := range a.Prefixes {
			if p.OnLink && p.Prefix == dst {
				return p.Valid, true
			}
		}
		return 0, false
	}
	if gateway != a.From {
		return 0, false
	}
	for _, o := range a.Routes {
		if o.Prefix == dst {
			return o.Lifetime, true
		}
	}
	return uint32(a.Lifetime), dst.Bits() == 0
}

// keepDefaultRoute adds a default route by an advertising router if the adapter has none and its kernel does not learn
// one.
func (k *raKeeper) keepDefaultRoute(a frame.RouterAdvert) error {
	n, err := k.h.nicAt(k.adapter)
	if err != nil || acceptsRAs(n.Name) {
		return err
	}
	all, err := k.h.rt.LinkRoutes(k.adapter)
	if err != nil || slices.ContainsFunc(all,
		func(r rtnl.Object) bool { return r.Family() == unix.AF_INET6 && rtnl.RouteBits(r) == 0 }) {
		return err
	}
	return k.h.rt.AddRoute(rtnl.NewRouterRoute(a.From, k.adapter, uint32(a.Lifetime)))
}

// nextEnd returns when the next route ends, zero for never.
func (k *raKeeper) nextEnd() (next time.Time) {
	for _, end := range k.ends {
		if next.IsZero() || end.Before(next) {
			next = end
		}
	}
	return next
}

// endRoutes removes routes whose time is over.
func (k *raKeeper) endRoutes(now time.Time) error {
	h := k.h
	h.mu.Lock()
	defer h.mu.Unlock()
	over := map[string]bool{}
	for id, end := range k.ends {
		if !now.Before(end) {
			over[id] = true
			delete(k.ends, id)
		}
	}
	have, err := h.linkConfig(k.adapter)
	if err != nil || h.journal == nil {
		return err
	}
	var errs []error
	for _, r := range managedRoutes(have.Routes) {
		if !over[rtnl.RouteID(r)] {
			continue
		}
		if err := h.rt.DeleteRoute(rtnl.RouteRequest(r, nil)); !errors.Is(err, unix.ESRCH) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
