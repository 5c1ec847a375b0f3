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

// Bystanders are others' things on a NIC that do not go along when its traffic goes by the adapter: rules, filters, programs,
// connections. They are named before anything is changed.

// risk is something that would open the host to others or shut it for them.
type risk struct{ why, fix string }

func (c *preflight) warnf(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.warnings, text) {
		c.warnings = append(c.warnings, text)
	}
}

func (c *preflight) addRisk(why, fix string) { c.risks = append(c.risks, risk{why, fix}) }

// Consent is what the caller has to say to filters of others that would not apply any more.
type Consent int

const (
	ConsentAsk     Consent = iota // nothing yet: they are a problem
	ConsentGiven                  // somebody answers for it: they are warnings
	ConsentChecked                // somebody has looked at all that is others', by Check or CheckImpact, and has said so: nothing is looked for
)

// impact looks for all of them. Risks are warnings where somebody answers for them, else a problem.
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
	return c.warnings, &api.Problem{Kind: api.Conflict, What: c.prefixed("rules and filters on the NICs would stop applying"),
		Why: strings.Join(whys, "; "), Fix: strings.Join(fixes, "; ") + "; or answer for it with -y"}
}

// CheckImpact is the part of CheckAdd for which the team's own process may have too few rights: it cannot see the programs of others.
// NICs that are not there are left to CheckAdd.
func (h *Host) CheckImpact(cfg settings.Config, adapter string, names []string, consent Consent) (warnings []string, problem *api.Problem) {
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

// masqueradedConnections warns of connections that will be cut, as far as that can be known before.
func (c *preflight) masqueradedConnections() {
	if c.cfg.Address != settings.AddressAuto {
		return
	}
	var addresses []netip.Addr
	for _, n := range c.nics {
		for _, p := range n.Addresses {
			addresses = append(addresses, p.Addr())
		}
	}
	if cut, why := masquerade.CutConnections(addresses); cut > 0 {
		c.warnf("%d connections that this host masquerades for others will be cut: %s", cut, why)
	}
}

// generalWarnings collects what does not stand against the team but is worth knowing.
func (c *preflight) generalWarnings() {
	if len(c.nics) == 1 && c.verb == "create" {
		c.warnf("the team has one NIC only: nothing is gained until a second joins (nicteam add %s NIC)", c.cfg.Team)
	}
	for _, text := range c.unfitForMode() {
		c.warnf("%s", text)
	}
	if c.verb == "create" && c.cfg.Address == settings.AddressAuto && len(c.futureAddresses()) == 0 {
		c.warnf("none of the NICs has an address, so the adapter gets none; give it one with: ip addr add CIDR dev %s", c.cfg.Team)
	}
}

// unfitForMode says which NICs are not for the mode. All are for elb, where each sends with its own MAC, and as much as it can.
func (c *preflight) unfitForMode() (out []string) {
	if c.cfg.Mode.OwnMACs(c.cfg.Balance) {
		return nil
	}
	var speeds []string
	differ := false
	for _, n := range c.nics {
		if n.WiFi {
			out = append(out, fmt.Sprintf("%s is a Wi-Fi NIC: access points take no frames from other MACs, so unless %s has its MAC it is of use in mode elb only", n.Name, c.cfg.Team))
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
