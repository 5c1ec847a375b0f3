// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/nearest"
	"nicteam/internal/rtnl"
	"nicteam/internal/settings"
	"nicteam/modes/spread"
)

// Owner is a team that has a link, as a member or its adapter.
type Owner struct {
	Team string
	Dead bool // its process ended without releasing it
}

// Check returns what prevents the team, or warnings. It only reads. owners has every link of other teams.
func (h *Host) Check(cfg settings.Config, owners map[string]Owner, consent Consent) ([]string, *api.Problem) {
	f, problem := h.Inspect(cfg, owners, consent)
	return f.Warnings, problem
}

// Inspect is Check, and has what needs consent apart.
func (h *Host) Inspect(cfg settings.Config, owners map[string]Owner, consent Consent) (Findings, *api.Problem) {
	c := &preflight{h: h, cfg: cfg, adapter: cfg.Team, owners: owners, verb: "create"}
	problem := c.run(c.readNICs, capabilities, c.procReadable, c.tunDevice, c.canIsolate, c.adapterName, c.members,
		c.sameMACs, c.mtuOfAll, c.checkAddresses, c.nexthopObjects,
		c.remoteRoot)
	if problem != nil {
		return Findings{}, problem
	}
	c.uppersElsewhere()
	c.readOnlySysctls()
	c.generalWarnings()
	return c.impact(consent)
}

// CheckAdd is Inspect for NICs that join a running team. It leaves links of other network namespaces to CheckImpact.
func (h *Host) CheckAdd(cfg settings.Config, names []string, owners map[string]Owner, consent Consent) (Findings,
	*api.Problem) {
	add := cfg
	add.Members, add.Gateway = nil, netip.Addr{}
	for _, n := range names {
		add.Members = append(add.Members, settings.MemberConfig{Name: n})
	}
	c := &preflight{h: h, cfg: add, adapter: cfg.Team, owners: owners, verb: "add to"}
	joined := func(name string) bool {
		return slices.ContainsFunc(cfg.Members, func(m settings.MemberConfig) bool { return m.Name == name })
	}
	if problem := c.run(c.readNICs); problem != nil {
		return Findings{}, problem
	}
	if i := slices.IndexFunc(names, joined); i >= 0 {
		return Findings{}, &api.Problem{Kind: api.Conflict, What: c.prefixed("NIC " + names[i]),
			Why: "it is already a member", Fix: "nicteam status " + cfg.Team}
	}
	for _, n := range c.all {
		if joined(n.Name) {
			c.present = append(c.present, n)
		}
	}
	if problem := c.run(capabilities, c.members, c.sameMACs, c.memberMTU, c.nexthopObjects,
		c.remoteRoot); problem != nil {
		return Findings{}, problem
	}
	c.readOnlySysctls()
	c.generalWarnings()
	return c.impact(consent)
}

// run runs steps up to the first problem.
func (c *preflight) run(steps ...func() *api.Problem) *api.Problem {
	for _, step := range steps {
		if p := step(); p != nil {
			p.What = c.prefixed(p.What)
			return p
		}
	}
	return nil
}

func (c *preflight) readNICs() *api.Problem {
	var err error
	if c.all, err = c.h.NICs(); err != nil {
		return &api.Problem{Kind: api.Failed, What: "read the NICs", Why: err.Error(),
			Fix: "run it on a Linux host with netlink", Err: err}
	}
	return nil
}

type preflight struct {
	h         *Host
	cfg       settings.Config
	adapter   string // its name
	owners    map[string]Owner
	verb      string
	all       []NIC
	nics      []NIC
	present   []NIC // CheckAdd: present members
	warnings  []string
	risks     []risk
	sockets   []boundSocket // packet sockets; nil: not read yet
	told      []string      // see toldOnce; nil: not read yet
	elsewhere []upper       // see uppersElsewhereOnce; nil: not read yet
}

func (c *preflight) prefixed(s string) string { return fmt.Sprintf("%s %s: %s", c.verb, c.cfg.Team, s) }

