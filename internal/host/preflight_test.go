// SPDX-License-Identifier: MIT

package host

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/host/journal"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/settings"
)

func configOf(nics ...string) settings.Config {
	c := settings.DefaultConfig()
	c.Team = teamName
	for _, n := range nics {
		c.Members = append(c.Members, settings.MemberConfig{Name: n, Weight: 1})
	}
	return c
}

func TestCheckRefuses(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	clean := func() {
		for _, l := range []string{"br9", "mv9", "tun9", "nh9"} {
			exec.Command("ip", "link", "del", l).Run()
		}
	}
	clean()
	t.Cleanup(clean)
	run(t, `ip addr add 10.9.0.1/24 dev na; ip addr add 10.7.0.1/24 dev nc; ip -6 addr add fd09::1/64 dev nb nodad
		ip link add br9 type bridge; ip link add link nc name mv9 type macvlan; ip tuntap add dev tun9 mode tun; ip link set pnc master br9
		ip link add nh9 type veth peer name pnh9; ip link set pnh9 up; ip link set nh9 up; ip addr add 10.6.0.1/24 dev nh9
		ip nexthop add id 77 via 10.6.0.2 dev nh9; ip route add 10.66.0.0/16 nhid 77`)
	settled(t)
	before := snapshot(t)
	defer func() { compare(t, before, snapshot(t)) }()
	with := func(c settings.Config, f func(*settings.Config)) settings.Config { f(&c); return c }
	for _, test := range []struct {
		name    string
		config  settings.Config
		running map[string]Owner
		kind    api.ExitCode
		what    string // in What
		why     string // in Why
		fix     string // in Fix
	}{
		{"unknown", configOf("na", "xyzzy"), nil, api.NotFound, `no NIC "xyzzy"`, "na", "nicteam list"},
		{"did you mean", configOf("an"), nil, api.NotFound, `no NIC "an"`, "nb", "did you mean na?"},
		{"none", configOf(), nil, api.Usage, "no NIC", "at least one", "nicteam create team0 "},
		{"loopback", configOf("lo"), nil, api.Usage, "lo", "loopback", "na"},
		{"not Ethernet", configOf("tun9"), nil, api.Usage, "tun9", "not an Ethernet NIC", "na"},
		{"twice", configOf("na", "nb", "na"), nil, api.Usage, "na is given twice", "once", "once"},
		{"in a bridge", configOf("pnc"), nil, api.Conflict, "pnc", "bridge br9", "nomaster"},
		{"a bridge", configOf("br9"), nil, api.Usage, "br9", "bridge", "na"},
		{"macvlan on it", configOf("nc"), nil, api.Conflict, "nc", "mv9", "ip link del mv9"},
		{"other team", configOf("na"), map[string]Owner{"na": {Team: "team7"}}, api.Conflict, "na", "team7",
			"nicteam remove team7 na"},
		{"nexthop object", configOf("nh9"), nil, api.Conflict, "nh9", "10.66.0.0/16 uses it through nexthop object 77",
			"ip nexthop"},
		{"name taken", with(configOf("na"), func(c *settings.Config) { c.Team = "nb" }), nil, api.Conflict,
			"nb is taken", "veth", "ip link del nb"},
		{"itself", with(configOf("na", "teamX"), func(c *settings.Config) { c.Team = "teamX" }), nil, api.NotFound,
			"teamX", "", ""},
		{"small MTU", with(configOf("na"), func(c *settings.Config) { c.MTU = 60 }), nil, api.Usage, "MTU 60", "68",
			"--mtu"},
		{"MTU below IPv6", with(configOf("nb"), func(c *settings.Config) { c.MTU = 1000 }), nil, api.Usage, "MTU 1000",
			"fd09::1/64", "1280"},
		{"gateway elsewhere",
			with(configOf("na"), func(c *settings.Config) { c.Gateway = netip.MustParseAddr("10.8.0.1") }), nil,
			api.Usage, "gateway 10.8.0.1", "10.9.0.0/24", "subnet"},
		{"gateway is own",
			with(configOf("na"), func(c *settings.Config) { c.Gateway = netip.MustParseAddr("10.9.0.1") }), nil,
			api.Usage, "gateway", "own address", "router"},
		{"gateway without address", with(configOf("na"), func(c *settings.Config) {
			c.Address, c.Gateway = settings.AddressNone, netip.MustParseAddr("10.9.0.254")
		}), nil, api.Usage, "gateway", "no address", "--address"},
		{"address of another", with(configOf("na"), func(c *settings.Config) {
			c.Address, c.Addresses = settings.AddressGiven, []netip.Prefix{netip.MustParsePrefix("10.7.0.1/24")}
		}), nil, api.Conflict, "10.7.0.1/24", "nc", "ip addr del"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := w.open(nil)
			_, p := h.Check(test.config, test.running, ConsentAsk)
			h.Close()
			if p == nil {
				t.Fatal("no problem")
			}
			if p.Kind != test.kind || !strings.Contains(p.What, test.what) || !strings.Contains(p.Why, test.why) ||
				!strings.Contains(p.Fix, test.fix) {
				t.Errorf("kind %d\nerror: %s\nwhy:   %s\nfix:   %s\nwant kind %d, %q, %q, %q", p.Kind, p.What, p.Why,
					p.Fix, test.kind, test.what, test.why, test.fix)
			}
			if p.Why == "" || p.Fix == "" {
				t.Errorf("not three lines: %+v", p)
			}
		})
	}
}

