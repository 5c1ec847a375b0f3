// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"errors"
	"os"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/host/journal"
)

// List reads the teams and NICs of this host. It returns NotPermitted if a team may not be asked. Who may ask, but not
// read journals, gets what runs and a warning.
func List(ctx context.Context, d Dirs) (*api.List, error) {
	warnings := []string{}
	teams, err := d.teams()
	var problem *api.Problem
	if errors.As(err, &problem) && problem.Kind == api.NotPermitted {
		if _, e := os.Stat(d.RunDir); e != nil {
			return nil, err
		}
		teams, err = d.present()
		warnings = append(warnings, "only root may read "+d.StateDir+
			": teams that do not run, and the NICs of one that does not answer, are not shown")
	}
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
	l := &api.List{Schema: api.ListSchema, Teams: []api.ListedTeam{}, NICs: []api.ListedNIC{}, Warnings: warnings}
	owner, adapter, members := map[string]string{}, map[string]bool{}, map[string]*api.Member{}
	for _, name := range teams {
		t := api.ListedTeam{Name: name, State: "not running", Members: []string{}}
		if links := journal.Claimed(d.StateDir, name); len(links) > 0 {
			adapter[links[0]] = true
			t.Members = append(t.Members, links[1:]...)
		}
		client := control.NewClient(d.RunDir, name)
		client.Waits = func() bool { return d.Pending(name) != nil }
		st, err := client.Status(ctx)
		switch {
		case errors.As(err, &problem) && problem.Kind == api.NotPermitted:
			client.Close()
			return nil, err
		case err != nil && !unlocked(d, name):
			t.Running, t.State = true, "no answer"
		case err != nil && HasKeeper(d, name):
			t.State = "not running, is tried again"
		case err == nil:
			t.Running, t.Mode, t.State, t.Members = true, st.Mode, st.State, []string{}
			adapter[st.Adapter.Name] = true
			for i := range st.Members {
				m := &st.Members[i]
				t.Members, members[m.Name] = append(t.Members, m.Name), m
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
		ln := listedNIC(n)
		if o := owner[n.Name]; o != "" {
			ln.Owner = o
		}
		if m := members[n.Name]; m != nil {
			ln.State, ln.Reason = m.State, m.Why(time.Now())
		}
		l.NICs = append(l.NICs, ln)
	}
	return l, nil
}

func listedNIC(n host.NIC) api.ListedNIC {
	l := api.ListedNIC{Name: n.Name, Index: n.Index, MAC: n.MAC.String(), Driver: n.Driver, Up: n.AdminUp,
		Link: n.Carrier, SpeedBps: n.SpeedBps, Duplex: n.Duplex, MTU: n.MTU, Addresses: []string{}, Owner: n.Owner(),
		Kind: n.Kind, Uppers: append([]string{}, n.Uppers...)}
	for _, a := range n.Addresses {
		l.Addresses = append(l.Addresses, a.String())
	}
	return l
}

// RealNames returns a function that replaces an altname by the name of its NIC, in the network namespace of the caller.
// It leaves names as they are if the kernel does not answer; a later check says why.
func RealNames() func(string) string {
	var of map[string]string
	if h, err := host.Open(host.Options{}); err == nil {
		of, _ = h.AltNames()
		_ = h.Close()
	}
	return func(name string) string {
		if real, ok := of[name]; ok {
			return real
		}
		return name
	}
}

// Owners maps interfaces to the teams that have them, except the team called name: from the status of running teams,
// from the journal of those that do not answer.
func Owners(d Dirs, name string) (map[string]host.Owner, error) {
	of := map[string]host.Owner{}
	teams, err := d.teams()
	if err != nil {
		return nil, err
	}
	for _, other := range teams {
		if other == name {
			continue
		}
		dead := unlocked(d, other)
		for _, nic := range journal.Claimed(d.StateDir, other) {
			of[nic] = host.Owner{Team: other, Dead: dead}
		}
		if dead {
			continue
		}
		client := control.NewClient(d.RunDir, other)
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
