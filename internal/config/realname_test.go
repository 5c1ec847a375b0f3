// SPDX-License-Identifier: MIT

package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/settings"
	"nicteam/modes"
)

// altnames are longer than names may be.
func altnames(name string) string {
	switch name {
	case "enp99s0f0np0", "an-altname-longer-than-any-name":
		return "eth1"
	case "lan.right":
		return "eth2"
	}
	return name
}

// TestAltnames: wherever a configuration names a NIC, an altname does.
func TestAltnames(t *testing.T) {
	file := func(name, text string) string { return write(t, name, text) }
	want := []settings.MemberConfig{{Name: "eth1", Weight: 3, PortPriority: 7},
		{Name: "eth2", Weight: 1, PortPriority: modes.DefaultPortPriority}}
	per := []Flag{{"weight", "enp99s0f0np0=3"}, {"port_priority", "an-altname-longer-than-any-name=7"},
		{"primary", "lan.right"}, {"mode", "802.3ad"}}
	for _, tt := range []struct {
		name string
		o    Options
	}{
		{"arguments", Options{Members: []string{"enp99s0f0np0", "lan.right"}, Flags: per}},
		{"other altname", Options{Members: []string{"an-altname-longer-than-any-name", "eth2"}, Flags: per}},
		{"file", Options{Path: file("c.yaml", "members: [an-altname-longer-than-any-name, lan.right]\n"), Flags: per}},
		{"file with all", Options{Path: file("c.toml",
			"mode = '802.3ad'\nprimary = 'lan.right'\nmembers = [{name = 'enp99s0f0np0', weight = 3, port_priority = "+
				"7}, 'lan.right']\n")}},
		{"file and arguments", Options{Path: file("c.json",
			`{"mode":"802.3ad","primary":"eth2","members":[{"name":"enp99s0f0np0","weight":3,"port_priority":7}]}`),
			Members: []string{"eth1", "lan.right"}}},
		{"environment", Options{Env: []string{"NICTEAM_MEMBERS=enp99s0f0np0,lan.right",
			"NICTEAM_WEIGHT=an-altname-longer-than-any-name=3", "NICTEAM_PORT_PRIORITY=eth1=7",
			"NICTEAM_PRIMARY=lan.right", "NICTEAM_MODE=802.3ad"}}},
	} {
		tt.o.Team, tt.o.RealName = "team0", altnames
		l, err := Load(tt.o)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if d := cmp.Diff(want, l.Config.Members); d != "" || l.Config.Primary != "eth2" {
			t.Errorf("%s: primary %s (-want +got):\n%s", tt.name, l.Config.Primary, d)
		}
	}
	if _, err := Load(Options{Team: "team0", Members: []string{"eth1", "enp99s0f0np0"},
		RealName: altnames}); err == nil || problemOf(t, err).Why != "a NIC is one member" {
		t.Errorf("one NIC by two names: %v", err)
	}
}

func TestRealNames(t *testing.T) {
	got := RealNames(map[string]string{"primary": "enp99s0f0np0", "active": "lan.right", "weight.lan.right": "2",
		"port-priority.an-altname-longer-than-any-name": "1",
		"ad_actor_port_prio.enp99s0f0np0":               "2", "hash": "lan.right", "weight.eth3": "1", "mode": "xor"},
		altnames)
	want := map[string]string{"primary": "eth1", "active": "eth2", "weight.eth2": "2", "port-priority.eth1": "1",
		"ad_actor_port_prio.eth1": "2", "hash": "lan.right", "weight.eth3": "1", "mode": "xor"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := RealNames(map[string]string{"primary": "", "active": "none"}, altnames); got["primary"] != "" ||
		got["active"] != "none" {
		t.Errorf("got %q", got)
	}
}
