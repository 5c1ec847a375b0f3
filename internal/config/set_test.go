// SPDX-License-Identifier: MIT

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

func TestSet(t *testing.T) {
	base := with(func(c *settings.Config) { c.Members = members("eth1", "eth0.100") })
	for _, tt := range []struct {
		key, value string
		want       func(c *settings.Config)
	}{
		{"mode", "0", func(c *settings.Config) { c.Mode = modes.RoundRobin }},
		{"mode", "balance-xor", func(c *settings.Config) { c.Mode = modes.XOR }},
		{"hash", "layer2", func(c *settings.Config) { c.Hash = spread.Layer2 }},
		{"xmit_hash_policy", "layer2+3", func(c *settings.Config) { c.Hash = spread.Layer23 }},
		{"primary", "eth1", func(c *settings.Config) { c.Primary = "eth1" }},
		{"primary", "", func(c *settings.Config) { c.Primary = "" }},
		{"primary_reselect", "failure", func(c *settings.Config) { c.PrimaryReselect = modes.ReselectFailure }},
		{"primary-reselect", "better", func(c *settings.Config) { c.PrimaryReselect = modes.ReselectBetter }},
		{"active", "eth0.100", func(c *settings.Config) { c.Active = "eth0.100" }},
		{"active_slave", "eth1", func(c *settings.Config) { c.Active = "eth1" }},
		{"active", "none", func(c *settings.Config) { c.Active = "" }},
		{"weight.eth0.100", "2.5", func(c *settings.Config) {
			c.Members = members("eth1", "eth0.100")
			c.Members[1].Weight = 2.5
		}},
		{"mtu", "9000", func(c *settings.Config) { c.MTU = 9000 }},
		{"balance", "off", func(c *settings.Config) { c.Balance = false }},
		{"receive_balance", "off", func(c *settings.Config) { c.ReceiveBalance = false }},
		{"receive_balance", "on", func(c *settings.Config) {}},
		{"mode", "balance-tlb", func(c *settings.Config) { c.ReceiveBalance = false }},
		{"mode", "6", func(c *settings.Config) {}},
		{"gain", "0s", func(c *settings.Config) { c.Gain = 0 }},
		{"gain", "1s", func(c *settings.Config) { c.Gain = time.Second }},
		{"skew", "2ms", func(c *settings.Config) { c.Skew = 2 * time.Millisecond }},
		{"rebalance", "0", func(c *settings.Config) { c.Rebalance = 0 }},
		{"rebalance", "0s", func(c *settings.Config) { c.Rebalance = 0 }},
		{"rebalance", "100ms", func(c *settings.Config) { c.Rebalance = 100 * time.Millisecond }},
		{"up_delay", "1.5s", func(c *settings.Config) { c.UpDelay = 1500 * time.Millisecond }},
		{"packets_per_member", "0", func(c *settings.Config) { c.PacketsPerMember = 0 }},
		{"link_watch", "carrier", func(c *settings.Config) { c.LinkWatch = []string{"carrier"} }},
	} {
		t.Run(tt.key+"="+tt.value, func(t *testing.T) {
			want := base
			tt.want(&want)
			got, err := Set(base, tt.key, tt.value)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, same); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if base.Members[1].Weight != 1 {
				t.Fatal("the configuration given was changed")
			}
		})
	}
}

