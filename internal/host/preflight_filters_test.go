// SPDX-License-Identifier: MIT

package host

import (
	"os/exec"
	"strings"
	"testing"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// nftForms are ways to match a NIC. says is part of the refusal; "": the adapter's traffic is treated alike.
var nftForms = []struct{ name, ruleset, says string }{
	{"name", `chain i { type filter hook input priority 0; iifname "na" accept; }`,
		`inet f, chain i: iifname "na" accept`},
	{"among conditions",
		`chain i { type filter hook input priority 0; ip saddr 192.0.2.0/24 iifname "na" tcp dport 22 counter accept; }`, `iifname "na" … accept`},
	{"wildcard", `chain i { type filter hook input priority 0; iifname "n*" drop; }`, `iifname "n*" drop`},
	{"negated", `chain i { type filter hook input priority 0; iifname != "na" drop; }`,
		`firewall rules match traffic of team0, but not of na: inet f, chain i: iifname != "na" drop`},
	{"negated wildcard", `chain i { type filter hook input priority 0; iifname != "n*" drop; }`,
		`iifname != "n*" drop`},
	{"index", `chain i { type filter hook input priority 0; iif "na" accept; }`, `iif `},
	{"index in a set", `chain i { type filter hook input priority 0; iif { "na", "lo" } accept; }`, `iif { … } accept`},
	{"anonymous set", `chain i { type filter hook input priority 0; iifname { "na", "lo" } accept; }`,
		`iifname { … } accept`},
	{"wildcards in a set", `chain i { type filter hook input priority 0; iifname { "eth*", "n*" } accept; }`,
		`iifname { … } accept`},
	{"not in a set", `chain i { type filter hook input priority 0; iifname != { "na", "lo" } drop; }`,
		`iifname != { … } drop`},
	{"named set",
		`set s { type ifname; elements = { "na", "lo" }; }; chain i { type filter hook input priority 0; iifname @s accept; }`, `iifname @s accept`},
	{"named set with intervals",
		`set s { type ifname; flags interval; elements = { "na", "eth*" }; }; chain i { type filter hook input priority 0; iifname @s accept; }`, `iifname @s accept`},
	{"concatenation",
		`set s { type ifname . inet_service; elements = { "na" . 22, "lo" . 23 }; }; chain i { type filter hook input priority 0; iifname . tcp dport @s accept; }`, `iifname @s`},
	{"concatenation the other way",
		`set s { type inet_service . ifname; elements = { 22 . "na", 23 . "lo" }; }; chain i { type filter hook input priority 0; tcp dport . iifname @s accept; }`, `iifname @s`},
	{"concatenation of two properties",
		`set s { type ifname . iface_index; elements = { "na" . "na", "lo" . "lo" }; }; chain i { type filter hook input priority 0; iifname . iif @s accept; }`, `iif . iifname @s`},
	{"concatenation with intervals",
		`set s { type ifname . inet_service; flags interval; elements = { "na" . 22-25 }; }; chain i { type filter hook input priority 0; iifname . tcp dport @s accept; }`, `iifname @s`},
	{"verdict map",
		`chain z { }; chain i { type filter hook input priority 0; iifname vmap { "na" : jump z, "lo" : accept }; }`,
		`iifname { … }`},
	{"named map",
		`map m { type ifname : mark; elements = { "na" : 7 }; }; chain i { type filter hook input priority 0; meta mark set iifname map @m; }`, `iifname @m`},
	{"outgoing", `chain o { type filter hook output priority 0; oifname "na" drop; }`, `oifname "na" drop`},
	{"masquerade", `chain o { type nat hook postrouting priority 100; oifname "na" masquerade; }`,
		`oifname "na" masquerade`},
	{"kind", `chain i { type filter hook input priority 0; meta iifkind "veth" accept; }`, `iifkind "veth" accept`},
	{"group", `chain i { type filter hook input priority 0; iifgroup 7 accept; }`, `iifgroup 7 accept`},
	{"netdev hook",
		`}; table netdev g { chain i { type filter hook ingress device "na" priority 0; ip saddr 192.0.2.0/24 drop; }`,
		`netdev g, chain i`},
	{"netdev hook on two",
		`}; table netdev g { chain i { type filter hook ingress devices = { "nc", "na" } priority 0; ip saddr 192.0.2.0/24 drop; }`, `netdev g, chain i`},
	{"inet ingress", `chain i { type filter hook ingress device "na" priority 0; ip saddr 192.0.2.0/24 drop; }`,
		`inet f, chain i`},
	{"netdev egress",
		`}; table netdev g { chain i { type filter hook egress device "na" priority 0; ip saddr 192.0.2.0/24 drop; }`,
		`netdev g, chain i`},
	{"flowtable", `flowtable ft { hook ingress priority 0; devices = { "na", "nc" }; };`, `inet f, flowtable ft`},

	{"back by another", `chain p { type filter hook prerouting priority 0; fib saddr oifname != "na" drop; }`,
		`fib saddr oifname != "na" drop`},
	{"back by the index of another", `chain p { type filter hook prerouting priority 0; fib saddr oif != "na" drop; }`,
		`fib saddr oif != `},
	{"on by", `chain p { type filter hook prerouting priority 0; fib daddr oifname "na" accept; }`,
		`fib daddr oifname "na" accept`},
	{"back by one of",
		`chain p { type filter hook prerouting priority 0; fib saddr . mark oifname { "na", "lo" } accept; }`,
		`fib saddr oifname { … } accept`},

	{"no way back", `chain p { type filter hook prerouting priority 0; fib saddr . iif oif missing drop; }`, ""},
	{"no link back", `chain p { type filter hook prerouting priority 0; fib saddr . iif oif eq 0 drop; }`, ""},
	{"type of an address",
		`chain p { type filter hook prerouting priority 0; fib daddr . iif type != { local, broadcast, multicast } drop; }`, ""},
	{"an index behind that of lo", `chain i { type filter hook input priority 0; iif > 1 drop; }`, ""},
	{"back by each", `chain p { type filter hook prerouting priority 0; fib saddr oifname { "na", "team0" } accept; }`,
		""},
	{"another NIC", `chain i { type filter hook input priority 0; iifname "nc" accept; }`, ""},
	{"all but another", `chain i { type filter hook input priority 0; iifname != "docker0" accept; }`, ""},
	{"all", `chain i { type filter hook input priority 0; tcp dport 22 accept; }`, ""},
	{"both in a set", `chain i { type filter hook input priority 0; iifname { "na", "team0" } accept; }`, ""},
	{"a wildcard for both", `chain i { type filter hook input priority 0; iifname { "n*", "team*" } accept; }`, ""},
	{"a rule for each",
		`chain i { type filter hook input priority 0; iifname "na" tcp dport { 22, 80 } counter accept; iifname "team0" tcp dport { 22, 80 } counter accept; }`, ""},
	{"one map for both",
		`chain z { }; chain i { type filter hook input priority 0; iifname vmap { "na" : jump z, "team0" : jump z }; }`,
		""},
	{"type", `chain i { type filter hook input priority 0; iiftype ether accept; }`, ""},
	{"group of all", `chain i { type filter hook input priority 0; iifgroup 0 accept; }`, ""},
	{"concatenation for both",
		`set s { type ifname . inet_service; elements = { "na" . 22, "team0" . 22 }; }; chain i { type filter hook input priority 0; iifname . tcp dport @s accept; }`, ""},
	{"register used again",
		`chain i { type filter hook input priority 0; iifname "n*" meta mark 7 iifname "team*" accept; }`, ""},

	{"a rule for both and one for each",
		`chain i { type filter hook input priority 0; iifname { "lo", "na" } accept; iifname "team0" accept; }`, ""},
	{"more for the adapter",
		`chain i { type filter hook input priority 0; iifname "team0" tcp dport 80 accept; iifname { "lo", "team0" } tcp dport 81 accept; }`, ""},
	{"a wildcard for the adapter", `chain i { type filter hook input priority 0; iifname "t*" drop; }`,
		`firewall rules match traffic of team0, but not of na: inet f, chain i: iifname "t*" drop`},

	{"a rule for each, that do different things",
		`chain i { type filter hook input priority 0; iifname "na" drop; iifname "team0" accept; }`,
		`iifname "na" drop`},
	{"concatenation for another port",
		`set s { type ifname . inet_service; elements = { "na" . 22, "team0" . 23 }; }; chain i { type filter hook input priority 0; iifname . tcp dport @s accept; }`, `iifname @s`},
	{"one map, other verdicts",
		`chain z { }; chain i { type filter hook input priority 0; iifname vmap { "na" : jump z, "team0" : accept }; }`,
		`iifname { … }`},
}

func TestRulesOfNft(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	labtest.Tool(t, "nft", "nftables")
	run(t, "ip link set na group 7; ip addr add 10.9.0.1/24 dev na")
	h := w.open(nil)
	for _, form := range nftForms {
		t.Run(form.name, func(t *testing.T) {
			if form.name == "group of all" {
				run(t, "ip link set na group 0")
			}
			cmd := exec.Command("nft", "-f", "-")
			cmd.Stdin = strings.NewReader("flush ruleset\ntable inet f { " + form.ruleset + "\n}\n")
			if out, err := cmd.CombinedOutput(); strings.Contains(string(out), "Could not process rule") {
				t.Skipf("this kernel does not know it: %s", out)
			} else if err != nil {
				t.Fatalf("%s", out)
			}
			defer run(t, "nft flush ruleset")
			saysOfNA(t, h, form.says)
		})
	}
}

// saysOfNA checks that a team of na is refused in these words, and allowed with consent; "": neither problem nor
// warning.
func saysOfNA(t *testing.T, h *Host, says string) {
	t.Helper()
	warnings, p := h.Check(configOf("na", "nb"), nil, ConsentAsk)
	if says == "" {
		if p != nil || len(warnings) > 0 {
			t.Errorf("it says %+v, %q", p, warnings)
		}
		return
	}
	if p == nil || p.Kind != api.Conflict || !strings.Contains(p.Why, says) || !strings.Contains(p.Fix, "--force") {
		t.Fatalf("it says %+v, warnings %q; want %q", p, warnings, says)
	}
	warnings, p = h.Check(configOf("na", "nb"), nil, ConsentGiven)
	if p != nil || !strings.Contains(strings.Join(warnings, "\n"), says) {
		t.Errorf("answered for: %+v, warnings %q", p, warnings)
	}
}

func TestRulesOfIptables(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	h := w.open(nil)
	for _, tool := range []string{"iptables-legacy", "ip6tables-legacy", "iptables-nft", "ip6tables-nft"} {
		for _, form := range []struct{ name, rule, says string }{
			{"name", "-A INPUT -i na -p tcp --dport 22 -j ACCEPT", "na"},
			{"wildcard", "-A INPUT -i n+ -j DROP", "n"},
			{"negated", "-A FORWARD ! -i na -j DROP", "team0"},
			{"outgoing", "-A OUTPUT -o na -j DROP", "na"},
			{"masquerade", "-t nat -A POSTROUTING -o na -j MASQUERADE", "POSTROUTING"},
			{"wildcard for the adapter", "-A INPUT -i t+ -j DROP", "team0"},
			{"more for the adapter", "-A INPUT -i team0 -p tcp --dport 80 -j ACCEPT", ""},
			{"in a chain", "-N mine\n-A mine -i na -j RETURN", "chain mine"},
			{"another", "-A INPUT -i nc -j ACCEPT", ""},
			{"all but another", "-t nat -A POSTROUTING ! -o docker0 -j MASQUERADE", ""},
			{"a rule for each",
				"-A INPUT -i na -p tcp --dport 22 -j ACCEPT\n-A INPUT -i team0 -p tcp --dport 22 -j ACCEPT", ""},
			{"a rule for each, in other chains", "-A INPUT -i na -j ACCEPT\n-A FORWARD -i team0 -j ACCEPT",
				"chain INPUT"},
		} {
			t.Run(tool+" "+form.name, func(t *testing.T) {
				clean := func() {
					for _, table := range []string{"filter", "nat"} {
						exec.Command(tool, "-t", table, "-F").Run()
						exec.Command(tool, "-t", table, "-X").Run()
					}
				}
				defer clean()
				for line := range strings.SplitSeq(form.rule, "\n") {
					if out, err := exec.Command(tool, strings.Fields(line)...).CombinedOutput(); err != nil {
						t.Skipf("this host does not do it: %s", out)
					}
				}
				saysOfNA(t, h, form.says)
			})
		}
	}
}

// TestRulesOfOurOwn: tables of teams are ignored.
func TestRulesOfOurOwn(t *testing.T) {
	w := newWorld(t)
	labtest.Tool(t, "nft", "nftables")
	run(t,
		`ip addr add 10.9.0.1/24 dev na; nft 'table netdev nicteam_team7 { chain member_1 { type filter hook ingress device "na" priority -500; policy accept; }; }'`)
	saysOfNA(t, w.open(nil), "")
}
