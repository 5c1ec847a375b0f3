// SPDX-License-Identifier: MIT

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

// AdapterState is the adapter's state at a Sync.
type AdapterState struct {
	LinkState
	Addresses []netip.Prefix
	Left      []netip.Prefix // removed since the last Sync, by others or because they expired
	Back      []string       // restored after it went down
	Lost      []string       // not restored, with the reason
	Leases    []Lease
}

// Sync reads the adapter, restores what it lost by going down and up again, and journals what others removed. The error
// is ErrNoNIC if the adapter is gone.
func (f *Follower) Sync() (a AdapterState, err error) {
	f.syncing.Lock()
	defer f.syncing.Unlock()
	if a.LinkState, err = f.h.ReadLink(f.adapter); err != nil {
		return a, err
	}
	have, clean, err := f.readAdapter(nil)
	if err != nil || !clean {
		return a, err // an event has come that causes another Sync
	}
	removed := rtnl.Except(f.lastConfig.Routes, have.Routes, rtnl.RouteID)
	before, up := f.copyBeforeDown()
	switch {
	case before == nil || !a.Up:
	case !up:
		return a, nil // down once more, of which an event causes another Sync
	default:
		removed = rtnl.Except(f.lastConfig.Routes, before.Routes, rtnl.RouteID)
		a.Back, a.Lost = f.h.restoreAfterDown(f.adapter, a, before, have)
		if have, clean, err = f.readAdapter(before); err != nil || !clean {
			a.Lost = nil // the next Sync tries again
			return a, err
		}
	}
	went := rtnl.Except(append(f.takeRemoved(), f.lastConfig.Addresses...), have.Addresses, rtnl.AddressID)
	if !a.Up {
		// IPv4 addresses stay on a link that is down. The rest returns with it.
		removed = nil
		f.lostWhileDown(have.Addresses)
		went = slices.DeleteFunc(went, func(o rtnl.Object) bool { return o.Family() == unix.AF_INET6 })
		have.Routes = f.lastConfig.Routes
		have.Addresses = append(have.Addresses,
			rtnl.Except(rtnl.OnlyIPv6(f.lastConfig.Addresses), have.Addresses, rtnl.AddressID)...)
	}
	f.lastConfig = have
	for _, o := range have.Addresses {
		a.Addresses = append(a.Addresses, rtnl.AddressPrefix(o))
	}
	a.Leases = f.h.leases(have.Addresses)
	for _, o := range went {
		a.Left = append(a.Left, rtnl.AddressPrefix(o))
	}
	return a, f.h.journalLost(f.adapter, journal.Config{Addresses: went, Routes: removed})
}

// lastKnown returns the adapter's last known config, which is its config when it vanished.
func (f *Follower) lastKnown() (journal.Config, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchUp()
	if f.whileDown != nil {
		return f.whileDown.Config, f.whileDown.at
	}
	for _, m := range f.pending {
		f.config.ApplyEvent(m, f.adapter, f.configAt)
	}
	f.pending = nil
	return f.config, f.configAt
}

// readAdapter reads the adapter's config. It is not clean if the adapter went down meanwhile or events were lost; then
// the snapshots stay. restored is the config before the adapter went down, if that has been restored, or nil: a clean
// reading then ends the snapshots of it. It is not clean if the adapter went down again since restored was copied: not
// all may be there, and the next Sync restores it.
func (f *Follower) readAdapter(restored *configSnapshot) (have journal.Config, clean bool, err error) {
	f.mu.Lock()
	f.catchUp()
	downs, missed := f.downs, f.missed
	begun := len(f.pending)
	f.mu.Unlock()

	at := rtnl.BootTime()
	have, err = f.h.linkConfig(f.adapter)

	f.mu.Lock()
	defer f.mu.Unlock()
	f.catchUp()
	if err != nil || downs != f.downs || missed != f.missed || restored != nil && restored.downs != f.downs {
		return have, false, err
	}
	if f.up {
		f.config, f.configAt = have, at
		f.pending = slices.Clone(f.pending[min(begun, len(f.pending)):])
	}
	if restored != nil {
		f.beforeDown, f.whileDown = nil, nil
	}
	return have, true, nil
}

// takeRemoved returns and clears the removed addresses, except those of the last Sync.
func (f *Follower) takeRemoved() []rtnl.Object {
	f.mu.Lock()
	defer f.mu.Unlock()
	gone := rtnl.Except(f.removed, f.lastConfig.Addresses, rtnl.AddressID)
	f.removed = nil
	return gone
}

// lostWhileDown removes addresses from the snapshot that the adapter no longer has while it is down.
func (f *Follower) lostWhileDown(have []rtnl.Object) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.whileDown != nil {
		gone := slices.DeleteFunc(rtnl.Except(f.whileDown.Addresses, have, rtnl.AddressID), func(o rtnl.Object) bool {
			return o.Family() == unix.AF_INET6 && rtnl.HasAddress(f.beforeDown.Addresses, o) // lost by going down
		})
		f.whileDown.Addresses = rtnl.Except(f.whileDown.Addresses, gone, rtnl.AddressID)
	}
}

// copyBeforeDown returns a copy of the config before the adapter went down, nil if it did not, and whether it is up.
func (f *Follower) copyBeforeDown() (before *configSnapshot, up bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.beforeDown != nil {
		b := *f.beforeDown // events replace its lists, and do not change them
		before = &b
	}
	return before, f.up
}

