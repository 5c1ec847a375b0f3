// SPDX-License-Identifier: MIT

package host

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

// TestCandidates: a NIC can be chosen if and only if Check accepts it, and the reason is the same.
func TestCandidates(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	links := []string{"br9", "mv9", "tun9", "nh9"}
	clean := func() {
		for _, l := range links {
			exec.Command("ip", "link", "del", l).Run()
		}
	}
	clean()
	t.Cleanup(clean)
	run(t, `ip link add br9 type bridge; ip link add link nc name mv9 type macvlan; ip tuntap add dev tun9 mode tun
		ip link set pnc master br9
		ip link add nh9 type veth peer name pnh9; ip link set pnh9 up; ip link set nh9 up
		ip addr add 10.6.0.1/24 dev nh9
		ip nexthop add id 77 via 10.6.0.2 dev nh9; ip route add 10.66.0.0/16 nhid 77`)
	owners := map[string]Owner{"nb": {Team: "team7"}}
	h := w.open(nil)
	defer h.Close()
	list, err := h.Candidates(teamName, owners, ConsentAsk)
	must(t, err)
	var names, free []string
	for _, c := range list {
		names = append(names, c.Name)
		_, p := h.Check(configOf(c.Name), owners, ConsentGiven)
		switch {
		case p == nil && c.Problem == nil:
			free = append(free, c.Name)
		case p == nil || c.Problem == nil:
			t.Errorf("%s: offered with %v, checked with %v", c.Name, c.Problem, p)
		case c.Problem.Why != p.Why || c.Problem.Fix != p.Fix || !strings.HasSuffix(p.What, c.Problem.What):
			t.Errorf("%s:\n%v\n%v", c.Name, c.Problem, p)
		}
	}
	for _, name := range []string{"na", "nb", "nc", "pnc", "br9", "mv9", "nh9"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is missing in %v", name, names)
		}
	}
	if slices.Contains(names, "tun9") || slices.Contains(names, "lo") {
		t.Errorf("not Ethernet: %v", names)
	}
	for name, want := range map[string]bool{"na": true, "pna": true, "mv9": true, "nb": false, "nc": false,
		"pnc": false, "br9": false, "nh9": false} {
		if got := slices.Contains(free, name); got != want {
			t.Errorf("%s can be chosen: %v, want %v", name, got, want)
		}
	}

	forced, err := h.Candidates(teamName, owners, ConsentForced)
	must(t, err)
	for _, c := range forced {
		if _, p := h.Check(configOf(c.Name), owners, ConsentForced); (p == nil) != (c.Problem == nil) {
			t.Errorf("%s, forced: offered with %v, checked with %v", c.Name, c.Problem, p)
		}
		if c.Name == "nc" && c.Problem != nil {
			t.Errorf("a NIC with a macvlan, forced: %v", c.Problem)
		}
	}

	added, err := h.AddCandidates(teamName, "nc", 1500, []string{"na"}, owners)
	must(t, err)
	why := map[string]string{}
	for _, c := range added {
		if c.Problem != nil {
			why[c.Name] = c.Problem.Why
		}
	}
	for name, want := range map[string]string{"na": "it is already a member", "nc": "it is the adapter of the team",
		"nb": "it is a member of team team7", "pna": ""} {
		if why[name] != want {
			t.Errorf("%s: %q, want %q", name, why[name], want)
		}
	}
	large, err := h.AddCandidates(teamName, "nc", 65600, []string{"na"}, owners)
	must(t, err)
	for _, c := range large {
		if c.Name == "pna" && (c.Problem == nil || !strings.Contains(c.Problem.Why, "takes 68 to 65535")) {
			t.Errorf("an MTU that it cannot have: %v", c.Problem)
		}
	}
}
