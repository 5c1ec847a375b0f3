package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Adapter is the adapter as Look finds it.
type Adapter struct {
	LinkFacts
	Addresses []netip.Prefix
	Left      []netip.Prefix // its addresses that went since the last look, by other hands or because their time was over
	Back      []string       // what it lost by going down and has again
	Lost      []string       // what it lost by that and could not be given again, with the reason
	Leases    []Lease
}

// Look reads the adapter, gives it back what it lost by going down and up again, and has the journal forget what somebody
// took from it. The error is ErrNoNIC where there is no adapter any more.
func (f *Follower) Look() (a Adapter, err error) {
	f.look.Lock()
	defer f.look.Unlock()
	if a.LinkFacts, err = f.h.Facts(f.adapter); err != nil {
		return a, err
	}
	have, clean, err := f.readAdapter()
	if err != nil || !clean {
		return a, err // an event has come that leads to another look
	}
	removed := except(f.known.Routes, have.Routes, routeID)
	if before := f.takeBefore(a.Up); before != nil {
		removed = except(f.known.Routes, before.Routes, routeID)
		a.Back, a.Lost = f.h.putBack(f.adapter, a, before, have)
		if have, clean, err = f.readAdapter(); err != nil || !clean {
			return a, err
		}
	}
	went := except(append(f.takeGone(), f.known.Addresses...), have.Addresses, addressID)
	if !a.Up {
		// IPv4 addresses stay while a link is down, the rest comes back with it.
		removed = nil
		f.fellWithout(have.Addresses)
		went = slices.DeleteFunc(went, func(o object) bool { return o.family() == unix.AF_INET6 })
		have.Routes = f.known.Routes
		have.Addresses = append(have.Addresses, except(only6(f.known.Addresses), have.Addresses, addressID)...)
	}
	f.known = have
	for _, o := range have.Addresses {
		a.Addresses = append(a.Addresses, addressPrefix(o))
	}
	a.Leases = f.h.leases(have.Addresses)
	for _, o := range went {
		a.Left = append(a.Left, addressPrefix(o))
	}
	return a, f.h.forget(f.adapter, belongings{Addresses: went, Routes: removed})
}

// Last is what the adapter had when it was looked at last, which is what it had when it went away.
func (f *Follower) last() (belongings, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchUp()
	if f.fallen != nil {
		return f.fallen.belongings, f.fallen.at
	}
	for _, m := range f.since {
		f.kept.take(m, f.adapter, f.at)
	}
	f.since = nil
	return f.kept, f.at
}

// readAdapter reads the adapter's belongings and keeps them. It is not clean if the adapter went down meanwhile, or events
// were missed: then what was kept is right, or nothing is.
func (f *Follower) readAdapter() (have belongings, clean bool, err error) {
	f.mu.Lock()
	f.catchUp()
	downs, missed := f.downs, f.missed
	begun := len(f.since)
	f.mu.Unlock()

	at := bootTime()
	have, err = f.h.belongings(f.adapter)

	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchUp()
	if err != nil || downs != f.downs || missed != f.missed {
		return have, false, err
	}
	if f.up {
		f.kept, f.at = have, at
		f.since = slices.Clone(f.since[min(begun, len(f.since)):])
	}
	return have, true, nil
}

// takeGone are the addresses that went since it was last asked, but for those that the adapter was known to have.
func (f *Follower) takeGone() []object {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := except(f.gone, f.known.Addresses, addressID)
	f.gone = nil
	return gone
}

// fellWithout takes in which addresses the adapter has while it is down.
func (f *Follower) fellWithout(have []object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fallen != nil {
		gone := slices.DeleteFunc(except(f.fallen.Addresses, have, addressID), func(o object) bool {
			return o.family() == unix.AF_INET6 && hasAddress(f.before.Addresses, o) // it went by going down
		})
		f.fallen.Addresses = except(f.fallen.Addresses, gone, addressID)
	}
}

// takeBefore is what the adapter had before it went down, once it is up again.
func (f *Follower) takeBefore(up bool) *past {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !up || !f.up {
		return nil
	}
	b := f.before
	f.before, f.fallen = nil, nil
	return b
}