// restoreAfterDown restores IPv6 addresses, static routes and permanent neighbours that the adapter lost by going down.
// The kernel and routing daemons restore theirs.
func (h *Host) restoreAfterDown(adapter int, a AdapterState, was *configSnapshot, have journal.Config) (back,
	lost []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	report := func(what string, err error) {
		if err != nil {
			lost = append(lost, what+": "+rtnl.RootCause(err).Error())
			return
		}
		back = append(back, what)
	}
	gone := (rtnl.BootTime() - was.at) / int64(time.Second)
	for _, o := range rtnl.Except(rtnl.OnlyIPv6(was.Addresses), have.Addresses, rtnl.AddressID) {
		later, ok := rtnl.Aged(o, gone)
		if !ok || rtnl.IsAutoconfigured(o) || rtnl.IsTemporary(o) || rtnl.IsKernelLinkLocal(o, a.MAC) ||
			rtnl.AddressFlags(o)&unix.IFA_F_DADFAILED != 0 || h.isVirtualRouters(o) {
			continue
		}
		report(rtnl.AddressPrefix(o).String(), h.rt.AddAddress(rtnl.AddressRequest(later, adapter, unix.IFA_F_NODAD),
			a.Name))
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
			continue // somebody has set another one since
		}
		report(rtnl.RouteText(r), h.rt.AddRoute(rtnl.RouteRequest(r, nil)))
	}
	for _, n := range rtnl.Except(was.Neighbours, have.Neighbours, rtnl.NeighbourID) {
		report("neighbour "+rtnl.NeighbourAddr(n).String(), h.rt.SetNeighbour(n, adapter))
	}
	for _, n := range rtnl.Except(was.Proxies, have.Proxies, rtnl.NeighbourID) {
		report("proxy for "+rtnl.NeighbourAddr(n).String(), h.rt.AddProxy(n, adapter))
	}
	return back, lost
}

// isVirtualRouters reports whether an IPv6 address is one of VRRP, which another host may have now. keepalived sets
// such as a host address without duplicate address detection that is deprecated for ever. It sets none again that it
// believes to have, and removes what it no longer should have: only what the team itself brought to the adapter is
// restored.
func (h *Host) isVirtualRouters(o rtnl.Object) bool {
	preferred, valid := rtnl.Lifetimes(o)
	return o.Family() == unix.AF_INET6 && rtnl.AddressPrefix(o).Bits() == 128 &&
		preferred == 0 && valid == rtnl.Forever &&
		rtnl.AddressFlags(o)&unix.IFA_F_NODAD != 0 && (h.journal == nil || !h.journal.State.HasAddress(o))
}

// SyncBeforeEnd restores or journals what the adapter lost by going down, before the team ends.
func (f *Follower) SyncBeforeEnd() error {
	if _, err := f.Sync(); err != nil {
		if errors.Is(err, ErrNoNIC) {
			return nil // whoever saw it vanish has journalled it
		}
		return err
	}
	f.mu.Lock()
	fell := f.whileDown != nil
	f.mu.Unlock()
	if !fell {
		return nil
	}
	return f.JournalLast()
}

// JournalLast journals the last config of an adapter that is gone, so that members get it back. What others added goes
// to the inheritor; what the adapter had lost before goes to nobody.
func (f *Follower) JournalLast() error {
	f.syncing.Lock()
	defer f.syncing.Unlock()
	b, at := f.lastKnown()
	went := journal.Config{
		Addresses: rtnl.Except(append(f.takeRemoved(), f.lastConfig.Addresses...), b.Addresses, rtnl.AddressID),
		Routes:    rtnl.Except(f.lastConfig.Routes, b.Routes, rtnl.RouteID),
	}
	return errors.Join(f.h.journalLost(f.adapter, went), f.h.journalInherited(f.adapter, b, at))
}

func (h *Host) journalInherited(adapter int, b journal.Config, at int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return fmt.Errorf("keep what the adapter had: %w", err)
	}
	inheritor := j.State.Inheritor()
	if inheritor == nil {
		return nil
	}
	var new journal.Config
	for _, o := range b.Addresses {
		if rtnl.IsLinkLocal(o) || rtnl.IsAutoconfigured(o) || rtnl.IsTemporary(o) || h.isVirtualRouters(o) ||
			slices.Contains(j.State.Assigned, rtnl.AddressPrefix(o).String()) {
			continue
		}
		if !j.State.HasAddress(o) {
			new.AddInherited(inheritor, o, at)
		}
	}
	known := j.State.RoutesOnAdapter(adapter)
	for _, r := range b.Routes {
		if !known.Has(r) && !j.State.IsAssignedRoute(r, adapter) {
			new.Routes = append(new.Routes, rtnl.RouteRequest(r, map[int]int{adapter: inheritor.Index}))
		}
	}
	if new.Empty() {
		return nil
	}
	return j.Write(journal.Record{Kind: journal.KindGained, Done: true, No: inheritor.No, Config: &new})
}

// linkConfig reads a link's addresses, static routes, permanent neighbours and proxy entries.
func (h *Host) linkConfig(index int) (b journal.Config, err error) {
	routes, err := h.rt.LinkRoutes(index)
	if err != nil {
		return b, err
	}
	// After the routes: the connected route of an address that comes meanwhile is not among them.
	if b.Addresses, err = h.rt.Addresses(index); err != nil {
		return b, err
	}
	if b.Routes, err = h.rt.StaticRoutes(routes, b.Addresses); err != nil {
		return b, err
	}
	if b.Neighbours, err = h.rt.Neighbours(index, nil); err != nil {
		return b, err
	}
	b.Proxies, err = h.rt.Proxies(index)
	return b, err
}
