// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"slices"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// Candidate is a NIC of this host, and what prevents it from joining a team.
type Candidate struct {
	NIC
	Problem *api.Problem // nil: it can join
}

// Candidates returns the Ethernet links of this host by ifindex, with the verdict of those checks of Check that concern
// one NIC by itself. Checks of several NICs together (MACs, MTU, addresses) and of what would stop applying need a
// choice: they are left to Check. It only reads.
func (h *Host) Candidates(name string, owners map[string]Owner, consent Consent) ([]Candidate, error) {
	c := &preflight{h: h, cfg: settings.Config{Team: name}, adapter: name, owners: owners, verb: "create"}
	return c.candidates(consent, nil)
}

// AddCandidates is Candidates for a running team with these members and this adapter.
func (h *Host) AddCandidates(name, adapter string, mtu int, members []string, owners map[string]Owner) ([]Candidate,
	error) {
	c := &preflight{h: h, cfg: settings.Config{Team: name}, adapter: adapter, owners: owners, verb: "add to"}
	return c.candidates(ConsentAsk, func(n NIC) *api.Problem {
		switch {
		case n.Name == adapter:
			return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("NIC %s cannot be a member", n.Name),
				Why: "it is the adapter of the team", Fix: "choose another NIC"}
		case slices.Contains(members, n.Name):
			return &api.Problem{Kind: api.Conflict, What: "NIC " + n.Name, Why: "it is already a member",
				Fix: "nicteam status " + name}
		}
		return c.adapterMTU(n, adapter, mtu)
	})
}

// candidates judges all NICs, each by itself. first, if any, has the first word.
func (c *preflight) candidates(consent Consent, first func(NIC) *api.Problem) (list []Candidate, err error) {
	if c.all, err = c.h.NICs(); err != nil {
		return nil, err
	}
	for _, n := range c.all {
		if n.Loopback || !n.Ethernet {
			continue
		}
		var p *api.Problem
		if first != nil {
			p = first(n)
		}
		if p == nil {
			_, p = c.member(n.Name)
		}
		if p == nil {
			c.nics = append(c.nics, n)
		}
		list = append(list, Candidate{n, p})
	}
	free := c.nics
	for _, step := range []func() *api.Problem{c.nexthopObjects, c.remoteRoot} {
		if c.nics = free; step() == nil {
			continue // of none of them
		}
		for i := range list {
			if list[i].Problem != nil {
				continue
			}
			c.nics = []NIC{list[i].NIC}
			list[i].Problem = step()
		}
	}
	c.nics = free
	c.uppersElsewhere()
	c.uppers()
	for i := range list {
		if list[i].Problem == nil {
			list[i].Problem = refusal(slices.DeleteFunc(slices.Clone(c.risks),
				func(r risk) bool { return r.nic != list[i].Name || consent.accepts(r) }))
		}
	}
	return list, nil
}
