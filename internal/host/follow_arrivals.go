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

// Arrival is an address, or routes, that came to a member while the team runs.
type Arrival struct {
	NIC     string
	Address netip.Prefix  // zero: routes of the NIC
	Left    time.Duration // valid lifetime; 0: forever
	New     bool          // the adapter does not have it
}

// Move says what becomes of an Arrival.
type Move uint8

// The answers about an Arrival.
const (
	Stay  Move = iota // it stays, for now
	Shift             // it moves to the adapter
	Share             // an address: the adapter gets it, and the member keeps it
)

// sharedTolerance is how much later a member's copy of an address expires than the adapter's before that is renewed.
// The kernel counts whole seconds.
const sharedTolerance = 2

// Arrivals lists what members have that belongs on the adapter (address auto): addresses except the kernel's own, and
// for each NIC with routes one Arrival without an address.
func (h *Host) Arrivals(members []string) ([]Arrival, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return nil, err
	}
	var out []Arrival
	for _, name := range members {
		m, err := h.memberNamed(j, name)
		if err != nil {
			continue
		}
		n, err := h.findIdentity(m.Identity)
		if err != nil {
			continue // gone since
		}
		have, err := h.rt.Addresses(n.Index)
		if err != nil {
			return nil, err
		}
		for _, a := range have {
			if !m.IsKernelLinkLocal(a) {
				out = append(out, arrivalOf(n.Name, a))
			}
		}
		routes, err := h.rt.LinkRoutes(n.Index)
		if err != nil {
			return nil, err
		}
		if len(routes) > 0 {
			out = append(out, Arrival{NIC: n.Name})
		}
	}
	return out, nil
}

func arrivalOf(nic string, a rtnl.Object) Arrival {
	l := Arrival{NIC: nic, Address: rtnl.AddressPrefix(a)}
	if _, valid := rtnl.Lifetimes(a); valid != rtnl.Forever {
		l.Left = time.Duration(valid) * time.Second
	}
	return l
}

// AdoptArrivals moves arrivals to the adapter, as Adopt does at the start, if decide agrees. Each is journalled first,
// so that its NIC gets it back. An address that the adapter already has gets the new lifetimes.
func (h *Host) AdoptArrivals(adapter int, members []string, decide func(Arrival) Move) (moved []Arrival, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return nil, err
	}
	to, err := h.linkAt(adapter)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, name := range members {
		m, err := h.memberNamed(j, name)
		if err != nil || m.Left {
			continue
		}
		n, err := h.findIdentity(m.Identity)
		if err != nil {
			continue // gone since
		}
		list, err := h.adoptArrivalsOf(j, m, n, to, decide)
		moved = append(moved, list...)
		if rtnl.IsInjectedCrash(err) {
			return moved, err
		}
		errs = append(errs, err)
	}
	return moved, errors.Join(errs...)
}

func (h *Host) adoptArrivalsOf(j *journal.Journal, m *journal.MemberState, n, to NIC,
	decide func(Arrival) Move) (moved []Arrival, err error) {
	have, err := h.rt.Addresses(n.Index)
	if err != nil {
		return nil, err
	}
	there, err := h.rt.Addresses(to.Index)
	if err != nil {
		return nil, err
	}
	routes, err := h.rt.LinkRoutes(n.Index)
	if err != nil {
		return nil, err
	}
	arrived, shared, moved := chooseArrivals(m, n.Name, have, there, routes, decide)
	if err := h.moveArrivals(j, m, n, to, arrived, shared, routes); err != nil {
		return nil, err
	}
	on6 := slices.ContainsFunc(have, func(a rtnl.Object) bool { return a.Family() == unix.AF_INET6 })
	if on6 && m.Stripped && decide(Arrival{NIC: n.Name, Address: IPv6Enabled}) == Shift {
		// Somebody enabled IPv6, and the NIC would send by itself.
		return moved, h.ignoreReadOnly(h.writeSysctl(n.Name, disableIPv6, "1"))
	}
	return moved, nil
}

// chooseArrivals selects the addresses and routes that move now; routes move with an address. there are the adapter's
// addresses. shared are the addresses that the member keeps, of those in arrived.
func chooseArrivals(m *journal.MemberState, nic string, have, there, routes []rtnl.Object,
	decide func(Arrival) Move) (arrived journal.Config, shared []rtnl.Object, moved []Arrival) {
	for _, a := range have {
		l := arrivalOf(nic, a)
		l.New = !rtnl.HasAddress(there, a)
		if m.IsKernelLinkLocal(a) {
			continue
		}
		switch decide(l) {
		case Share:
			if !outlives(a, there) {
				continue // the adapter has it as long
			}
			shared = append(shared, a)
		case Stay:
			continue
		}
		arrived.Addresses, moved = append(arrived.Addresses, a), append(moved, l)
	}
	switch {
	case len(routes) == 0:
	case len(arrived.Addresses) > 0:
		arrived.Routes = routes
	case decide(Arrival{NIC: nic}) == Shift:
		arrived.Routes, moved = routes, append(moved, Arrival{NIC: nic})
	}
	return arrived, shared, moved
}

