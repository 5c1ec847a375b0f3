// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
	"nicteam/internal/settings"
)

// futureIndex stands for the ifindex of an adapter that does not exist yet: no link has it.
const futureIndex = math.MaxInt32

// planner collects what a takeover does. What moves, and in which form, is decided by the functions that Adopt,
// AssignAddresses and Strip use.
type planner struct {
	h        *Host
	plan     *api.Plan
	to       NIC
	members  []*journal.MemberState
	nics     []NIC
	names    map[int]string // of links
	by       map[int]int    // members' ifindexes to the adapter's
	removals []string       // commands that come last
}

// PlanTakeover adds to a plan what a takeover of NICs does: the NICs, and every address, route, rule and neighbour that
// moves. Of an adapter that does not exist yet it has MAC and MTU. It only reads.
func (h *Host) PlanTakeover(plan *api.Plan, cfg settings.Config, adapter string, names []string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := &planner{h: h, plan: plan, names: map[int]string{}, by: map[int]int{}}
	err := p.read(adapter, names)
	if err == nil && p.to.Index == futureIndex {
		p.planAdapter(cfg)
	}
	if err == nil && cfg.Address.FromMembers() {
		err = p.adopt()
	} else if err == nil {
		p.assign(cfg)
		err = p.strip()
	}
	if err != nil {
		return fmt.Errorf("plan %s: %w", plan.Change, err)
	}
	for i := range p.nics {
		p.command("ip link set dev %s mtu %d up", p.nics[i].Name, plan.Adapter.MTU)
	}
	plan.Commands = append(plan.Commands, p.removals...)
	return nil
}

func (p *planner) command(format string, args ...any) {
	p.plan.Commands = append(p.plan.Commands, fmt.Sprintf(format, args...))
}

// read reads the adapter and the NICs, as RecordMember does.
func (p *planner) read(adapter string, names []string) error {
	all, err := p.h.NICs()
	if err != nil {
		return err
	}
	p.to = NIC{Name: adapter, Index: futureIndex}
	for _, n := range all {
		p.names[n.Index] = n.Name
		if n.Name == adapter {
			p.to = n
		}
	}
	p.names[p.to.Index] = adapter
	of, err := p.h.readPolicy()
	if err != nil {
		return err
	}
	for _, name := range names {
		i := slices.IndexFunc(all, func(n NIC) bool { return n.Name == name })
		if i < 0 {
			return fmt.Errorf("NIC %s: %w", name, ErrNoNIC)
		}
		m, err := p.h.readMember(all[i], of)
		if err != nil {
			return err
		}
		p.nics = append(p.nics, all[i])
		p.members = append(p.members, &journal.MemberState{Member: m, Names: []string{name}})
		p.by[all[i].Index] = p.to.Index
		p.plan.NICs = append(p.plan.NICs, PlanNIC(all[i]))
	}
	if p.to.Index != futureIndex {
		p.plan.Adapter = &api.PlanAdapter{Name: adapter, MAC: p.to.MAC.String(), MTU: p.to.MTU}
	}
	return nil
}

// PlanNIC describes a NIC for a plan.
func PlanNIC(n NIC) api.PlanNIC {
	return api.PlanNIC{Name: n.Name, MAC: n.MAC.String(), Driver: n.Driver, Link: n.Carrier, Up: n.AdminUp,
		SpeedBps: n.SpeedBps, Duplex: n.Duplex, MTU: n.MTU, Sessions: []api.PlanSession{}}
}

// planAdapter describes the adapter that will be made.
func (p *planner) planAdapter(cfg settings.Config) {
	donor := p.nics[max(slices.IndexFunc(p.members, ownsDefaultRoute), 0)]
	a := &api.PlanAdapter{Name: p.to.Name, MTU: cfg.MTU, Mode: cfg.Mode.String()}
	if mac := AdapterMAC(cfg, donor); mac != 0 {
		a.MAC = mac.String()
		if mac == donor.MAC {
			a.MACFrom = donor.Name
		}
	}
	if a.MTU == 0 {
		a.MTU = AutoMTU(p.nics)
	}
	p.plan.Adapter = a
	p.command("ip tuntap add dev %s mode tap", a.Name)
	if a.MAC != "" {
		p.command("ip link set dev %s address %s", a.Name, a.MAC)
	}
	p.command("ip link set dev %s mtu %d up", a.Name, a.MTU)
}

