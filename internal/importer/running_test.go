// SPDX-License-Identifier: MIT

package importer

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sysBond is what sysfs has of a bond that was made without options (bonding.rst, and bond_sysfs.c for the format).
var sysBond = map[string]string{
	"active_slave": "", "ad_actor_key": "", "ad_actor_sys_prio": "", "ad_actor_system": "", "ad_aggregator": "",
	"ad_num_ports": "", "ad_partner_key": "", "ad_partner_mac": "", "ad_select": "stable 0", "ad_user_port_key": "",
	"all_slaves_active": "0", "arp_all_targets": "any 0", "arp_interval": "0", "arp_ip_target": "",
	"arp_missed_max": "2", "arp_validate": "none 0", "downdelay": "0", "fail_over_mac": "none 0", "lacp_active": "on 1",
	"lacp_rate": "slow 0", "lp_interval": "1", "mii_status": "up", "miimon": "0", "min_links": "0",
	"mode": "balance-rr 0", "ns_ip6_target": "", "num_grat_arp": "1", "num_unsol_na": "1", "packets_per_slave": "1",
	"peer_notif_delay": "0", "primary": "", "primary_reselect": "always 0", "queue_id": "eth1:0 eth2:0",
	"resend_igmp": "1", "slaves": "eth1 eth2", "tlb_dynamic_lb": "1", "updelay": "0", "use_carrier": "1",
	"xmit_hash_policy": "layer2 0",
}

