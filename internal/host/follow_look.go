package host

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
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
	removed := rtnl.Except(f.known.Routes, have.Routes, rtnl.RouteID)
	if before := f.takeBefore(a.Up); before != nil {
		removed = rtnl.Except(f.known.Routes, before.Routes, rtnl.RouteID)
		a.Back, a.Lost = f.h.putBack(f.adapter, a, before, have)
		if have, clean, err = f.readAdapter(); err != nil || !clean {
			return a, err
		}
	}
	went := rtnl.Except(append(f.takeGone(), f.known.Addresses...), have.Addresses, rtnl.AddressID)
	if !a.Up {
		// IPv4 addresses stay while a link is down, the rest comes back with it.
		removed = nil
		f.fellWithout(have.Addresses)
		went = slices.DeleteFunc(went, func(o rtnl.Object) bool { return o.Family() == unix.AF_INET6 })
		have.Routes = f.known.Routes
		have.Addresses = append(have.Addresses, rtnl.Except(rtnl.OnlyIPv6(f.known.Addresses), have.Addresses, rtnl.AddressID)...)
	}
	f.known = have
	for _, o := range have.Addresses {
		a.Addresses = append(a.Addresses, rtnl.AddressPrefix(o))
	}
	a.Leases = f.h.leases(have.Addresses)
	for _, o := range went {
		a.Left = append(a.Left, rtnl.AddressPrefix(o))
	}
	return a, f.h.forget(f.adapter, journal.Config{Addresses: went, Routes: removed})
}

// Last is what the adapter had when it was looked at last, which is what it had when it went away.
func (f *Follower) last() (journal.Config, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchUp()
	if f.fallen != nil {
		return f.fallen.Config, f.fallen.at
	}
	for _, m := range f.since {
		f.kept.ApplyEvent(m, f.adapter, f.at)
	}
	f.since = nil
	return f.kept, f.at
}

// readAdapter reads the adapter's belongings and keeps them. It is not clean if the adapter went down meanwhile, or events
// were missed: then what was kept is right, or nothing is.
func (f *Follower) readAdapter() (have journal.Config, clean bool, err error) {
	f.mu.Lock()
	f.catchUp()
	downs, missed := f.downs, f.missed
	begun := len(f.since)
	f.mu.Unlock()

	at := rtnl.BootTime()
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
func (f *Follower) takeGone() []rtnl.Object {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := rtnl.Except(f.gone, f.known.Addresses, rtnl.AddressID)
	f.gone = nil
	return gone
}

// fellWithout takes in which addresses the adapter has while it is down.
func (f *Follower) fellWithout(have []rtnl.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fallen != nil {
		gone := slices.DeleteFunc(rtnl.Except(f.fallen.Addresses, have, rtnl.AddressID), func(o rtnl.Object) bool {
			return o.Family() == unix.AF_INET6 && rtnl.HasAddress(f.before.Addresses, o) // it went by going down
		})
		f.fallen.Addresses = rtnl.Except(f.fallen.Addresses, gone, rtnl.AddressID)
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
func (h *Host) putBack(adapter int, a Adapter, was *past, have journal.Config) (back, lost []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	tell := func(what string, err error) {
		if err != nil {
			lost = append(lost, what+": "+rtnl.RootCause(err).Error())
			return
		}
		back = append(back, what)
	}
	gone := (rtnl.BootTime() - was.at) / int64(time.Second)
	for _, o := range rtnl.Except(rtnl.OnlyIPv6(was.Addresses), have.Addresses, rtnl.AddressID) {
		later, ok := rtnl.Aged(o, gone)
		if !ok || rtnl.IsAutoconfigured(o) || rtnl.IsTemporary(o) || rtnl.IsKernelLinkLocal(o, a.MAC) || rtnl.AddressFlags(o)&unix.IFA_F_DADFAILED != 0 {
			continue
		}
		tell(rtnl.AddressPrefix(o).String(), h.rt.AddAddress(rtnl.AddressRequest(later, adapter, unix.IFA_F_NODAD), a.Name))
	}
	all, err := h.rt.LinkRoutes(adapter)
	if err != nil {
		return back, append(lost, err.Error())
	}
	routes := rtnl.Except(was.Routes, all, rtnl.RouteID)
	rtnl.SortByDependence(routes)
	taken := map[rtnl.RouteKey]bool{}
	for _, r := range all {
		taken[rtnl.RouteKeyOf(r)] = true
	}
	for _, r := range routes {
		if taken[rtnl.RouteKeyOf(r)] {
			continue // somebody has set another one meanwhile
		}
		tell(rtnl.RouteText(r), h.rt.AddRoute(rtnl.RouteRequest(r, nil)))
	}
	for _, n := range rtnl.Except(was.Neighbours, have.Neighbours, rtnl.NeighbourID) {
		tell("neighbour "+rtnl.NeighbourAddr(n).String(), h.rt.SetNeighbour(n, adapter))
	}
	for _, n := range rtnl.Except(was.Proxies, have.Proxies, rtnl.NeighbourID) {
		tell("proxy for "+rtnl.NeighbourAddr(n).String(), h.rt.AddProxy(n, adapter))
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
	went := journal.Config{
		Addresses: rtnl.Except(append(f.takeGone(), f.known.Addresses...), b.Addresses, rtnl.AddressID),
		Routes:    rtnl.Except(f.known.Routes, b.Routes, rtnl.RouteID),
	}
	return errors.Join(f.h.forget(f.adapter, went), f.h.inherit(f.adapter, b, at))
}

func (h *Host) inherit(adapter int, b journal.Config, at int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.begun()
	if err != nil {
		return fmt.Errorf("keep what the adapter had: %w", err)
	}
	inheritor := j.State.Inheritor()
	if inheritor == nil {
		return nil
	}
	var new journal.Config
	for _, o := range b.Addresses {
		if rtnl.IsLinkLocal(o) || rtnl.IsAutoconfigured(o) || rtnl.IsTemporary(o) || slices.Contains(j.State.Given, rtnl.AddressPrefix(o).String()) {
			continue
		}
		if !j.State.HasAddress(o) {
			new.AddInherited(inheritor, o, at)
		}
	}
	for _, r := range b.Routes {
		if !j.State.HasRoute(r, adapter) && !j.State.IsGivenRoute(r, adapter) {
			new.Routes = append(new.Routes, rtnl.RouteRequest(r, map[int]int{adapter: inheritor.Index}))
		}
	}
	if new.Empty() {
		return nil
	}
	return j.Write(journal.Record{Kind: journal.KindGained, Done: true, No: inheritor.No, Config: &new})
}
