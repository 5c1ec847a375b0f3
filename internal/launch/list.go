package launch

import (
	"context"
	"errors"

	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/internal/host/journal"
	"nicteam/team"
)

// List reads the teams and NICs of this host. It returns NotPermitted if a team may not be asked.
func List(ctx context.Context, d Dirs) (*Listing, error) {
	teams, err := d.teams()
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
	l := &Listing{Schema: "nicteam.list/v1", Teams: []ListedTeam{}, NICs: []ListedNIC{}}
	owner, adapter := map[string]string{}, map[string]bool{}
	for _, name := range teams {
		t := ListedTeam{Name: name, State: "not running", Members: []string{}}
		if links := journal.Claimed(d.StateDir, name); len(links) > 0 {
			adapter[links[0]] = true
			t.Members = append(t.Members, links[1:]...)
		}
		client := control.NewClient(d.RunDir, name)
		st, err := client.Status(ctx)
		var problem *team.Problem
		switch {
		case errors.As(err, &problem) && problem.Kind == team.NotPermitted:
			client.Close()
			return nil, err
		case err != nil && !unlocked(d, name):
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
		ln := ListedNIC{Name: n.Name, Index: n.Index, MAC: n.MAC.String(), Driver: n.Driver,
			Up: n.AdminUp, Link: n.Carrier, SpeedBps: n.SpeedBps, Duplex: n.Duplex, MTU: n.MTU,
			Addresses: []string{}, Owner: n.Owner(), Kind: n.Kind,
			Uppers: append([]string{}, n.Uppers...)}
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

// Listing is the document nicteam.list/v1.
type Listing struct {
	Schema string       `json:"schema"`
	Teams  []ListedTeam `json:"teams"`
	NICs   []ListedNIC  `json:"nics"`
}

// ListedTeam is a team of this host, running or not.
type ListedTeam struct {
	Name    string   `json:"name"`
	Running bool     `json:"running"`
	Mode    string   `json:"mode"`
	State   string   `json:"state"` // up, degraded, down, "not running", "no answer"
	Members []string `json:"members"`
}

// ListedNIC is a NIC of this host.
type ListedNIC struct {
	Name      string   `json:"name"`
	Index     int      `json:"index"`
	MAC       string   `json:"mac"`
	Driver    string   `json:"driver"`
	Up        bool     `json:"up"`   // administratively
	Link      bool     `json:"link"` // carrier
	SpeedBps  uint64   `json:"speed_bps"`
	Duplex    string   `json:"duplex"`
	MTU       int      `json:"mtu"`
	Addresses []string `json:"addresses"`
	Owner     string   `json:"owner"`  // "team team0", "bridge br0", … or ""
	Kind      string   `json:"kind"`   // as rtnetlink has it: "bridge", "veth", "tun", …; "device" for hardware
	Uppers    []string `json:"uppers"` // VLANs, macvlans, … that stand on it
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