// sysTree writes the tree of a bond in sysfs, with what differs from sysBond.
func sysTree(t *testing.T, changed map[string]string) Running {
	t.Helper()
	root := t.TempDir()
	write := func(path, text string) {
		path = filepath.Join(root, "class/net", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files := map[string]string{"mtu": "1500", "address": "02:00:00:00:01:01"}
	for key, value := range sysBond {
		files["bonding/"+key] = value
	}
	for key, value := range changed {
		if _, ok := sysBond[key]; ok {
			key = "bonding/" + key
		}
		files[key] = value
	}
	for key, value := range files {
		write("bond0/"+key, value)
	}
	write("eth1/bonding_slave/perm_hwaddr", "02:00:00:00:01:01")
	write("eth2/bonding_slave/perm_hwaddr", "02:00:00:00:01:02")
	return Running{Sys: root}
}

// TestRunningBond: what a bond does, in each mode, and no note on options that nobody has changed.
func TestRunningBond(t *testing.T) {
	for _, tt := range []struct {
		name    string
		changed map[string]string
		want    string
		notes   string // of which each has a part
	}{
		{"as made", nil, "mode: round-robin\n", ""},
		{"numbers", map[string]string{"packets_per_slave": "0", "miimon": "100", "updelay": "200", "downdelay": "100"},
			"mode: round-robin\npackets_per_member: 0\nup_delay: 200ms\ndown_delay: 100ms\nlink_watch:\n" +
				"  - carrier\n", ""},
		{"active-backup", map[string]string{"mode": "active-backup 1", "active_slave": "eth2", "primary": "eth2",
			"primary_reselect": "better 1", "miimon": "100", "fail_over_mac": "active 1", "num_grat_arp": "3",
			"num_unsol_na": "3", "peer_notif_delay": "200"},
			"mode: active-backup\nprimary: eth2\nprimary_reselect: better\nlink_watch:\n  - carrier\n" +
				"announce_count: 3\nannounce_interval: 200ms\n", "fail_over_mac active"},
		{"active-backup that asks", map[string]string{"mode": "active-backup 1", "arp_interval": "250",
			"arp_ip_target": "192.0.2.1 192.0.2.2", "arp_validate": "all 3", "arp_all_targets": "all 1",
			"arp_missed_max": "4", "ns_ip6_target": "fe80::1"},
			"mode: active-backup\nlink_watch:\n  - arp:192.0.2.1\n  - arp:192.0.2.2\n  - nd:fe80::1\n" +
				"probe_interval: 250ms\nprobe_misses: 4\n", ""},
		{"asks by default", map[string]string{"mode": "active-backup 1", "arp_interval": "5",
			"arp_ip_target": "192.0.2.1 192.0.2.2", "arp_missed_max": "1"},
			"mode: active-backup\nlink_watch:\n  - arp:192.0.2.1\n  - arp:192.0.2.2\nwatch_policy: any\n" +
				"probe_interval: 10ms\nprobe_misses: 2\n", "arp_missed_max 1, arp_validate none, arp_interval 5"},
		{"balance-xor", map[string]string{"mode": "balance-xor 2", "xmit_hash_policy": "vlan+srcmac 5"},
			"mode: xor\nhash: vlan+srcmac\n", ""},
		{"balance-xor by default", map[string]string{"mode": "balance-xor 2"}, "mode: xor\nhash: layer2\n", ""},
		{"broadcast", map[string]string{"mode": "broadcast 3", "all_slaves_active": "1", "mtu": "9000"},
			"mode: broadcast\nmtu: 9000\n", "all_slaves_active 1"},
		{"802.3ad", map[string]string{"mode": "802.3ad 4", "lacp_rate": "fast 1", "lacp_active": "off 0",
			"ad_select": "count 2", "ad_actor_sys_prio": "10", "ad_actor_system": "02:00:00:00:00:99",
			"ad_user_port_key": "3", "min_links": "2",
			"xmit_hash_policy": "layer3+4 1", "ad_aggregator": "1", "ad_partner_mac": "02:00:00:00:00:98"},
			"mode: 802.3ad\nmin_members: 2\nlacp_rate: fast\nlacp_active: false\nad_select: count\n" +
				"lacp_system: 02:00:00:00:00:99\nlacp_system_priority: 10\nlacp_key: 3\n", ""},
		{"balance-tlb", map[string]string{"mode": "balance-tlb 5", "tlb_dynamic_lb": "0",
			"xmit_hash_policy": "encap3+4 4"},
			"mode: elb\nreceive_balance: false\nrebalance: 0s\n", "tlb_dynamic_lb 0"},
		{"balance-alb", map[string]string{"mode": "balance-alb 6", "queue_id": "eth1:0 eth2:2",
			"address": "02:00:00:00:01:02"}, "mode: elb\nmac: \"02:00:00:00:01:02\"\n", "queue_id 2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := sysTree(t, tt.changed)
			if !r.IsBond("bond0") || r.IsBond("eth1") || !r.Has("eth1") || r.Has("eth9") || r.Has("../net/eth1") {
				t.Error("what is a bond, and what is there")
			}
			b, err := r.Bond("bond0")
			if err != nil {
				t.Fatal(err)
			}
			made, err := Convert(b)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := yamlOf(t, made), "team: bond0\nmembers:\n  - eth1\n  - eth2\n"+tt.want; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			var parts []string
			if tt.notes != "" {
				parts = strings.Split(tt.notes, ", ")
			}
			for i, n := range made.Notes {
				if i >= len(parts) || !strings.Contains(NoteText(n), parts[i]) {
					t.Errorf("note %s, want one with %q", NoteText(n), tt.notes)
				}
			}
			if len(made.Notes) != len(parts) {
				t.Errorf("%d notes, want %d", len(made.Notes), len(parts))
			}
		})
	}
}

// TestRunningAddresses: what a running bond has is given to the adapter.
func TestRunningAddresses(t *testing.T) {
	r := sysTree(t, nil)
	has := Addresses{
		List:     []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24"), netip.MustParsePrefix("2001:db8::1/64")},
		Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.1")}}
	r.Addresses = func(link string) (Addresses, error) {
		if link != "bond0" {
			t.Errorf("asked for %s", link)
		}
		return has, nil
	}
	addresses := func() string {
		t.Helper()
		b, err := r.Bond("bond0")
		if err != nil {
			t.Fatal(err)
		}
		made, err := Convert(b)
		if err != nil {
			t.Fatal(err)
		}
		_, text, _ := strings.Cut(yamlOf(t, made), "mode: round-robin\n")
		return text
	}
	if got, want := addresses(), "address:\n  - 192.0.2.10/24\n  - 2001:db8::1/64\ngateway: 192.0.2.1\n"; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	has.Leased = true
	if got := addresses(); got != "address:\n  - dhcp\n" {
		t.Errorf("got\n%s", got)
	}
}

// TestRunningTeam: teamd says what a team does; without it the error says what helps.
func TestRunningTeam(t *testing.T) {
	r := sysTree(t, nil)
	r.Teamd = func(_ context.Context, team string) ([]byte, error) {
		if team != "team0" {
			return nil, errors.New("no such team")
		}
		return []byte(`{"device": "team0", "runner": {"name": "broadcast"}, "ports": {"eth1": {}, "eth2": {}}}`), nil
	}
	b, err := r.Team(t.Context(), "team0")
	if err != nil {
		t.Fatal(err)
	}
	made, err := Convert(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := yamlOf(t, made); !strings.HasSuffix(got, "mode: broadcast\n") || len(made.Notes) > 0 {
		t.Errorf("%s, notes %v", got, made.Notes)
	}
	if _, err := r.Team(t.Context(), "eth1"); err == nil || !strings.Contains(err.Error(), "no such team") {
		t.Error(err)
	}
}