// putBack gives the adapter what it had before it went down and has not: IPv6 addresses, routes that were set by hand,
// permanent neighbours. What the kernel or a routing daemon makes comes back by itself.
func (h *Host) putBack(adapter int, a Adapter, was *past, have belongings) (back, lost []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tell := func(what string, err error) {
		if err != nil {
			lost = append(lost, what+": "+last(err).Error())
			return
		}
		back = append(back, what)
	}
	gone := (bootTime() - was.at) / int64(time.Second)
	for _, o := range except(only6(was.Addresses), have.Addresses, addressID) {
		later, ok := aged(o, gone)
		if !ok || autoconfigured(o) || temporary(o) || kernelLinkLocal(o, a.MAC) || addressFlags(o)&unix.IFA_F_DADFAILED != 0 {
			continue
		}
		tell(addressPrefix(o).String(), h.rt.addAddress(forLink(later, adapter, unix.IFA_F_NODAD), a.Name))
	}
	all, err := h.rt.routesBy(adapter)
	if err != nil {
		return back, append(lost, err.Error())
	}
	routes := except(was.Routes, all, routeID)
	byDependence(routes)
	taken := map[routeKey]bool{}
	for _, r := range all {
		taken[keyOf(r)] = true
	}
	for _, r := range routes {
		if taken[keyOf(r)] {
			continue // somebody has set another one meanwhile
		}
		tell(routeText(r), h.rt.addRoute(routed(r, nil)))
	}
	for _, n := range except(was.Neighbours, have.Neighbours, neighbourID) {
		tell("neighbour "+neighbourAddr(n).String(), h.rt.setNeighbour(n, adapter))
	}
	for _, n := range except(was.Proxies, have.Proxies, neighbourID) {
		tell("proxy for "+neighbourAddr(n).String(), h.rt.addProxy(n, adapter))
	}
	return back, lost
}

// Settle is before the team ends: what the adapter lost by going down it has again, or the journal knows of it.
func (f *Follower) Settle() error {
	if _, err := f.Look(); err != nil {
		if errors.Is(err, ErrNoNIC) {
			return nil // whoever saw it go has done so
		}
		return err
	}
	f.mu.Lock()
	fell := f.fallen != nil
	f.mu.Unlock()
	if !fell {
		return nil
	}
	return f.GiveLast()
}

// GiveLast has the journal know what the adapter had when it went away, so that members get it back: what came to it by hand
// belongs to the NIC that gets such things, and what it lost before is nobody's.
func (f *Follower) GiveLast() error {
	f.look.Lock()
	defer f.look.Unlock()
	b, at := f.last()
	went := belongings{
		Addresses: except(append(f.takeGone(), f.known.Addresses...), b.Addresses, addressID),
		Routes:    except(f.known.Routes, b.Routes, routeID),
	}
	return errors.Join(f.h.forget(f.adapter, went), f.h.inherit(f.adapter, b, at))
}

func (h *Host) inherit(adapter int, b belongings, at int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.begun()
	if err != nil {
		return fmt.Errorf("keep what the adapter had: %w", err)
	}
	inheritor := j.state.inheritor()
	if inheritor == nil {
		return nil
	}
	var new belongings
	for _, o := range b.Addresses {
		if linkLocal(o) || autoconfigured(o) || temporary(o) || slices.Contains(j.state.given, addressPrefix(o).String()) {
			continue
		}
		if !j.state.recordedAddress(o) {
			new.addLate(inheritor, o, at)
		}
	}
	for _, r := range b.Routes {
		if !j.state.recordedRoute(r, adapter) && !j.state.givenRoute(r, adapter) {
			new.Routes = append(new.Routes, routed(r, map[int]int{adapter: inheritor.Index}))
		}
	}
	if new.empty() {
		return nil
	}
	return j.write(record{Kind: kindLate, Done: true, No: inheritor.no, Late: &new})
}

// addLate adds an address that the adapter had at a time (CLOCK_BOOTTIME) as the journal has it for a member, with its
// connected route.
func (b *belongings) addLate(m *memberState, a object, at int64) {
	b.Addresses = append(b.Addresses, asOf(forLink(a, m.Index, 0), at, m.At))
	if connects(a) {
		b.Routes = append(b.Routes, connectedRoute(a, m.Index))
	}
}

// inheritor is the member that gets what was no member's.
func (s *state) inheritor() *memberState {
	for _, want := range []func(*Member) bool{
		(*Member).ownsDefault,
		func(m *Member) bool {
			return slices.ContainsFunc(m.Addresses, func(a object) bool { return !linkLocal(a) })
		},
		func(*Member) bool { return true },
	} {
		for _, m := range s.members {
			if !m.left && want(&m.Member) {
				return m
			}
		}
	}
	return nil
}

// givenRoute reports whether a route of the adapter is the one of --gateway.
func (s *state) givenRoute(r object, adapter int) bool {
	return routeBits(r) == 0 && slices.ContainsFunc(gateways(r, adapter), func(g netip.Addr) bool { return g.String() == s.gateway })
}
