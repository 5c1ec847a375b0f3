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

// risk is an impact that would open the host, or cut it off.
type risk struct{ why, fix string }

func (c *preflight) warnf(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.warnings, text) {
		c.warnings = append(c.warnings, text)
	}
}

func (c *preflight) addRisk(why, fix string) { c.risks = append(c.risks, risk{why, fix}) }

// Consent is the caller's answer to risks.
type Consent int

const (
	ConsentAsk     Consent = iota // none yet: risks are a problem
	ConsentGiven                  // given: risks are warnings
	ConsentChecked                // impacts were checked and accepted before, by Check or CheckImpact: skip them
)

// impact collects all impacts. Risks are warnings with consent, else a problem.
func (c *preflight) impact(consent Consent) ([]string, *api.Problem) {
	if consent == ConsentChecked {
		return c.warnings, nil
	}
	c.firewallRules()
	c.tcFilters()
	c.ipsecPolicies()
	c.boundSockets()
	c.multicastGroups()
	c.multicastRouters()
	c.mptcpEndpoints()
	c.masqueradedConnections()
	c.networkManagers()
	var whys, fixes []string
	for _, r := range c.risks {
		if consent == ConsentGiven {
			c.warnf("%s; %s", r.why, r.fix)
			continue
		}
		whys = append(whys, r.why)
		if !slices.Contains(fixes, r.fix) {
			fixes = append(fixes, r.fix)
		}
	}
	if len(whys) == 0 {
		return c.warnings, nil
	}
	return c.warnings, &api.Problem{Kind: api.Conflict,
		What: c.prefixed("rules and filters of the NICs would no longer apply"),
		Why:  strings.Join(whys, "; "), Fix: strings.Join(fixes, "; ") + "; or accept it with -y"}
}

// CheckImpact is the part of CheckAdd for which the team's process may lack rights: it may not see other users'
// programs. Missing NICs are left to CheckAdd.
func (h *Host) CheckImpact(cfg settings.Config, adapter string, names []string, consent Consent) (warnings []string,
	problem *api.Problem) {
	c := &preflight{h: h, cfg: cfg, adapter: adapter, verb: "add to"}
	if problem := c.run(c.readNICs); problem != nil {
		return nil, problem
	}
	for _, n := range c.all {
		if slices.Contains(names, n.Name) {
			c.nics = append(c.nics, n)
		}
	}
	if problem := c.run(c.uppersElsewhere); problem != nil {
		return nil, problem
	}
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
