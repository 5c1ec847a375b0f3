// SPDX-License-Identifier: MIT

package systest

import (
	"strings"
	"testing"

	"nicteam/internal/lab/labtest"
)

// withSharedWorld gives the tests of a table one configured world as long as they leave it unchanged; alone asks for a
// world that no other test gets.
func withSharedWorld(parent *testing.T) func(t *testing.T, alone bool, o worldOptions) (*world, state) {
	var w *world
	var before state
	dirty := true
	return func(t *testing.T, alone bool, o worldOptions) (*world, state) {
		t.Helper()
		if alone || dirty {
			owner := parent
			if alone {
				owner = t
			}
			n := newWorld(owner, o)
			n.configureHost()
			if alone {
				return n, state{}
			}
			w, before, dirty = n, n.state(), false
		}
		w.t = t
		t.Cleanup(func() { w.t, dirty = parent, t.Failed() })
		return w, before
	}
}

// TestHostIsAsBefore creates and deletes teams of every kind on a host that has much to lose.
func TestHostIsAsBefore(t *testing.T) {
	parallel(t)
	tests := []struct {
		name    string
		nics    int
		before  string
		options []string
		want    string // in `ip addr show team0`
		warning string
	}{
		{name: "address auto", options: []string{"--mode", "active-backup"}, want: "10.9.0.11/24"},
		{name: "address none", options: []string{"--mode", "xor", "--address", "none"}},
		{name: "address given", options: []string{"--mode", "broadcast", "--address", "10.6.0.1/24,fd06::1/64"},
			want: "10.6.0.1/24"},
		{name: "address and gateway given", options: []string{"--mode", "active-backup", "--address", "10.6.0.1/24",
			"--gateway", "10.6.0.254"}, want: "10.6.0.1/24"},
		{name: "address given that a member has", options: []string{"--mode", "active-backup", "--address",
			"10.9.0.1/24", "--gateway", "10.9.0.2"}, want: "10.9.0.1/24"},
		{name: "no mode given", nics: 3, want: "10.9.0.11/24"},
		{name: "elb with a new MAC", nics: 3, options: []string{"--mode", "elb", "--mac", "new", "--gain", "0s",
			"--rebalance", "0s"}, want: "10.9.0.11/24"},
		{name: "round-robin", nics: 3, options: []string{"--mode", "round-robin"}, want: "10.9.0.11/24"},
		{name: "xor", nics: 3, options: []string{"--mode", "xor"}, want: "10.9.0.11/24"},
		{name: "broadcast", options: []string{"--mode", "broadcast"}, want: "10.9.0.11/24"},
		{name: "MAC new", options: []string{"--mode", "active-backup", "--mac", "new"}, want: "10.9.0.11/24"},
		{name: "MAC given", options: []string{"--mode", "active-backup", "--mac", "02:00:00:00:09:09"},
			want: "02:00:00:00:09:09"},
		{name: "MTU", options: []string{"--mode", "active-backup", "--mtu", "1400"}, want: "mtu 1400"},
		{name: "a NIC that was down", nics: 3, before: "ip link set eth3 down; ip addr add 10.7.0.1/24 dev eth3",
			options: []string{"--mode", "active-backup"}, want: "10.7.0.1/24"},
		{name: "the first NIC was down",
			before:  "ip -6 route del fd22::/32; ip route del 10.22.0.0/16; ip link set eth1 down",
			options: []string{"--mode", "active-backup"}, want: "10.8.0.1/24"},
		{name: "one NIC", nics: 1, options: []string{"--mode", "active-backup"}, want: "10.9.0.11/24",
			warning: "only one NIC"},
		{name: "promiscuous before", before: "ip link set eth2 promisc on allmulticast on",
			options: []string{"--mode", "xor"}, want: "10.9.0.11/24"},
	}
	for _, wires := range []bool{false, true} {
		kind := map[bool]string{false: "veth", true: "TAP"}[wires]
		t.Run(kind, func(t *testing.T) {
			furnished := withSharedWorld(t)
			for _, tt := range tests {
				if wires && tt.name != "address auto" && tt.name != "a NIC that was down" {
					continue
				}
				t.Run(tt.name, func(t *testing.T) {
					w, before := furnished(t, tt.before != "", worldOptions{NICs: 3, Cables: !wires})
					if tt.before != "" {
						w.sh(tt.before)
						before = w.state()
					}
					if tt.nics == 0 {
						tt.nics = 2
					}
					r := w.try(append(append([]string{"create", teamName}, nics(tt.nics)...), tt.options...)...)
					if r.Code != 0 {
						t.Fatalf("create: exit %d\n%s%s", r.Code, r.Out, r.Err)
					}
					if !strings.Contains(r.Err, tt.warning) {
						t.Errorf("no warning %q in %q", tt.warning, r.Err)
					}
					if shown := w.sh("ip addr show " + teamName); !strings.Contains(shown, tt.want) {
						t.Errorf("no %q in:\n%s", tt.want, shown)
					}
					for _, nic := range nics(tt.nics) {
						if shown := w.sh("ip addr show dev " + nic); strings.Contains(shown, "inet") {
							t.Errorf("%s still has addresses:\n%s", nic, shown)
						}
					}
					out := w.nicteam("delete", teamName)
					w.checkUnchanged("after delete", before)
					w.checkNoFiles("after delete")
					if t.Failed() {
						t.Logf("delete said:\n%s", out)
					}
				})
			}
		})
	}
}