// outlives reports whether an address is valid for longer than in a list, or is not there.
func outlives(a rtnl.Object, list []rtnl.Object) bool {
	for _, o := range list {
		if rtnl.SameAddress(a, o) {
			_, mine := rtnl.Lifetimes(a)
			_, its := rtnl.Lifetimes(o)
			return int64(mine) > int64(its)+sharedTolerance
		}
	}
	return true
}

// isLeased reports whether an address is IPv4's and expires.
func isLeased(a rtnl.Object) bool {
	_, valid := rtnl.Lifetimes(a)
	return a.Family() == unix.AF_INET && valid != rtnl.Forever
}

// moveArrivals journals arrivals and moves them, except that the member keeps the shared addresses. routes are all of
// the member's.
func (h *Host) moveArrivals(j *journal.Journal, m *journal.MemberState, n, to NIC, arrived journal.Config,
	shared, routes []rtnl.Object) error {
	if arrived.Empty() {
		return nil
	}
	if err := h.journalGained(j, m, arrived); err != nil {
		return err
	}
	six := slices.ContainsFunc(arrived.Addresses, func(a rtnl.Object) bool { return a.Family() == unix.AF_INET6 })
	if err := h.enableIPv6(to, six); err != nil {
		return err
	}
	for _, a := range arrived.Addresses {
		what := fmt.Sprintf("add %s to %s", rtnl.AddressPrefix(a), to.Name)
		if err := h.rt.Change(what, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE,
			addressForAdapter(a, n, to, routes)); err != nil {
			return err
		}
	}
	if err := h.adoptNeighbours(n, to); err != nil {
		return err
	}
	moveRoutes := func() error {
		if len(arrived.Routes) == 0 {
			return nil
		}
		return h.adoptRoutes(map[int]int{n.Index: to.Index})
	}
	if len(arrived.Addresses) == 0 {
		return moveRoutes() // no connection is bound to a NIC without addresses
	}
	if err := h.rebindWhile(moveRoutes, n.Index); err != nil {
		return err
	}
	// With a NIC's last IPv4 address the kernel removes its neighbours, even permanent ones and proxy entries.
	if err := h.syncNeighbours(j, m, n, to); err != nil {
		return err
	}
	for _, a := range slices.Backward(arrived.Addresses) {
		if rtnl.HasAddress(shared, a) {
			continue
		}
		if err := h.rt.DeleteAddress(a, n.Name); err != nil {
			return err
		}
	}
	return nil
}

// IPv6Enabled is the Arrival.Address of a member on which somebody enabled IPv6. Nothing moves: it is disabled again.
var IPv6Enabled = netip.MustParsePrefix("::/0")

// journalGained journals config that a member gained, except what its record already has.
func (h *Host) journalGained(j *journal.Journal, m *journal.MemberState, b journal.Config) error {
	now := rtnl.BootTime()
	var new journal.Config
	for _, a := range b.Addresses {
		a = rtnl.LifetimesAt(rtnl.AddressRequest(a, m.Index, 0), now, m.At)
		known := slices.ContainsFunc(m.Addresses, func(o rtnl.Object) bool { return rtnl.EqualButLifetimes(o, a) })
		if !known {
			new.Addresses = append(new.Addresses, a)
		}
	}
	n, err := h.findIdentity(m.Identity)
	if err != nil {
		return err
	}
	recorded := rtnl.IndexRoutes(m.Routes)
	for _, r := range b.Routes {
		if r = rtnl.RouteRequest(r, map[int]int{n.Index: m.Index}); !recorded.Has(r) {
			new.Routes = append(new.Routes, r)
		}
	}
	new.Rules, new.Neighbours, new.Proxies = b.Rules, b.Neighbours, b.Proxies
	if !m.Adopted {
		if err := j.Write(journal.Record{Kind: journal.KindAdopt, Members: []int{m.No}}); err != nil {
			return h.writeProblem(err)
		}
	}
	if new.Empty() {
		return nil
	}
	if err := j.Write(journal.Record{Kind: journal.KindGained, Done: true, No: m.No, Config: &new}); err != nil {
		return h.writeProblem(err)
	}
	return nil
}

