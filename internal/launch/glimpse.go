// SPDX-License-Identifier: MIT

package launch

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/host/journal"
)

// Glimpse is what is known of teams and NICs at once, for the completion of a command line. What may not be read or
// does not answer is left out.
type Glimpse struct {
	Teams  []api.ListedTeam       // as in List, by name; a team that may not be asked has no state
	Status map[string]*api.Status // of the teams that answered
	NICs   []api.ListedNIC        // Ethernet links but adapters, by ifindex
	Free   []api.ListedNIC        // those of NICs that could join a team, hardware first, of that what has a link
}

// glimpseGrace is how much longer than its patience a Glimpse waits for what needs no answer of a team.
const glimpseGrace = 50 * time.Millisecond

// TakeGlimpse returns what is known after patience at the latest, and a little. Teams are asked all at once. It has no
// errors, and waits for no driver or file system: what does not return in time is left behind.
func TakeGlimpse(ctx context.Context, d Dirs, patience time.Duration) *Glimpse {
	asking, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	teams, nics := make(chan *Glimpse, 1), make(chan []host.NIC, 1)
	go func() { teams <- glimpseTeams(asking, d) }()
	go func() { nics <- glimpseNICs() }()
	late := time.NewTimer(patience + glimpseGrace)
	defer late.Stop()
	g, list := &Glimpse{}, []host.NIC(nil)
	for pending := 2; pending > 0; pending-- {
		select {
		case g = <-teams:
		case list = <-nics:
		case <-late.C:
			pending = 0
		}
	}
	g.sortNICs(list)
	return g
}

// glimpseTeams asks the teams whose files can be seen.
func glimpseTeams(ctx context.Context, d Dirs) *Glimpse {
	names := d.visibleTeams()
	g := &Glimpse{Teams: make([]api.ListedTeam, len(names)), Status: map[string]*api.Status{}}
	status := make([]*api.Status, len(names))
	var all sync.WaitGroup
	for i, name := range names {
		all.Go(func() { g.Teams[i], status[i] = glimpseTeam(ctx, d, name) })
	}
	all.Wait()
	for i, name := range names {
		if status[i] != nil {
			g.Status[name] = status[i]
		}
	}
	return g
}

// glimpseTeam asks a team; of one that does not answer the journal knows the members.
func glimpseTeam(ctx context.Context, d Dirs, name string) (api.ListedTeam, *api.Status) {
	t := api.ListedTeam{Name: name}
	client := control.NewClient(d.RunDir, name)
	defer client.Close()
	st, err := client.Status(ctx)
	if err == nil {
		t.Running, t.Mode, t.State = true, st.Mode, st.State
		for i := range st.Members {
			t.Members = append(t.Members, st.Members[i].Name)
		}
		return t, st
	}
	if links := journal.Claimed(d.StateDir, name); len(links) > 0 {
		t.Members = links[1:]
	}
	p, _ := errors.AsType[*api.Problem](err)
	switch {
	case p != nil && p.Kind == api.NotPermitted:
		t.Running = true
	case errors.Is(err, context.DeadlineExceeded), !unlocked(d, name):
		t.Running, t.State = true, "no answer"
	default:
		t.State = "not running"
	}
	return t, nil
}

// visibleTeams is teams without what may not be read.
func (d Dirs) visibleTeams() []string {
	running, _ := teamsWith(d.RunDir, ".sock")
	left, _ := teamsWith(d.StateDir, ".journal")
	left = slices.DeleteFunc(left, func(name string) bool { return journal.Ended(d.StateDir, name) })
	kept, _ := teamsWith(d.RunDir, ".keeper")
	kept = slices.DeleteFunc(kept, func(name string) bool { return !HasKeeper(d, name) })
	names := slices.Concat(running, left, kept)
	slices.Sort(names)
	return slices.Compact(names)
}

// Configured are the teams that have a TEAM.yaml which can be seen.
func (d Dirs) Configured() []string {
	names, _ := teamsWith(d.ConfigDir, ".yaml")
	return names
}

func glimpseNICs() []host.NIC {
	h, err := host.Open(host.Options{})
	if err != nil {
		return nil
	}
	defer func() { _ = h.Close() }()
	list, _ := h.NICs()
	return list
}

// sortNICs fills NICs and Free.
func (g *Glimpse) sortNICs(list []host.NIC) {
	owner, adapter := map[string]string{}, map[string]bool{}
	for _, t := range g.Teams {
		adapter[t.Name] = true
		if st := g.Status[t.Name]; st != nil {
			adapter[st.Adapter.Name] = true
		}
		for _, m := range t.Members {
			owner[m] = "team " + t.Name
		}
	}
	var free []Candidate
	for _, n := range list {
		if n.Loopback || !n.Ethernet || adapter[n.Name] {
			continue
		}
		l := listedNIC(n)
		if o := owner[n.Name]; o != "" {
			l.Owner = o
		}
		g.NICs = append(g.NICs, l)
		if l.Owner == "" && n.CanJoin() {
			free = append(free, Candidate{ListedNIC: l})
		}
	}
	for _, c := range ordered(free) {
		g.Free = append(g.Free, c.ListedNIC)
	}
}