func TestCheckAccepts(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	h := w.open(nil)
	warnings, p := h.Check(configOf("na", "nb"), nil, ConsentGiven)
	if p != nil || len(warnings) != 0 {
		t.Errorf("two NICs: %v, %q", p, warnings)
	}
	c := configOf("na", "nb")
	c.MinMembers = 3
	if warnings, p = h.Check(c, nil, ConsentGiven); p != nil || len(warnings) != 1 ||
		!strings.Contains(warnings[0], "min_members is 3 and the team has 2") ||
		!strings.Contains(warnings[0], "min_members=2") {
		t.Errorf("min_members: %v, %q", p, warnings)
	}
	c = configOf("na")
	c.Gateway, c.MTU = netip.MustParseAddr("10.9.0.254"), 1280
	if warnings, p = h.Check(c, nil, ConsentGiven); p != nil || len(warnings) != 2 ||
		!strings.Contains(warnings[1], "only one NIC") {
		t.Errorf("one NIC: %v, %q", p, warnings)
	}
	labtest.Tool(t, "nft", "nftables")
	run(t,
		`nft add table inet f; nft 'add chain inet f in { type filter hook input priority 0; }'; nft 'add rule inet f in iifname "nb" drop'`)
	if warnings, p = h.Check(configOf("na", "nb"), nil, ConsentGiven); p != nil || len(warnings) != 1 ||
		!strings.Contains(warnings[0], `iifname "nb" drop`) {
		t.Errorf("firewall rule: %v, %q", p, warnings)
	}
}

// TestCheckAdd: members of the team itself are no conflict.
func TestCheckAdd(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	c := configOf("na")
	if _, p := h.CheckAdd(c, []string{"na"}, nil, ConsentAsk); p == nil || p.Kind != api.Conflict ||
		!strings.Contains(p.Why, "already") {
		t.Errorf("a member: %+v", p)
	}
	if _, p := h.CheckAdd(c, []string{"nx"}, nil, ConsentAsk); p == nil || p.Kind != api.NotFound ||
		!strings.HasPrefix(p.What, "add to team0: ") {
		t.Errorf("unknown: %+v", p)
	}
	if f, p := h.CheckAdd(c, []string{"nb"}, nil, ConsentAsk); p != nil || len(f.Warnings) != 0 {
		t.Errorf("one more: %v %+v", p, f)
	}
}

func TestNFSRoot(t *testing.T) {
	for _, test := range []struct{ mounts, want string }{
		{"/dev/sda1 / ext4 rw 0 0\n10.0.0.1:/x /mnt nfs4 rw,addr=10.0.0.1 0 0\n", "invalid IP"},
		{"10.0.0.1:/root / nfs4 rw,vers=4.2,clientaddr=10.0.0.2,addr=10.0.0.1 0 0\n", "10.0.0.1"},
		{"[fd00::1]:/root / nfs rw,addr=fd00::1 0 0\n", "fd00::1"},
		{"garbage\n\n/ /\n", "invalid IP"},
	} {
		if got, _ := nfsRoot(test.mounts); got.String() != test.want {
			t.Errorf("%q: %s, want %s", test.mounts, got, test.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	real := journal.Identity{Name: "eth1", Index: 3, MAC: 1, PermanentMAC: 1, Driver: "igc", Bus: "0000:03:00.0"}
	virtual := journal.Identity{Name: "v1", Index: 4, MAC: 2, Driver: "veth"}
	with := func(i journal.Identity, f func(*journal.Identity)) journal.Identity { f(&i); return i }
	for _, test := range []struct {
		name string
		a, b journal.Identity
		want bool
	}{
		{"replugged, renamed", real, with(real, func(i *journal.Identity) { i.Index, i.Name, i.MAC = 9, "eth7", 5 }),
			true},
		{"another card in the slot", real, with(real, func(i *journal.Identity) { i.PermanentMAC = 9 }), false},
		{"another slot", real, with(real, func(i *journal.Identity) { i.Bus = "0000:04:00.0" }), false},
		{"virtual with another MAC", virtual, with(virtual, func(i *journal.Identity) { i.MAC = 9 }), true},
		{"virtual renamed and with another MAC", virtual,
			with(virtual, func(i *journal.Identity) { i.Name, i.MAC = "v2", 9 }), false},
		{"virtual renamed", virtual, with(virtual, func(i *journal.Identity) { i.Name = "v2" }), true},
		{"virtual made anew with its MAC", virtual, with(virtual, func(i *journal.Identity) { i.Index = 9 }), true},
		{"virtual made anew", virtual, with(virtual, func(i *journal.Identity) { i.Index, i.MAC = 9, frame.MAC(7) }),
			false},
		{"virtual of one MAC elsewhere", virtual,
			with(virtual, func(i *journal.Identity) { i.Index, i.Name = 9, "v9" }), false},
	} {
		if got := test.a.Same(test.b); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