// SyncRules copies rules and permanent neighbours that members gained, and removes copies of rules that are gone.
func (h *Host) SyncRules(adapter int, members []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return err
	}
	to, err := h.linkAt(adapter)
	if err != nil {
		return err
	}
	for _, name := range members {
		m, err := h.memberNamed(j, name)
		if err != nil || m.Left || !m.Adopted {
			continue
		}
		n, err := h.findIdentity(m.Identity)
		if err != nil {
			continue
		}
		if err := h.syncRules(j, m, n, to); err != nil {
			return err
		}
		if err := h.syncNeighbours(j, m, n, to); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) syncRules(j *journal.Journal, m *journal.MemberState, n, to NIC) error {
	var have []rtnl.Object
	for _, name := range journal.AppendName(m.Names, n.Name) {
		list, err := h.rt.OwnRules(name)
		if err != nil {
			return err
		}
		have = append(have, rtnl.Except(list, have, rtnl.RuleID)...)
	}
	if came := rtnl.Except(have, m.Rules, rtnl.RuleID); len(came) > 0 {
		if err := h.journalGained(j, m, journal.Config{Rules: came}); err != nil {
			return err
		}
		new := &journal.MemberState{Member: journal.Member{Identity: m.Identity, Rules: came}, Names: m.Names}
		if err := h.adoptRules([]*journal.MemberState{new}, to.Name); err != nil {
			return err
		}
	}
	// The member's own rule is absent if the copy has replaced it.
	went := slices.DeleteFunc(rtnl.Except(m.Rules, have, rtnl.RuleID), rtnl.IsInverted)
	if len(went) == 0 {
		return nil
	}
	copies, err := h.rt.RulesNaming(to.Name)
	if err != nil {
		return err
	}
	for _, r := range went {
		if next := rtnl.RuleFor(r, h.adoptedNames(nil), to.Name); rtnl.HasRule(copies, next) {
			if err := h.rt.Change("remove rule of "+to.Name, unix.RTM_DELRULE, 0, next); err != nil {
				return err
			}
		}
	}
	return j.Write(journal.Record{Kind: journal.KindLost, Done: true, No: m.No, Config: &journal.Config{Rules: went}})
}

func (h *Host) syncNeighbours(j *journal.Journal, m *journal.MemberState, n, to NIC) error {
	have, err := h.rt.Neighbours(n.Index, nil)
	if err != nil {
		return err
	}
	proxies, err := h.rt.Proxies(n.Index)
	if err != nil {
		return err
	}
	came := journal.Config{
		Neighbours: rtnl.Except(have, m.Neighbours,
			func(o rtnl.Object) string { return rtnl.NeighbourID(o) + string(o.Get(unix.NDA_LLADDR)) }),
		Proxies: rtnl.Except(proxies, m.Proxies, rtnl.NeighbourID),
	}
	if came.Empty() {
		return nil
	}
	if err := h.journalGained(j, m, came); err != nil {
		return err
	}
	for _, o := range came.Neighbours {
		if err := h.rt.SetNeighbour(o, to.Index); err != nil {
			return err
		}
	}
	for _, o := range came.Proxies {
		if err := h.rt.AddProxy(o, to.Index); err != nil {
			return err
		}
	}
	return nil
}

// journalLost journals config that others removed from the adapter: nobody gets it back.
func (h *Host) journalLost(adapter int, gone journal.Config) error {
	if gone.Empty() {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	j, err := h.currentJournal()
	if err != nil {
		return err
	}
	goneRoutes := rtnl.IndexRoutes(gone.Routes)
	for _, m := range j.State.Members {
		var b journal.Config
		for _, a := range m.Addresses {
			if rtnl.HasAddress(gone.Addresses, a) {
				b.Addresses = append(b.Addresses, a)
			}
		}
		for i, r := range j.State.OnAdapter(m.Routes, adapter) {
			if goneRoutes.Has(r) {
				b.Routes = append(b.Routes, m.Routes[i])
			}
		}
		if b.Empty() {
			continue
		}
		if err := j.Write(journal.Record{Kind: journal.KindLost, Done: true, No: m.No, Config: &b}); err != nil {
			return h.writeProblem(err)
		}
	}
	return nil
}

// JournalRemoved journals addresses that others removed from the adapter while no process ran. If all of a family are
// gone, the adapter lost them by going down.
func (h *Host) JournalRemoved(adapter int) error {
	h.mu.Lock()
	j, err := h.currentJournal()
	if err != nil {
		h.mu.Unlock()
		return err
	}
	have, err := h.rt.Addresses(adapter)
	var gone []rtnl.Object
	for _, m := range j.State.Members {
		if !m.Adopted || m.Away || err != nil {
			continue
		}
		for _, a := range rtnl.Except(m.Addresses, have, rtnl.AddressID) {
			kept := slices.ContainsFunc(have, func(o rtnl.Object) bool {
				return o.Family() == a.Family() && !rtnl.IsLinkLocal(o) && j.State.HasAddress(o)
			})
			if kept && !rtnl.IsLinkLocal(a) {
				gone = append(gone, a)
			}
		}
	}
	h.mu.Unlock()
	if err != nil {
		return err
	}
	return h.journalLost(adapter, journal.Config{Addresses: gone})
}
