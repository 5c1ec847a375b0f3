package host

import (
	"fmt"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// Bystanders are others' things on a NIC that do not go along when its traffic goes by the adapter: rules, filters, programs,
// connections. They are named before anything is changed.

// risk is something that would open the host to others or shut it for them.
type risk struct{ why, fix string }

func (c *check) warnf(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.warnings, text) {
		c.warnings = append(c.warnings, text)
	}
}

func (c *check) guard(why, fix string) { c.risks = append(c.risks, risk{why, fix}) }

// Consent is what the caller has to say to filters of others that would not apply any more.
type Consent int

const (
	Ask    Consent = iota // nothing yet: they are a problem
	Accept                // somebody answers for it: they are warnings
	Known                 // somebody has looked at all that is others', by Check or CheckBystanders, and has said so: nothing is looked for
)

// bystanders looks for all of them. Risks are warnings where somebody answers for them, else a problem.
func (c *check) bystanders(consent Consent) ([]string, *api.Problem) {
	if consent == Known {
		return c.warnings, nil
	}
	c.firewall()
	c.filters()
	c.policies()
	c.programs()
	c.groups()
	c.multicastRoutes()
	c.mptcp()
	c.masqueraded()
	c.keepers()
	var whys, fixes []string
	for _, r := range c.risks {
		if consent == Accept {
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
	return c.warnings, &api.Problem{Kind: api.Conflict, What: c.what("rules and filters on the NICs would stop applying"),
		Why: strings.Join(whys, "; "), Fix: strings.Join(fixes, "; ") + "; or answer for it with -y"}
}

// CheckBystanders is the part of CheckAdd for which the team's own process may have too few rights: it cannot see the programs of others.
// NICs that are not there are left to CheckAdd.
func (h *Host) CheckBystanders(cfg settings.Config, adapter string, names []string, consent Consent) (warnings []string, problem *api.Problem) {
	c := &check{h: h, cfg: cfg, adapter: adapter, verb: "add to"}
	if problem := c.pass(c.readNICs); problem != nil {
		return nil, problem
	}
	for _, n := range c.all {
		if slices.Contains(names, n.Name) {
			c.chosen = append(c.chosen, n)
		}
	}
	if problem := c.pass(c.uppersElsewhere); problem != nil {
		return nil, problem
	}
	return c.bystanders(consent)
}