// TestHostIsAsBeforeAfterChanges deletes a team after adds and removes.
func TestHostIsAsBeforeAfterChanges(t *testing.T) {
	parallel(t)
	tests := []struct {
		name    string
		options []string
		changes [][]string
	}{
		{"add", nil, [][]string{{"add", teamName, "eth3"}}},
		{"remove", nil, [][]string{{"remove", teamName, "eth2"}}},
		{"remove and add", nil, [][]string{{"remove", teamName, "eth2"}, {"add", teamName, "eth2", "eth3"},
			{"remove", teamName, "eth3"}}},
		{"remove the donor", nil, [][]string{{"remove", teamName, "eth1"}}},
		{"remove the donor and add it", nil, [][]string{{"remove", teamName, "eth1"}, {"add", teamName, "eth1"}}},
		{"remove the donor and add it, with addresses of its own", []string{"--address", "none"},
			[][]string{{"remove", teamName, "eth1"}, {"add", teamName, "eth1"}}},
		{"remove the first with a new MAC", []string{"--mac", "new"}, [][]string{{"remove", teamName, "eth1"}}},
		{"remove the last", nil, [][]string{{"remove", teamName, "eth1", "eth2", "--force"}}},
		{"MTU", nil, [][]string{{"set", teamName, "mtu=1300"}, {"set", teamName, "mtu=1400"}}},
		{"every mode", nil, [][]string{{"set", teamName, "mode=round-robin"}, {"set", teamName, "mode=xor"},
			{"set", teamName, "mode=broadcast"}, {"set", teamName, "mode=elb"},
			{"set", teamName, "rebalance=100ms", "gain=1ms", "skew=0s", "receive_balance=off"},
			{"set", teamName, "balance=off"}, {"set", teamName, "balance=on"}}},
	}
	furnished := withSharedWorld(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w, before := furnished(t, false, worldOptions{NICs: 3, Cables: true})
			w.create(nics(2), append([]string{"--mode", "active-backup"}, tt.options...)...)
			for _, c := range tt.changes {
				w.nicteam(c...)
			}
			w.nicteam("delete", teamName)
			w.checkUnchanged("after delete", before)
			w.checkNoFiles("after delete")
		})
	}
}

// TestRemovedNICHasWhatItHad checks a removed NIC while the team goes on.
func TestRemovedNICHasWhatItHad(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{NICs: 3, Cables: true})
	w.configureHost()
	show := func(nic string) string {
		return w.sh("ip link show " + nic +
			" | head -1 | sed 's/state [A-Z]*//'; cd /proc/sys/net; grep . ipv4/conf/" + nic + "/* ipv6/conf/" + nic +
			"/* 2>/dev/null || true")
	}
	before := show("eth2")
	w.create(nics(3), "--mode", "active-backup")
	w.nicteam("remove", teamName, "eth2")
	if after := show("eth2"); after != before {
		t.Errorf("eth2 was\n%s\nand is\n%s", before, after)
	}
	if shown := w.sh("ip addr show dev eth2"); strings.Contains(shown, "inet 10.8") {
		t.Errorf("eth2 has an address that the adapter has, too:\n%s", shown)
	}
	r := w.try("remove", teamName, "eth1")
	if r.Code != 0 || !strings.Contains(r.Out, "released down") || !strings.Contains(r.Out, "ip link set eth1 up") {
		t.Errorf("remove of the NIC that lent its MAC: exit %d: %s%s", r.Code, r.Out, r.Err)
	}
	labtest.Eventually(t, "eth1 down", func() bool { return strings.Contains(w.sh("ip link show eth1"), "state DOWN") })
}
