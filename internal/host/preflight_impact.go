// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/host/masquerade"
	"nicteam/internal/settings"
)

// Rules, filters, programs and connections of others are bound to a NIC, and do not move with its traffic to the
// adapter. They are named before anything is changed.

// risk is an impact that would open the host, or cut off what uses it.
type risk struct {
	nic, why, fix string
	needsForce    bool   // -y does not accept it
	accepted      string // the warning, if that is not why and fix
}

func (c *preflight) warnf(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.warnings, text) {
		c.warnings = append(c.warnings, text)
	}
}

func (c *preflight) addRisk(nic, why, fix string) {
	c.risks = append(c.risks, risk{nic: nic, why: why, fix: fix})
}

// Consent is the caller's answer to risks: a set of flags.
type Consent int

const (
	ConsentGiven   Consent = 1 << iota // -y: filters that stop protecting are warnings
	ConsentChecked                     // impacts were checked and accepted before, by Check or CheckImpact: skip them
	ConsentForced                      // --force: uppers and PPPoE that lose their traffic are warnings, too

	ConsentAsk Consent = 0 // none yet: risks are a problem
)

// accepts reports whether the caller goes on in spite of a risk.
func (consent Consent) accepts(r risk) bool {
	return consent&ConsentForced != 0 || !r.needsForce && consent&ConsentGiven != 0
}

// Findings are what a check has found.
type Findings struct {
	Warnings []string
	Blocked  []api.PlanRisk // refused without consent
}

// impact collects all impacts. Risks are warnings with consent, else a problem.
func (c *preflight) impact(consent Consent) (Findings, *api.Problem) {
	c.uppers()
	if consent&ConsentChecked == 0 {
		c.firewallRules()
		c.tcFilters()
		c.ipsecPolicies()
		c.boundSockets()
		c.multicastGroups()
		c.multicastRouters()
		c.mptcpEndpoints()
		c.masqueradedConnections()
		c.networkManagers()
	}
	f := Findings{Blocked: []api.PlanRisk{}}
	var refused []risk
	for _, r := range c.risks {
		yes := consent.accepts(r)
		f.Blocked = append(f.Blocked, api.PlanRisk{NIC: r.nic, Why: r.why, Fix: r.fix, Accepted: yes})
		switch {
		case !yes:
			refused = append(refused, r)
		case r.accepted != "":
			c.warnf("%s", r.accepted)
		default:
			c.warnf("%s; %s", r.why, r.fix)
		}
	}
	f.Warnings = c.warnings
	problem := refusal(refused)
	if problem != nil {
		problem.What = c.prefixed(problem.What)
	}
	return f, problem
}

// refusal is the problem of risks that nobody has accepted.
func refusal(risks []risk) *api.Problem {
	if len(risks) == 0 {
		return nil
	}
	what, uppers := "rules and filters of the NICs would no longer apply", false
	var whys, fixes []string
	for _, r := range risks {
		whys = append(whys, r.why)
		uppers = uppers || r.needsForce
		if !slices.Contains(fixes, r.fix) {
			fixes = append(fixes, r.fix)
		}
	}
	if uppers {
		what = fmt.Sprintf("NIC %s cannot be a member", risks[slices.IndexFunc(risks, func(r risk) bool {
			return r.needsForce
		})].nic)
	}
	return &api.Problem{Kind: api.Conflict, What: what, Why: strings.Join(whys, "; "),
		Fix: strings.Join(fixes, "; ") + "; or accept it with --force"}
}

// CheckImpact is the part of CheckAdd for which the team's process may lack rights: it may not see other users'
// programs, nor other network namespaces. Missing NICs are left to CheckAdd.
func (h *Host) CheckImpact(cfg settings.Config, adapter string, names []string, consent Consent) (Findings,
	*api.Problem) {
	c := &preflight{h: h, cfg: cfg, adapter: adapter, verb: "add to"}
	if problem := c.run(c.readNICs); problem != nil {
		return Findings{}, problem
	}
	for _, n := range c.all {
		if slices.Contains(names, n.Name) {
			c.nics = append(c.nics, n)
		}
	}
	c.uppersElsewhere()
	return c.impact(consent)
}

// masqueradedConnections warns of connections that will be cut.
func (c *preflight) masqueradedConnections() {
	if !c.cfg.Address.FromMembers() {
		return
	}
	var addresses []netip.Addr
	for _, n := range c.nics {
		for _, p := range n.Addresses {
			addresses = append(addresses, p.Addr())
		}
	}
	if cut, why := masquerade.CutConnections(addresses); cut > 0 {
		c.warnf("%d masqueraded connections will be cut: %s", cut, why)
	}
}

// generalWarnings warns of what does not prevent the team.
func (c *preflight) generalWarnings() {
	if len(c.nics) == 1 && c.verb == "create" {
		c.warnf("the team has only one NIC: no gain before a second joins (nicteam add %s NIC)", c.cfg.Team)
	}
	if need, n := c.cfg.MinMembers, len(c.nics); c.verb == "create" && need > n {
		c.warnf("min_members is %d and the team has %d: it stays down until more NICs join (nicteam add %s NIC), or "+
			"with min_members=%d", need, n, c.cfg.Team, n)
	}
	for _, text := range c.unfitForMode() {
		c.warnf("%s", text)
	}
	if c.verb == "create" && c.cfg.Address == settings.AddressAuto && len(c.futureAddresses()) == 0 {
		c.warnf("none of the NICs has an address, so the adapter gets none; give it one with: ip addr add CIDR dev %s",
			c.cfg.Team)
	}
}

// unfitForMode says which NICs do not suit the mode. All suit elb, where each sends with its own MAC and as much as it
// can.
func (c *preflight) unfitForMode() (out []string) {
	if c.cfg.Mode.OwnMACs(c.cfg.Balance) {
		return nil
	}
	var speeds []string
	differ := false
	for _, n := range c.nics {
		if n.WiFi {
			out = append(out,
				fmt.Sprintf(
					"%s is a Wi-Fi NIC: access points take no frames from other MACs, so unless %s has its MAC it "+
						"is of use in mode elb only", n.Name, c.cfg.Team))
		}
		if n.SpeedBps > 0 {
			speeds = append(speeds, fmt.Sprintf("%s %d Mbit/s", n.Name, n.SpeedBps/1_000_000))
			differ = differ || n.SpeedBps != firstSpeed(c.nics)
		}
	}
	if differ {
		what := "modes that spread by hash do not know it"
		if c.cfg.Mode.HasPartner() {
			what = "LACP uses only ports of the same speed together"
		}
		out = append(out, fmt.Sprintf("the NICs' speeds differ (%s): %s", strings.Join(speeds, ", "), what))
	}
	return out
}

func firstSpeed(list []NIC) uint64 {
	for _, n := range list {
		if n.SpeedBps > 0 {
			return n.SpeedBps
		}
	}
	return 0
}
