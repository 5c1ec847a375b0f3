// SPDX-License-Identifier: MIT

package launch

import (
	"net"
	"os"
	"slices"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/host"
)

// TestOrdered: what can be chosen comes first, of that hardware, of that what has a link.
func TestOrdered(t *testing.T) {
	nic := func(name, kind string, index int, link bool, p *api.Problem) Candidate {
		return Candidate{ListedNIC: api.ListedNIC{Name: name, Kind: kind, Index: index, Link: link}, Problem: p}
	}
	not := &api.Problem{Why: "it is taken"}
	list := []Candidate{nic("taken", "device", 1, true, not), nic("br0", "bridge", 2, true, not),
		nic("veth", "veth", 3, true, nil), nic("dark", "device", 4, false, nil), nic("eth1", "device", 6, true, nil),
		nic("eth0", "device", 5, true, nil)}
	var got []string
	for _, c := range ordered(list) {
		got = append(got, c.Name)
	}
	if want := []string{"eth0", "eth1", "dark", "veth", "taken", "br0"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestClientOf(t *testing.T) {
	clients := []host.LeaseClient{{Program: "dhcpcd", Args: []string{"dhcpcd"}},
		{Program: "udhcpc", Args: []string{"udhcpc", "-i", "eth1"}}}
	if got := clientOf(clients, "eth1") + clientOf(clients, "eth2"); got != "udhcpc" {
		t.Errorf("%q", got)
	}
}

// TestFreeName: a name that is proposed is that of nothing else.
func TestFreeName(t *testing.T) {
	d := Dirs{RunDir: t.TempDir(), StateDir: t.TempDir(), ConfigDir: t.TempDir()}
	if _, err := net.InterfaceByName("team0"); err == nil {
		t.Skip("there is a link team0 here: run it in another network namespace")
	}
	if got, err := FreeName(d); got != "team0" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(d.configFile("team0"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.RunDir+"/team1.sock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := FreeName(d); got != "team2" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