func TestSetRefuses(t *testing.T) {
	base := with(func(c *settings.Config) { c.Members = members("eth1", "eth2") })
	for _, tt := range []struct {
		key, value string
		kind       api.ExitCode
		has        string
	}{
		{"hsah", "layer2", api.Usage, `did you mean "hash"`},
		{"", "x", api.Usage, "unknown setting"},
		{"mtu", "x", api.Usage, "whole number|want 576 to 65521"},
		{"mtu", "1", api.Usage, "out of range"},
		{"gain", "1.1s", api.Usage, "out of range"},
		{"gain", "-1ns", api.Usage, "out of range"},
		{"skew", "2s", api.Usage, "out of range"},
		{"rebalance", "1ms", api.Usage, "100ms to 1h, or 0s for never"},
		{"rebalance", "2h", api.Usage, "out of range"},
		{"rebalance", "1", api.Usage, "no unit"},
		{"rebalance", "0.0", api.Usage, "no unit"},
		{"mode", "roundrobbin", api.Usage, "did you mean"},
		{"up_delay", "5", api.Usage, "no unit"},
		{"active", "eth3", api.NotFound, "not a member"},
		{"weight.eth3", "1", api.NotFound, "did you mean"},
		{"weight.eth1", "0", api.Usage, "out of range"},
		{"weight.eth1", "-1", api.Usage, "out of range"},
		{"weight.eth1", "NaN", api.Usage, "out of range"},
		{"weight.eth1", "1000001", api.Usage, "1000001 is out of range"},
		{"weight", "2", api.Usage, "weight.NIC"},
		{"members", "eth3", api.Usage, "nicteam add"},
		{"address", "none", api.Usage, "while the team runs"},
		{"team", "x", api.Usage, "while the team runs"},
		{"balance", "1", api.Usage, "on or off"},
		{"link_watch", "prob", api.Usage, `did you mean "probe"`},
		{"link_watch", "ping:10.0.0.254", api.Usage, "use auto, carrier, gateway, arp:IP, nd:IP or probe"},
		{"link_watch", "", api.Usage, "use auto, carrier"},
		{"link_watch", "auto,arp", api.Usage, `link_watch[1]: "arp" is not a link watch`},
		{"link_watch", "gateway:10.0.0.254", api.Usage, "gateway has no address"},
		{"link_watch", "arp:fd00::1", api.Usage, "nd:fd00::1 asks this one"},
		{"link_watch", "nd:10.0.0.254", api.Usage, "arp:10.0.0.254 asks this one"},
		{"link_watch", "arp:224.0.0.1", api.Usage, "not the address of one host"},
		{"link_watch", "arp:0.0.0.0", api.Usage, "not the address of one host"},
		{"link_watch", "nd:ff02::1", api.Usage, "not the address of one host"},
		{"link_watch", "nd:fe80::1%eth1", api.Usage, "not an IPv6 address"},
		{"link_watch", "arp:10.0.0.300", api.Usage, "not an IPv4 address"},
		{"link_watch", "1.0.0.1,1.0.0.2,1.0.0.3,1.0.0.4,1.0.0.5,1.0.0.6,1.0.0.7,1.0.0.8,1.0.0.9,1.0.0.10,1.0.0.11," +
			"1.0.0.12,1.0.0.13,1.0.0.14,1.0.0.15,1.0.0.16,1.0.0.17", api.Usage, "17 link watches are too many"},
		{"watch_policy", "some", api.Usage, "use all or any"},
		{"probe_interval", "9ms", api.Usage, "want 10ms to 1m"},
		{"probe_interval", "61s", api.Usage, "want 10ms to 1m"},
		{"probe_interval", "100", api.Usage, "no unit"},
		{"arp_interval", "0", api.Usage, "probe_interval: 0s is out of range"},
		{"probe_misses", "1", api.Usage, "want 2 to 20"},
		{"probe_misses", "21", api.Usage, "want 2 to 20"},
		{"admission_wait", "61s", api.Usage, "want 0s to 1m"},
		{"miimon", "0", api.Usage, "use auto"},
		{"undamp", "eth3", api.NotFound, "not a member"},
		{"lacp_rate", "fast", api.Usage, "is not for mode elb"},
		{"lacp_fallback", "on", api.Usage, "is not for mode elb"},
		{"ad_actor_sys_prio", "1", api.Usage, "lacp_system_priority: is not for mode elb"},
		{"port_priority.eth1", "1", api.Usage, "is not for mode elb"},
		{"port_priority", "1", api.Usage, "port_priority.NIC"},
	} {
		t.Run(tt.key+"="+tt.value, func(t *testing.T) {
			got, err := Set(base, tt.key, tt.value)
			if err == nil {
				t.Fatalf("set to %+v", got)
			}
			p := problemOf(t, err)
			if all := p.What + "|" + p.Why + "|" + p.Fix; p.Kind != tt.kind || !strings.Contains(all, tt.has) {
				t.Errorf("%d %s, want %d and %q", p.Kind, all, tt.kind, tt.has)
			}
			if d := cmp.Diff(base, got, same); d != "" {
				t.Errorf("changed (-want +got):\n%s", d)
			}
		})
	}
}