// adapterName checks the adapter's name.
func (c *preflight) adapterName() *api.Problem {
	name := c.cfg.Team
	if n := realName(c.all, name); n != name {
		return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("the name %s is taken", name),
			Why: fmt.Sprintf("it is an altname of NIC %s", n),
			Fix: fmt.Sprintf("choose another name, or remove the altname: ip link property del dev %s altname %s", n,
				name)}
	}
	i := slices.IndexFunc(c.all, func(n NIC) bool { return n.Name == name })
	if i < 0 || c.all[i].Index == c.h.o.Adapter {
		return nil
	}
	c.h.mu.Lock()
	ours, ok := c.h.adapter()
	c.h.mu.Unlock()
	if ok && ours.Index == c.all[i].Index {
		return nil
	}
	return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("the name %s is taken", name),
		Why: fmt.Sprintf("there is a %s of that name on this host", kindText(c.all[i])),
		Fix: fmt.Sprintf("choose another name, or remove it: ip link del %s", name)}
}

func kindText(n NIC) string {
	switch n.Kind {
	case "device", "":
		return "NIC"
	case "tun":
		return "TUN/TAP device"
	}
	return n.Kind
}

func (c *preflight) members() *api.Problem {
	if len(c.cfg.Members) == 0 {
		return &api.Problem{Kind: api.Usage, What: "no NIC given", Why: "a team needs at least one NIC",
			Fix: fmt.Sprintf("nicteam create %s %s", c.cfg.Team, strings.Join(c.freeNICs(), " "))}
	}
	if len(c.cfg.Members) > spread.MaxMembers {
		return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("%d NICs", len(c.cfg.Members)),
			Why: fmt.Sprintf("a team has at most %d members", spread.MaxMembers), Fix: "make two teams"}
	}
	seen := map[int]string{}
	for _, m := range c.cfg.Members {
		n, p := c.member(m.Name)
		if p != nil {
			return p
		}
		if _, ok := seen[n.Index]; ok {
			return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("NIC %s is given twice", n.Name),
				Why: "a NIC can be a member once", Fix: "name each NIC once"}
		}
		seen[n.Index] = n.Name
		c.nics = append(c.nics, n)
	}
	return nil
}

func (c *preflight) member(name string) (NIC, *api.Problem) {
	i := slices.IndexFunc(c.all, func(n NIC) bool { return n.Name == name })
	if i < 0 {
		return NIC{}, c.unknownNIC(name)
	}
	n := c.all[i]
	refuse := func(kind api.ExitCode, why, fix string) (NIC, *api.Problem) {
		return n, &api.Problem{Kind: kind, What: fmt.Sprintf("NIC %s cannot be a member", name), Why: why, Fix: fix}
	}
	switch other, owned := c.owners[name]; {
	case n.Loopback:
		return refuse(api.Usage, "it is the loopback", "choose one of: "+strings.Join(c.freeNICs(), ", "))
	case name == c.cfg.Team:
		return refuse(api.Usage, "it is the adapter of the team", "choose one of: "+strings.Join(c.freeNICs(), ", "))
	case !n.Ethernet:
		return refuse(api.Usage, fmt.Sprintf("it is not an Ethernet NIC (%s)", kindText(n)),
			"choose one of: "+strings.Join(c.freeNICs(), ", "))
	case n.isMaster():
		return refuse(api.Usage, fmt.Sprintf("it is a %s itself", n.Kind),
			"choose one of: "+strings.Join(c.freeNICs(), ", "))
	case owned && other.Team == name:
		return refuse(api.Conflict, "it is the adapter of team "+name,
			"choose one of: "+strings.Join(c.freeNICs(), ", "))
	case owned && other.Dead:
		return refuse(api.Conflict, fmt.Sprintf("it is a member of team %s, whose process died", other.Team),
			"nicteam restore "+other.Team)
	case owned:
		return refuse(api.Conflict, "it is a member of team "+other.Team,
			fmt.Sprintf("nicteam remove %s %s", other.Team, name))
	case n.Master != "":
		return refuse(api.Conflict, fmt.Sprintf("it belongs to the %s", n.Owner()),
			fmt.Sprintf("ip link set %s nomaster", name))
	}
	return n, nil
}

