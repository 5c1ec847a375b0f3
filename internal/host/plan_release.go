// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/rtnl"
)

// releasePlanner collects what a give-back does. Where each thing goes is decided by the functions of the give-back.
type releasePlanner struct {
	*giveBack
	plan  *api.Plan
	names map[int]string
}

// PlanReleaseAll adds to a plan what ReleaseAll and Finish do. It only reads.
func (h *Host) PlanReleaseAll(plan *api.Plan) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := h.releasePlanner(plan)
	if err != nil {
		return fmt.Errorf("plan %s: %w", plan.Change, err)
	}
	p.collectMembers()
	if err := p.checkNothingLost(); err != nil {
		return err
	}
	p.noteUppers()
	for _, step := range []func() error{p.readCarriers, p.addresses, p.routes, p.rules, p.proxies} {
		if err := step(); err != nil {
			return fmt.Errorf("plan %s: %w", plan.Change, err)
		}
	}
	p.end()
	return nil
}

// PlanRelease adds to a plan what Release of a NIC does. It only reads.
func (h *Host) PlanRelease(plan *api.Plan, nic string, donor bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, err := h.releasePlanner(plan)
	if err != nil {
		return fmt.Errorf("plan %s: %w", plan.Change, err)
	}
	m, err := h.memberNamed(p.j, nic)
	if err != nil {
		return fmt.Errorf("plan %s: %w", plan.Change, err)
	}
	l, n, err := h.memberLink(m)
	if err != nil {
		plan.Effects = append(plan.Effects, fmt.Sprintf("NIC %s is absent: nothing to restore", m.Name))
		return nil
	}
	a, there := h.adapter()
	down := m.Up && sharesMAC(a, there, n, donor)
	p.indexNow[m.Index] = n.Index
	p.addMember(m, l, n)
	switch {
	case m.Adopted:
		for _, o := range m.Addresses {
			if !down && rtnl.IsLinkLocal(o) && !m.IsKernelLinkLocal(o) {
				p.move("address", rtnl.AddressText(o), a.Name, n.Name)
			}
		}
		if m.HadConfig() {
			plan.Effects = append(plan.Effects, fmt.Sprintf(
				"addresses and routes that came from %s stay on %s until the team ends", n.Name, a.Name))
		}
	case !down:
		for _, step := range []func() error{p.readCarriers, p.unmoved, p.routes} {
			if err := step(); err != nil {
				return fmt.Errorf("plan %s: %w", plan.Change, err)
			}
		}
	}
	if down {
		plan.Effects = append(plan.Effects, releasedDown(n))
	}
	p.end()
	return nil
}

func (h *Host) releasePlanner(plan *api.Plan) (*releasePlanner, error) {
	j, err := h.currentJournal()
	if err != nil {
		return nil, err
	}
	p := &releasePlanner{&giveBack{h: h, j: j, indexNow: map[int]int{}}, plan, map[int]string{}}
	all, err := h.links()
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		p.names[n.Index] = n.Name
	}
	if a, ok := h.adapter(); ok {
		p.adapter = &a
		if p.adapterAddresses, err = h.rt.Addresses(a.Index); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *releasePlanner) move(kind, what, from, to string) {
	p.plan.Moves = append(p.plan.Moves, api.PlanMove{Kind: kind, What: what, From: from, To: to})
}

// end adds the NICs and the notes.
func (p *releasePlanner) end() {
	for _, r := range p.members {
		n := r.nic
		p.h.readDetails(&n)
		p.plan.NICs = append(p.plan.NICs, PlanNIC(n))
	}
	p.plan.Risks = append(p.plan.Risks, p.notes...)
}

// from is the adapter if it has the address, else nobody.
func (p *releasePlanner) from(a rtnl.Object) string {
	if p.adapter != nil && rtnl.HasAddress(p.adapterAddresses, a) {
		return p.adapter.Name
	}
	return ""
}

// addresses are what returnAddresses and giveInheritedAddresses do, and what ends with the adapter.
func (p *releasePlanner) addresses() error {
	for _, r := range p.members {
		want, err := p.addressesOf(r)
		if err != nil {
			return err
		}
		for _, a := range want {
			if !r.was.IsKernelLinkLocal(a) {
				p.move("address", rtnl.AddressText(rtnl.AddressRequest(a, r.nic.Index, 0)), p.from(a), r.nic.Name)
			}
		}
	}
	for _, a := range p.teamAddresses() {
		m, to, inherited := p.inheritance(a)
		switch {
		case inherited && to != nil:
			next := p.inheritedAddress(a, m, to)
			p.move("address", rtnl.AddressText(next), p.from(a), to.nic.Name)
		case inherited:
			p.notef("%s goes to no NIC: none can have it", rtnl.AddressPrefix(a))
		case !p.goesToNIC(a) && p.adapter != nil && !p.adapter.kernelLinkLocal(a):
			p.move("address", rtnl.AddressText(a), p.from(a), "")
		}
	}
	return nil
}