// adopt plans Adopt, and that Strip takes the addresses off the members.
func (p *planner) adopt() error {
	var connected []rtnl.Object // what addresses bring along
	routes, err := p.h.rt.Routes()
	if err != nil {
		return err
	}
	for i, m := range p.members {
		n := p.nics[i]
		v4, v6, err := p.h.addressesToAdopt(m, n, p.to, routes)
		if err != nil {
			return err
		}
		for _, a := range slices.Concat(v4, v6) {
			p.move(api.PlanMove{Kind: "address", What: rtnl.AddressText(a), From: n.Name, To: p.to.Name})
			p.command("ip address add %s dev %s", rtnl.AddressArguments(a), p.to.Name)
			// The kernel makes one route for an IPv4 subnet: that of the first address.
			if rtnl.HasConnectedRoute(a) && !slices.ContainsFunc(connected, func(b rtnl.Object) bool {
				return a.Family() == unix.AF_INET && rtnl.SubnetOf(a) == rtnl.SubnetOf(b)
			}) {
				connected = append(connected, a)
			}
		}
		adopted := *m
		adopted.Adopted = true
		p.removeAddresses(&adopted, n)
	}
	if err := p.adoptRoutes(connected); err != nil {
		return err
	}
	return p.adoptRest()
}

func (p *planner) removeAddresses(m *journal.MemberState, n NIC) {
	for _, a := range addressesToStrip(m, m.Addresses, MemberSetup{}) {
		p.remove("ip address del %s dev %s", rtnl.AddressName(a), n.Name)
	}
}

// adoptRoutes plans the routes. connected are the addresses whose routes to their subnets the kernel makes.
func (p *planner) adoptRoutes(connected []rtnl.Object) error {
	_, mine, err := p.h.routesToAdopt(p.by)
	if err != nil {
		return err
	}
	for _, r := range mine {
		next := rtnl.RouteRequest(r, p.by)
		p.move(api.PlanMove{Kind: "route", What: p.routeText(next), From: p.membersOf(r), To: p.to.Name})
		if !slices.ContainsFunc(connected, func(a rtnl.Object) bool { return rtnl.IsConnectedRoute(next, a) }) {
			p.command("ip%s route replace %s", six(r), rtnl.RouteArguments(next, p.name))
		}
	}
	_, next, err := p.h.advertisedToAdopt(p.by)
	for _, r := range next {
		p.move(api.PlanMove{Kind: "route", What: p.routeText(rtnl.RouteRequest(r, p.by)), From: p.membersOf(r),
			To: p.to.Name, Learned: true})
	}
	return err
}

// adoptRest plans neighbours, proxies and rules.
func (p *planner) adoptRest() error {
	for i, m := range p.members {
		n := p.nics[i]
		for _, o := range m.Neighbours {
			if !rtnl.IsPermanent(o) {
				continue
			}
			text := neighbourText(o)
			p.move(api.PlanMove{Kind: "neighbour", What: text, From: n.Name, To: p.to.Name})
			p.command("ip neighbour replace %s dev %s nud permanent", text, p.to.Name)
		}
		for _, o := range m.Proxies {
			text := rtnl.NeighbourAddr(o).String()
			p.move(api.PlanMove{Kind: "proxy", What: text, From: n.Name, To: p.to.Name})
			p.command("ip neighbour add proxy %s dev %s", text, p.to.Name)
			p.command("ip neighbour del proxy %s dev %s", text, n.Name) // the kernel may, with the last address
		}
	}
	have, err := p.h.rt.RulesNaming(p.to.Name)
	if err != nil {
		return err
	}
	for _, c := range rulesToAdopt(p.members, have, p.h.adoptedNames(p.members), p.to.Name) {
		inverted := rtnl.IsInverted(c.rule)
		if c.next.Head == nil {
			continue
		}
		p.move(api.PlanMove{Kind: "rule", What: ruleText(c.next), From: c.of.Name, To: p.to.Name, Copied: !inverted})
		p.command("ip%s rule add pref %d %s protocol %d", six(c.next), rtnl.RulePriority(c.next),
			rtnl.RuleArguments(c.next), rtnl.RuleProtocol)
		if inverted {
			p.remove("ip%s rule del pref %d %s", six(c.rule), rtnl.RulePriority(c.rule), rtnl.RuleArguments(c.rule))
		}
	}
	return nil
}