// TestSetBondingOptions: bonding's names with bonding's values.
func TestSetBondingOptions(t *testing.T) {
	watch := func(list ...string) func(*settings.Config) { return func(c *settings.Config) { c.LinkWatch = list } }
	for _, tt := range []struct {
		name    string
		changes map[string]string
		want    func(*settings.Config)
	}{
		{"ARP monitor", map[string]string{"arp_interval": "100", "arp_ip_target": "10.0.0.254,10.0.0.253",
			"arp_missed_max": "2", "arp_all_targets": "any"}, func(c *settings.Config) {
			c.LinkWatch = []string{"arp:10.0.0.254", "arp:10.0.0.253"}
			c.ProbeInterval, c.ProbeMisses, c.WatchPolicy = 100*time.Millisecond, 2, settings.WatchAny
		}},
		{"both protocols", map[string]string{"arp_ip_target": "10.0.0.254", "ns_ip6_target": "fd00::fe"},
			watch("arp:10.0.0.254", "nd:fd00::fe")},
		{"MII monitor", map[string]string{"miimon": "100"}, watch("carrier")},
		{"a unit is as good", map[string]string{"ARP-interval": "2s"},
			func(c *settings.Config) { c.ProbeInterval = 2 * time.Second }},
		{"delays", map[string]string{"updelay": "200", "downdelay": "0"},
			func(c *settings.Config) { c.UpDelay = 200 * time.Millisecond }},
	} {
		base := with(func(*settings.Config) {})
		got, _, err := SetAll(base, tt.changes)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if d := cmp.Diff(with(tt.want), got, same); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
	c := with(func(c *settings.Config) { c.LinkWatch = []string{"auto", "nd:fd00::fe"} })
	next, err := Set(c, "arp_ip_target", "10.0.0.254")
	if d := cmp.Diff([]string{"nd:fd00::fe", "arp:10.0.0.254"}, next.LinkWatch); err != nil || d != "" {
		t.Errorf("%v; targets of the other protocol (-want +got):\n%s", err, d)
	}
	_, _, err = SetAll(c, map[string]string{"arp_ip_target": "10.0.0.254", "miimon": "100"})
	if p := problemOf(t, err); !strings.Contains(p.What, "link_watch: given twice") {
		t.Errorf("%v", p)
	}
}

// TestShortIntervals: what they cost is said once, when the team is made and when they are set.
func TestShortIntervals(t *testing.T) {
	l, err := Load(Options{Team: "team0", Members: []string{"eth1", "eth2"}, New: true,
		Flags: []Flag{{"probe_interval", "10ms"}, {"probe_misses", "2"}}})
	if err != nil || len(l.Notes) != 1 || !strings.Contains(l.Notes[0], "sends 100 frames a second") ||
		!strings.Contains(l.Notes[0], "pauses for 20ms") {
		t.Errorf("notes %q, %v", l.Notes, err)
	}
	c := with(func(*settings.Config) {})
	for _, tt := range []struct {
		changes map[string]string
		warns   bool
	}{
		{map[string]string{"probe_interval": "10ms"}, false}, // three misses
		{map[string]string{"probe_misses": "2"}, true},
		{map[string]string{"mtu": "1400"}, false},
	} {
		next, done, err := SetAll(c, tt.changes)
		if warned := strings.Contains(strings.Join(done, "\n"), "warning: "); err != nil || warned != tt.warns {
			t.Errorf("%v: steps %q, %v", tt.changes, done, err)
		}
		c = next
	}
}

// TestSetKernelModes: 5 and 6 differ in what is received, elb leaves that as it is.
func TestSetKernelModes(t *testing.T) {
	c := with(func(*settings.Config) {})
	for _, step := range []struct {
		key, value string
		want       bool
	}{
		{"mode", "5", false}, {"mode", "elb", false}, {"gain", "1ms", false}, {"mode", "6", true},
		{"mode", "balance-tlb", false},
		{"mode", "xor", false}, {"mode", "elb", false}, {"receive_balance", "on", true}, {"mode", "xor", true},
		{"mode", "elb", true},
	} {
		next, err := Set(c, step.key, step.value)
		if err != nil {
			t.Fatal(err)
		}
		if c = next; c.ReceiveBalance != step.want {
			t.Errorf("after %s=%s receive_balance is %v", step.key, step.value, c.ReceiveBalance)
		}
	}
}

func TestSetReceiveBalanceElsewhere(t *testing.T) {
	base := with(func(c *settings.Config) { c.Mode, c.ReceiveBalance = modes.RoundRobin, false })
	_, err := Set(base, "receive_balance", "on")
	if p := problemOf(t, err); p.Kind != api.Usage || p.What != "receive_balance: is not for mode round-robin" {
		t.Errorf("%v", p)
	}
	base.ReceiveBalance = true // as it is by default: nobody asked
	for key, value := range map[string]string{"receive_balance": "off", "mtu": "1400", "mode": "xor"} {
		if _, err := Set(base, key, value); err != nil {
			t.Errorf("%s=%s: %v", key, value, err)
		}
	}
}

func validTeam(name string) bool {
	c := with(func(c *settings.Config) { c.Team = name })
	return Validate(c) == nil
}

// anyConfig draws valid configurations.
func anyConfig(t *rapid.T) settings.Config {
	c := settings.DefaultConfig()
	c.Team = rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,14}`).Filter(validTeam).Draw(t, "team")
	for _, n := range rapid.SliceOfNDistinct(rapid.StringMatching(`[!-.0-9;-~]{1,15}`).Filter(func(s string) bool {
		return s != "." && s != ".." && s != c.Team
	}), 0, 8, rapid.ID).Draw(t, "members") {
		c.Members = append(c.Members, settings.MemberConfig{Name: n, Weight: rapid.Float64Range(1e-9,
			settings.MaxWeight).Draw(t, "weight"), PortPriority: modes.DefaultPortPriority})
	}
	if len(c.Members) > 0 && rapid.Bool().Draw(t, "has primary") {
		c.Primary = c.Members[0].Name
	}
	c.Mode = rapid.SampledFrom([]modes.Kind{modes.ELB, modes.RoundRobin, modes.ActiveBackup, modes.XOR, modes.LACP,
		modes.Broadcast}).Draw(t, "mode")
	if c.Mode == modes.LACP {
		anyLACP(t, &c)
	}
	c.Hash = rapid.SampledFrom(spread.HashPolicies()).Draw(t, "hash")
	c.PrimaryReselect = modes.Reselect(rapid.IntRange(0, 2).Draw(t, "reselect"))
	c.Balance, c.ReceiveBalance = rapid.Bool().Draw(t, "balance"), rapid.Bool().Draw(t, "receive")
	c.PacketsPerMember, c.MinMembers = rapid.IntRange(0, 65535).Draw(t, "ppm"), rapid.IntRange(1, 64).Draw(t, "min")
	c.UpDelay = time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "up"))
	c.Gain, c.Skew = time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "gain")),
		time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "skew"))
	c.Rebalance = rapid.SampledFrom([]time.Duration{0, 100 * time.Millisecond, time.Second, time.Hour}).Draw(t,
		"rebalance")
	c.AnnounceInterval = time.Duration(rapid.Int64Range(1e7, 6e10).Draw(t, "interval"))
	c.MTU = rapid.SampledFrom([]int{0, settings.MinMTU, 1500, settings.MaxMTU}).Draw(t, "mtu")
	c.TSO, c.GRO = settings.Offload(rapid.IntRange(0, 2).Draw(t, "tso")),
		settings.Offload(rapid.IntRange(0, 2).Draw(t, "gro"))
	c.MACPolicy = settings.MACPolicy(rapid.IntRange(0, 2).Draw(t, "policy"))
	if c.MACPolicy == settings.MACGiven {
		c.MAC = frame.MAC(0x020000000000 | rapid.Uint64Range(0, 1<<40-1).Draw(t, "mac"))
	}
	return c
}

// anyLACP draws settings of 802.3ad.
func anyLACP(t *rapid.T, c *settings.Config) {
	c.LACP = modes.LACPSettings{Fast: rapid.Bool().Draw(t, "fast"), Active: rapid.Bool().Draw(t, "active"),
		Fallback:       rapid.Bool().Draw(t, "fallback"),
		Select:         rapid.SampledFrom(lacp.Selects()).Draw(t, "select"),
		SystemPriority: rapid.Uint16().Draw(t, "system priority"), Key: rapid.Uint16Range(0, 1023).Draw(t, "key")}
	if rapid.Bool().Draw(t, "has system") {
		c.LACP.System = frame.MAC(0x020000000000 | rapid.Uint64Range(0, 1<<40-1).Draw(t, "system"))
	}
	for i := range c.Members {
		c.Members[i].PortPriority = rapid.Uint16().Draw(t, "port priority")
	}
}

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.yaml")
	rapid.Check(t, func(t *rapid.T) {
		c := anyConfig(t)
		if p := Validate(c); p != nil {
			t.Fatalf("drawn configuration is not valid: %v", p)
		}
		if err := Save(path, c); err != nil {
			t.Fatal(err)
		}
		got, err := Load(Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c, got.Config, same); d != "" {
			t.Fatalf("(-want +got):\n%s", d)
		}
	})
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if list, _ := os.ReadDir(filepath.Dir(path)); len(list) != 1 {
		t.Errorf("leftovers: %v", list)
	}
	if err := Save("/nonexistent/x.yaml", settings.DefaultConfig()); err == nil {
		t.Error("saved to nowhere")
	}
}

func TestSaveLeavesTheOldFileWhenItFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "team0.yaml")
	if err := os.Mkdir(path, 0o750); err != nil { // a rename onto a directory fails
		t.Fatal(err)
	}
	if err := Save(path, with(func(*settings.Config) {})); err == nil {
		t.Fatal("saved over a directory")
	}
	if list, _ := os.ReadDir(dir); len(list) != 1 {
		t.Errorf("leftovers: %v", list)
	}
}