// unknownNIC is the problem of a NIC that does not exist.
func (c *preflight) unknownNIC(name string) *api.Problem {
	var names []string
	for _, n := range c.all {
		if !n.Loopback && n.Name != c.cfg.Team {
			names = append(names, n.Name)
		}
	}
	p := &api.Problem{Kind: api.NotFound, What: fmt.Sprintf("no NIC %q", name), Err: ErrNoNIC}
	if len(names) == 0 {
		p.Why, p.Fix = "this host has no NIC but the loopback", "plug one in, or look with: nicteam list"
		return p
	}
	p.Why = "this host has " + joinNames(names)
	if like := nearest.Word(name, names); like != "" {
		p.Fix = fmt.Sprintf("did you mean %s?", like)
	} else {
		p.Fix = "choose one of them; nicteam list shows what they are"
	}
	return p
}

// freeNICs returns NICs that could be members.
func (c *preflight) freeNICs() []string {
	var names []string
	for _, n := range c.all {
		if n.Ethernet && !n.Loopback && n.Master == "" && len(n.Uppers) == 0 && c.owners[n.Name].Team == "" &&
			n.Kind != "bridge" && n.Name != c.cfg.Team {
			names = append(names, n.Name)
		}
	}
	return names
}

// futureAddresses returns the addresses that the adapter will have.
func (c *preflight) futureAddresses() []netip.Prefix {
	switch c.cfg.Address {
	case settings.AddressGiven:
		return c.cfg.Addresses
	case settings.AddressNone:
		return nil
	}
	var out []netip.Prefix
	for _, n := range c.nics {
		for _, p := range n.Addresses {
			if !p.Addr().IsLinkLocalUnicast() || p.Addr().Is4() {
				out = append(out, p)
			}
		}
	}
	return out
}

func (c *preflight) checkAddresses() *api.Problem {
	have := c.futureAddresses()
	if c.cfg.Address == settings.AddressGiven {
		for _, p := range have {
			if owner := c.linkWithAddress(p.Addr()); owner != "" {
				return &api.Problem{Kind: api.Conflict, What: "address " + p.String(),
					Why: fmt.Sprintf("it is on %s of this host", owner),
					Fix: "choose another address, or remove it: ip addr del " + p.String() + " dev " + owner}
			}
		}
	}
	g := c.cfg.Gateway
	if !g.IsValid() {
		return nil
	}
	bad := func(why, fix string) *api.Problem {
		return &api.Problem{Kind: api.Usage, What: "bad gateway " + g.String(), Why: why, Fix: fix}
	}
	if c.cfg.Address == settings.AddressNone {
		return bad("the adapter gets no address, so it cannot reach a gateway",
			"leave --gateway out, or give --address CIDR")
	}
	var nets []string
	for _, p := range have {
		if p.Addr() == g {
			return bad("it is the adapter's own address", "give the address of the router")
		}
		if p.Contains(g) {
			return nil
		}
		nets = append(nets, p.Masked().String())
	}
	if g.IsLinkLocalUnicast() && g.Is6() {
		return nil
	}
	if len(nets) == 0 {
		return bad("the adapter will have no address, so it cannot reach a gateway", "give --address CIDR")
	}
	return bad("it is not on the adapter's subnet "+joinNames(nets), "give the address of a router on that subnet")
}

// nexthopObjects refuses NICs that nexthop objects use: their routes would still lead there.
func (c *preflight) nexthopObjects() *api.Problem {
	all, err := c.h.rt.Routes()
	if err != nil {
		return nil
	}
	for _, n := range c.nics {
		for _, r := range rtnl.RoutesVia(all, n.Index) {
			if id := r.Get32(rtnl.RTANexthopID); id != 0 {
				return &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("NIC %s cannot be a member", n.Name),
					Why: fmt.Sprintf("the %s uses it through nexthop object %d, which does not move", rtnl.RouteText(r),
						id),
					Fix: fmt.Sprintf(
						"replace the object by a plain route (ip nexthop show id %d), or choose other NICs", id)}
			}
		}
	}
	return nil
}

// linkWithAddress returns the link that has an address, except the adapter and members.
func (c *preflight) linkWithAddress(a netip.Addr) string {
	for _, n := range c.all {
		if n.Name == c.cfg.Team || slices.ContainsFunc(c.nics, func(m NIC) bool { return m.Index == n.Index }) {
			continue
		}
		for _, p := range n.Addresses {
			if p.Addr() == a {
				return n.Name
			}
		}
	}
	return ""
}

// joinNames writes "a, b and c".
func joinNames(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