// assign plans AssignAddresses.
func (p *planner) assign(cfg settings.Config) {
	for _, a := range cfg.Addresses {
		o := rtnl.NewAddress(a, p.to.Index)
		p.move(api.PlanMove{Kind: "address", What: rtnl.AddressText(o), To: p.to.Name})
		p.command("ip address add %s dev %s", rtnl.AddressArguments(o), p.to.Name)
		if rtnl.HasConnectedRoute(o) {
			p.move(api.PlanMove{Kind: "route", What: p.routeText(rtnl.ConnectedRoute(o, p.to.Index)), To: p.to.Name})
		}
	}
	if cfg.Gateway.IsValid() {
		r := rtnl.NewDefaultRoute(cfg.Gateway, p.to.Index)
		p.move(api.PlanMove{Kind: "route", What: p.routeText(r), To: p.to.Name})
		p.command("ip%s route add %s", six(r), rtnl.RouteArguments(r, p.name))
	}
}

// strip plans what Strip removes without Adopt, and what the kernel removes with a NIC's last address: its neighbours,
// and routes over several NICs.
func (p *planner) strip() error {
	var shared []rtnl.Object
	for i, m := range p.members {
		n := p.nics[i]
		for _, a := range addressesToStrip(m, m.Addresses, MemberSetup{}) {
			p.move(api.PlanMove{Kind: "address", What: rtnl.AddressText(a), From: n.Name})
		}
		p.removeAddresses(m, n)
		routes, err := p.h.routesToStrip(m, n.Index)
		if err != nil {
			return err
		}
		for _, r := range routes {
			p.move(api.PlanMove{Kind: "route", What: p.routeText(r), From: n.Name})
		}
		for _, r := range m.Routes {
			if len(rtnl.RouteLinks(r)) < 2 || rtnl.HasRoute(shared, r) {
				continue
			}
			shared = append(shared, r)
			if slices.ContainsFunc(rtnl.RouteLinks(r), func(link int) bool { return p.by[link] == 0 }) {
				p.plan.Effects = append(p.plan.Effects, fmt.Sprintf("the %s loses its hop over %s", rtnl.RouteText(r),
					p.membersOf(r)))
				continue
			}
			p.move(api.PlanMove{Kind: "route", What: p.routeText(r), From: p.membersOf(r)})
		}
		for _, o := range m.Neighbours {
			if rtnl.IsPermanent(o) {
				p.move(api.PlanMove{Kind: "neighbour", What: neighbourText(o), From: n.Name})
			}
		}
		for _, o := range m.Proxies {
			text := rtnl.NeighbourAddr(o).String()
			p.move(api.PlanMove{Kind: "proxy", What: text, From: n.Name})
			p.command("ip neighbour del proxy %s dev %s", text, n.Name) // the kernel may, with the last address
		}
	}
	return nil
}

func neighbourText(o rtnl.Object) string {
	return fmt.Sprintf("%v lladdr %v", rtnl.NeighbourAddr(o), rtnl.NeighbourMAC(o))
}

func (p *planner) move(m api.PlanMove) { p.plan.Moves = append(p.plan.Moves, m) }

func (p *planner) remove(format string, args ...any) {
	p.removals = append(p.removals, fmt.Sprintf(format, args...))
}

func (p *planner) name(index int) string { return p.names[index] }

// routeText writes a route without its link, if it has one only.
func (p *planner) routeText(r rtnl.Object) string {
	if r.Get(unix.RTA_MULTIPATH) != nil {
		return rtnl.RouteArguments(r, p.name)
	}
	return rtnl.RouteArguments(r, func(int) string { return "" })
}

// membersOf names the members that a route uses.
func (p *planner) membersOf(r rtnl.Object) string {
	var names []string
	for _, index := range rtnl.RouteLinks(r) {
		if _, ok := p.by[index]; ok && !slices.Contains(names, p.names[index]) {
			names = append(names, p.names[index])
		}
	}
	return strings.Join(names, ", ")
}

// ruleText writes a rule as `ip rule` lists it.
func ruleText(r rtnl.Object) string {
	return fmt.Sprintf("%d: %s", rtnl.RulePriority(r), rtnl.RuleArguments(r))
}

// six is the option of the ip command for objects of IPv6.
func six(o rtnl.Object) string {
	if o.Family() == unix.AF_INET6 {
		return " -6"
	}
	return ""
}
