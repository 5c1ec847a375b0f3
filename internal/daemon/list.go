package daemon

import (
	"context"
	"errors"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/host"
)

// List reads the teams and NICs of this host.
func List(ctx context.Context, p Places) (*api.List, error) {
	teams, err := p.teams()
	if err != nil {
		return nil, err
	}
	h, err := host.Open(host.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { _ = h.Close() }()
	nics, err := h.NICs()
	if err != nil {
		return nil, err
	}
	l := &api.List{Schema: "nicteam.list/v1", Teams: []api.ListedTeam{}, NICs: []api.ListedNIC{}}
	owner, adapter := map[string]string{}, map[string]bool{}
	for _, name := range teams {
		t := api.ListedTeam{Name: name, State: "not running", Members: []string{}}
		if links := host.Claimed(p.StateDir, name); len(links) > 0 {
			adapter[links[0]] = true
			t.Members = append(t.Members, links[1:]...)
		}
		client := control.NewClient(p.RunDir, name)
		st, err := client.Status(ctx)
		var problem *api.Problem
		switch {
		case errors.As(err, &problem) && problem.Code == api.NotPermitted:
			client.Close()
			return nil, err // neither that it runs nor that it does not
		case err != nil && !free(p, name):
			t.Running, t.State = true, "no answer"
		case err == nil:
			t.Running, t.Mode, t.State, t.Members = true, st.Mode, st.State, []string{}
			adapter[st.Adapter.Name] = true
			for _, m := range st.Members {
				t.Members = append(t.Members, m.Name)
			}
		}
		for _, m := range t.Members {
			owner[m] = "team " + name
		}
		client.Close()
		l.Teams = append(l.Teams, t)
	}
	for _, n := range nics {
		if n.Loopback || !n.Ethernet || adapter[n.Name] {
			continue
		}
		ln := api.ListedNIC{Name: n.Name, Index: n.Index, MAC: n.MAC.String(), Driver: n.Driver, Up: n.AdminUp, Link: n.Carrier,
			SpeedBps: n.SpeedBps, Duplex: n.Duplex, MTU: n.MTU, Addresses: []string{}, Owner: n.Owner(), Kind: n.Kind, Uppers: append([]string{}, n.Uppers...)}
		if o := owner[n.Name]; o != "" {
			ln.Owner = o
		}
		for _, a := range n.Addresses {
			ln.Addresses = append(ln.Addresses, a.String())
		}
		l.NICs = append(l.NICs, ln)
	}
	return l, nil
}

// owners maps links to the teams, name's own left out, that have them: those that run, as they say, and those whose
// process does not answer, as their journals say.
func owners(p Places, name string) (map[string]host.Owner, error) {
	of := map[string]host.Owner{}
	teams, err := p.teams()
	if err != nil {
		return nil, err
	}
	for _, other := range teams {
		if other == name {
			continue
		}
		dead := free(p, other)
		for _, nic := range host.Claimed(p.StateDir, other) {
			of[nic] = host.Owner{Team: other, Dead: dead}
		}
		if dead {
			continue
		}
		client := control.NewClient(p.RunDir, other)
		if st, err := client.Status(context.Background()); err == nil {
			of[st.Adapter.Name] = host.Owner{Team: other}
			for _, m := range st.Members {
				of[m.Name] = host.Owner{Team: other}
			}
		}
		client.Close()
	}
	return of, nil
}