// unmoved is restoreUnmoved.
func (p *releasePlanner) unmoved() error {
	for _, r := range p.members {
		for _, a := range r.was.Addresses {
			if !r.was.IsKernelLinkLocal(a) {
				p.move("address", rtnl.AddressText(a), "", r.nic.Name)
			}
		}
		for _, o := range r.was.Proxies {
			p.move("proxy", rtnl.NeighbourAddr(o).String(), "", r.nic.Name)
		}
	}
	return nil
}

// routes are what moveRoutes, restoreRoutes and giveInheritedRoutes do.
func (p *releasePlanner) routes() error {
	routes, err := p.h.rt.Routes()
	if err != nil {
		return err
	}
	all := rtnl.IndexRoutes(routes)
	list := append(p.originalRoutes(unix.AF_INET), p.originalRoutes(unix.AF_INET6)...)
	rtnl.SortByDependence(list)
	gone, original := rtnl.IndexRoutes(nil), rtnl.IndexRoutes(nil)
	if p.adapter != nil {
		gone = rtnl.IndexRoutes(p.removedRoutes(func(o rtnl.Object) bool { return all.Has(p.onAdapter(o)) }))
	}
	for _, o := range list {
		from := ""
		if p.adapter != nil {
			now := p.onAdapter(o)
			original.Add(now)
			if all.Has(now) {
				from = p.adapter.Name
			}
		}
		if from == "" && (all.Has(o) || gone.Has(o)) || o.Get(rtnl.RTANexthopID) != nil {
			continue
		}
		o = p.withoutDeadHops(o)
		p.move("route", p.text(o), from, p.linksOf(o))
	}
	if p.adapter == nil {
		return nil
	}
	future := p.futureAddresses()
	for _, o := range rtnl.RoutesVia(routes, p.adapter.Index) {
		if original.Has(o) || !p.goesOn(o) {
			continue
		}
		if to := p.routeTarget(o, future); to != nil {
			o = rtnl.RouteRequest(o, map[int]int{p.adapter.Index: to.nic.Index})
			p.move("route", p.text(o), p.adapter.Name, to.nic.Name)
		}
	}
	return nil
}

// futureAddresses are the adapter's as they will be on NICs.
func (p *releasePlanner) futureAddresses() (list []rtnl.Object) {
	for _, a := range p.adapterAddresses {
		if to := p.targetOf(a); to != nil {
			a = a.Clone()
			a.SetIndex(to.nic.Index)
			list = append(list, a)
		}
	}
	return list
}

// rules are what restoreRules does.
func (p *releasePlanner) rules() error {
	adapter := p.j.State.AdapterName()
	copies, err := p.h.rt.RuleCopies(adapter)
	if err != nil {
		return err
	}
	for _, c := range copies {
		p.move("rule", ruleText(c), adapter, "")
	}
	for _, m := range p.j.State.Members {
		for _, r := range m.Rules {
			if m.Adopted && rtnl.IsInverted(r) &&
				slices.ContainsFunc(copies, func(c rtnl.Object) bool { return rtnl.IsCopyOf(c, r) }) {
				p.move("rule", ruleText(r), "", m.Name)
			}
		}
	}
	return nil
}

// proxies are what restoreProxies does with those of members.
func (p *releasePlanner) proxies() error {
	for _, r := range p.members {
		from := ""
		if r.was.Adopted && p.adapter != nil {
			from = p.adapter.Name
		}
		for _, o := range r.was.Proxies {
			p.move("proxy", rtnl.NeighbourAddr(o).String(), from, r.nic.Name)
		}
	}
	return nil
}

func (p *releasePlanner) text(r rtnl.Object) string {
	if r.Get(unix.RTA_MULTIPATH) != nil {
		return rtnl.RouteArguments(r, func(index int) string { return p.names[index] })
	}
	return rtnl.RouteArguments(r, func(int) string { return "" })
}

func (p *releasePlanner) linksOf(r rtnl.Object) string {
	var names []string
	for _, index := range rtnl.RouteLinks(r) {
		if !slices.Contains(names, p.names[index]) {
			names = append(names, p.names[index])
		}
	}
	return strings.Join(names, ", ")
}
