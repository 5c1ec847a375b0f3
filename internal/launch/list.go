package launch

import (
	"context"
	"errors"

	"nicteam/internal/control"
	"nicteam/internal/host"
	"nicteam/team"
)

// List reads the teams and NICs of this host.
func List(ctx context.Context, p Dirs) (*Listing, error) {
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
	l := &Listing{Schema: "nicteam.list/v1", Teams: []ListedTeam{}, NICs: []ListedNIC{}}
	owner, adapter := map[string]string{}, map[string]bool{}
	for _, name := range teams {
		t := ListedTeam{Name: name, State: "not running", Members: []string{}}
		if links := host.Claimed(p.StateDir, name); len(links) > 0 {
			adapter[links[0]] = true
			t.Members = append(t.Members, links[1:]...)
		}
		client := control.NewClient(p.RunDir, name)
		st, err := client.Status(ctx)
		var problem *team.Problem
		switch {
		case errors.As(err, &problem) && problem.Kind == team.NotPermitted:
			client.Close()
			return nil, err // neither that it runs nor that it does not
		case err != nil && !unlocked(p, name):
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
		ln := ListedNIC{Name: n.Name, Index: n.Index, MAC: n.MAC.String(), Driver: n.Driver, Up: n.AdminUp, Link: n.Carrier,
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

// RealNames returns a function that puts the name of a NIC in place of an altname, in the network namespace of the caller.
// Where the kernel cannot be asked names stay as they are, and what comes later says why.
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
