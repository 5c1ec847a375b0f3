// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
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
		if k.needed() && !served() {
			err := k.listen(ctx, served)
			if err != nil && ctx.Err() == nil && err.Error() != last {
				h.log.Warn("router advertisements not heard", "err", err)
				last = err.Error()
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(keepEvery):
		}
	}
}

// keepEvery is how often it is looked whether there is something to keep, and the wait after a broken socket.
const keepEvery = time.Second

// needed reports whether managers' addresses are on the adapter. It reads the journal in memory only.
func (k *raKeeper) needed() bool {
	k.h.mu.Lock()
	defer k.h.mu.Unlock()
	return k.h.journal != nil && k.h.journal.State.HasManagedAddress()
}

// maxRA bounds a router advertisement: a jumbo frame.
const maxRA = 9216

// listen handles advertisements until ctx ends or the socket breaks.
func (k *raKeeper) listen(ctx context.Context, served func() bool) error {
	f, err := listenRAs(k.adapter)
	if err != nil {
		return fmt.Errorf("open a socket for router advertisements: %w", err)
	}
	defer context.AfterFunc(ctx, func() { f.Close() })()
	defer f.Close()
	b := make([]byte, maxRA)
	for {
		_ = f.SetReadDeadline(k.nextEnd())
		n, err := f.Read(b)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = nil
			if !served() {
				err = k.endRoutes(time.Now())
			}
		case errors.Is(err, unix.ENETDOWN):
			continue // the adapter went down, and the socket works when it is up again
		case err != nil:
			return err
		default:
			if a, ok := frame.ParseRouterAdvert(b[:n]); ok && !served() {
				err = k.keep(a, time.Now())
			}
		}
		if err != nil {
			k.h.log.Warn("what a router advertised is not kept", "err", err)
		}
	}
}

// listenRAs opens a packet socket that hears the router advertisements that a link receives. A raw ICMPv6 socket would
// hear none where a unit has IPAddressDeny.
func listenRAs(index int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	p := raFilter()
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]})
	if err == nil {
		var protocol [2]byte // in network order
		binary.BigEndian.PutUint16(protocol[:], unix.ETH_P_IPV6)
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(protocol[:]), Ifindex: index})
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "router advertisements"), nil
}

// raFilter is the classic BPF program of the socket. Its offsets count from the IPv6 header.
func raFilter() []unix.SockFilter {
	const (
		load = unix.BPF_LD | unix.BPF_B | unix.BPF_ABS
		is   = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret  = unix.BPF_RET | unix.BPF_K
	)
	return []unix.SockFilter{
		{Code: load, K: 6}, // next header
		{Code: is, K: unix.IPPROTO_ICMPV6, Jf: 3},
		{Code: load, K: 40}, // ICMPv6 type
		{Code: is, K: 134, Jf: 1},
		{Code: ret, K: maxRA},
		{Code: ret, K: 0},
	}
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
