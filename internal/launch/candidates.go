// SPDX-License-Identifier: MIT

package launch

import (
	"cmp"
	"context"
	"slices"

	"nicteam/internal/api"
	"nicteam/internal/host"
	"nicteam/internal/managers"
	"nicteam/internal/ssh"
)

// Candidate is a NIC of this host as a user chooses it for a team.
type Candidate struct {
	api.ListedNIC
	Manager string       // the program that configures it, "" for none that is known
	Session bool         // the SSH session of the caller goes by it
	Problem *api.Problem // why it cannot be a member; nil: it can
}

// Candidates returns the NICs of this host, those first that a new team of that name could have; with force also those
// that links of others would lose.
func Candidates(ctx context.Context, d Dirs, name string, force bool) ([]Candidate, error) {
	h, err := host.Open(host.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Close() }()
	taken, err := Owners(d, name)
	if err != nil {
		return nil, err
	}
	consent := host.ConsentAsk
	if force {
		consent = host.ConsentForced
	}
	nics, err := h.Candidates(name, taken, consent)
	if err != nil {
		return nil, err
	}
	return ordered(described(ctx, h, "create "+name, nics, taken)), nil
}

// AddCandidates returns the NICs of this host, those first that could join a running team. It returns none if the
// caller is in another network namespace than the team.
func AddCandidates(ctx context.Context, d Dirs, st *api.Status) ([]Candidate, error) {
	h, err := openSameNetNS(st)
	if h == nil {
		return nil, err
	}
	defer func() { _ = h.Close() }()
	taken, err := Owners(d, st.Team)
	if err != nil {
		return nil, err
	}
	members := make([]string, len(st.Members))
	for i := range st.Members {
		members[i] = st.Members[i].Name
		taken[members[i]] = host.Owner{Team: st.Team}
	}
	nics, err := h.AddCandidates(st.Team, st.Adapter.Name, st.Adapter.MTU, members, taken)
	if err != nil {
		return nil, err
	}
	return ordered(described(ctx, h, "add to "+st.Team, nics, taken)), nil
}

// described adds who configures each NIC, whether the caller's SSH session goes by it, and which team of other
// directories holds it.
func described(ctx context.Context, h *host.Host, what string, nics []host.Candidate,
	taken map[string]host.Owner) []Candidate {
	links := make([]managers.NIC, len(nics))
	for i, n := range nics {
		links[i] = managers.NIC{Name: n.Name, Index: n.Index}
	}
	by := managers.ServedBy(ctx, managers.Options{}, links)
	clients := h.LeaseClients()
	var session []string
	if c, ok := ssh.OfCaller(); ok {
		session = c.Links()
	}
	list := make([]Candidate, 0, len(nics))
	for _, n := range nics {
		c := Candidate{ListedNIC: listedNIC(n.NIC), Problem: n.Problem, Session: slices.Contains(session, n.Name)}
		c.Manager = cmp.Or(by[n.Name], clientOf(clients, n.Name))
		if o := taken[n.Name]; o.Team != "" {
			c.Owner = "team " + o.Team
		} else if other, _ := NICHolderOf(n.Index); other != nil {
			c.Owner = "team " + other.team
			c.Problem = cmp.Or(c.Problem, other.Problem(what, n.Name))
		}
		list = append(list, c)
	}
	return list
}

// clientOf returns the DHCP client that was started for this NIC, "" for none.
func clientOf(clients []host.LeaseClient, nic string) string {
	for _, c := range clients {
		if slices.Contains(c.Args, nic) {
			return c.Program
		}
	}
	return ""
}

// ordered sorts the NICs that can be chosen to the front, of them hardware, of that what has a link.
func ordered(list []Candidate) []Candidate {
	last := func(b bool) int {
		if b {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b Candidate) int {
		return cmp.Or(
			cmp.Compare(last(a.Problem == nil), last(b.Problem == nil)),
			cmp.Compare(last(a.Physical()), last(b.Physical())),
			cmp.Compare(last(a.Link), last(b.Link)),
			cmp.Compare(a.Index, b.Index))
	})
	return list
}
