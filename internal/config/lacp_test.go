// SPDX-License-Identifier: MIT

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
)

func TestSetLACP(t *testing.T) {
	base := with(func(c *settings.Config) { c.Mode, c.Members = modes.LACP, members("eth1", "Eth0.100") })
	for _, tt := range []struct {
		key, value string
		want       func(c *settings.Config)
	}{
		{"lacp_rate", "fast", func(c *settings.Config) { c.LACP.Fast = true }},
		{"lacp_rate", "1", func(c *settings.Config) { c.LACP.Fast = true }},
		{"lacp-rate", "SLOW", func(c *settings.Config) {}},
		{"lacp_active", "off", func(c *settings.Config) { c.LACP.Active = false }},
		{"lacp_fallback", "no", func(c *settings.Config) { c.LACP.Fallback = false }},
		{"ad_select", "count", func(c *settings.Config) { c.LACP.Select = lacp.Count }},
		{"ad_select", "1", func(c *settings.Config) { c.LACP.Select = lacp.Bandwidth }},
		{"ad_select", "actor_port_prio", func(c *settings.Config) { c.LACP.Select = lacp.PortPriority }},
		{"ad_select", "port-priority", func(c *settings.Config) { c.LACP.Select = lacp.PortPriority }},
		{"lacp_system", "02:00:00:00:00:07", func(c *settings.Config) { c.LACP.System = 0x020000000007 }},
		{"ad_actor_system", "auto", func(c *settings.Config) {}},
		{"lacp_system_priority", "0", func(c *settings.Config) { c.LACP.SystemPriority = 0 }},
		{"ad_actor_sys_prio", "65535", func(c *settings.Config) {}},
		{"lacp_key", "1023", func(c *settings.Config) { c.LACP.Key = 1023 }},
		{"ad_user_port_key", "1", func(c *settings.Config) { c.LACP.Key = 1 }},
		{"port_priority.Eth0.100", "0", func(c *settings.Config) { c.Members[1].PortPriority = 0 }},
		{"ad_actor_port_prio.eth1", "65535", func(c *settings.Config) { c.Members[0].PortPriority = 65535 }},
	} {
		t.Run(tt.key+"="+tt.value, func(t *testing.T) {
			want := base
			want.Members = members("eth1", "Eth0.100")
			tt.want(&want)
			got, err := Set(base, tt.key, tt.value)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got, same); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if base.Members[0].PortPriority != modes.DefaultPortPriority ||
				base.Members[1].PortPriority != modes.DefaultPortPriority {
				t.Fatal("the configuration given was changed")
			}
		})
	}
}

func TestSetLACPRefuses(t *testing.T) {
	base := with(func(c *settings.Config) { c.Mode, c.Members = modes.LACP, members("eth1", "eth2") })
	for _, tt := range []struct {
		key, value string
		kind       api.ExitCode
		has        string
	}{
		{"lacp_rate", "2", api.Usage, "slow or fast"},
		{"lacp_active", "sometimes", api.Usage, "on or off"},
		{"ad_select", "best", api.Usage, "stable, bandwidth, count or port-priority"},
		{"ad_select", "4", api.Usage, "unknown value"},
		{"lacp_system", "01:00:5e:00:00:01", api.Usage, "the address of a group"},
		{"lacp_system", "00:00:00:00:00:00", api.Usage, "nobody's address"},
		{"lacp_system", "", api.Usage, "is not a MAC"},
		{"lacp_system_priority", "65536", api.Usage, "0 to 65535"},
		{"lacp_system_priority", "-1", api.Usage, "out of range"},
		{"lacp_key", "1024", api.Usage, "0 to 1023"},
		{"lacp_key", "x", api.Usage, "whole number"},
		{"port_priority.eth1", "65536", api.Usage, "0 to 65535"},
		{"port_priority.eth1", "-1", api.Usage, "out of range"},
		{"port_priority.eth1", "", api.Usage, "whole number"},
		{"port_priority.eht1", "1", api.NotFound, "did you mean"},
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
		})
	}
}

// TestRandomSystem: what is drawn is one station's address, another each time, and kept as it was drawn.
func TestRandomSystem(t *testing.T) {
	base := with(func(c *settings.Config) { c.Mode = modes.LACP })
	one, err := Set(base, "lacp_system", "random")
	if err != nil {
		t.Fatal(err)
	}
	two, err := Set(base, "lacp_system", "RANDOM")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []uint64{uint64(one.LACP.System), uint64(two.LACP.System)} {
		if m>>40&3 != 2 {
			t.Errorf("%x is not locally administered and of one station", m)
		}
	}
	if one.LACP.System == two.LACP.System {
		t.Errorf("%v twice", one.LACP.System)
	}
	path := filepath.Join(t.TempDir(), "team0.yaml")
	if err := Save(path, one); err != nil {
		t.Fatal(err)
	}
	back, err := Load(Options{Path: path})
	if err != nil || back.Config.LACP.System != one.LACP.System || back.RandomSystem {
		t.Errorf("%v, want %v; %v", back, one.LACP.System, err)
	}
	drawn, err := Load(Options{Team: "team0", Flags: []Flag{{"mode", "4"}, {"lacp_system", "random"}}})
	if err != nil || !drawn.RandomSystem || drawn.Config.LACP.System == 0 {
		t.Errorf("%+v; %v", drawn, err)
	}
}

// TestLACPIsLeftOutElsewhere: a team that leaves 802.3ad remembers what was set while it runs, and its file, which
// would be refused with such settings, has none.
func TestLACPIsLeftOutElsewhere(t *testing.T) {
	c := with(func(c *settings.Config) {
		c.Mode, c.Members = modes.LACP, members("eth1", "eth2")
		c.Members[1].PortPriority, c.LACP.Fast, c.LACP.Key = 7, true, 5
	})
	there, err := Set(c, "mode", "xor")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "team0.yaml")
	if err := Save(path, there); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings.Table {
		if key := s.Key; s.Strict && strings.Contains(string(b), key) {
			t.Errorf("%s is in the file of a team in mode xor:\n%s", key, b)
		}
	}
	got, err := Load(Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	want := with(func(c *settings.Config) { c.Mode, c.Members = modes.XOR, members("eth1", "eth2") })
	if d := cmp.Diff(want, got.Config, same); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	back, err := Set(there, "mode", "802.3ad")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, back, same); d != "" {
		t.Errorf("in 802.3ad again (-want +got):\n%s", d)
	}
}

// TestModeOfAFileCanChange: the file of a team in one mode is valid in every other one, by an edit or a flag.
func TestModeOfAFileCanChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "team0.yaml")
	c := with(func(c *settings.Config) { c.Members = members("eth1", "eth2") })
	if err := Save(path, c); err != nil {
		t.Fatal(err)
	}
	for _, kind := range modes.Kinds() {
		got, err := Load(Options{Path: path, Flags: []Flag{{"mode", kind.String()}}})
		if err != nil || got.Config.Mode != kind || !got.Config.ReceiveBalance {
			t.Errorf("%v: mode %v, receive_balance %v; %v", kind, got.Config.Mode, got.Config.ReceiveBalance, err)
		}
	}
}

// TestSetAllChangesTheModeFirst: what else is allowed depends on it, however its name sorts.
func TestSetAllChangesTheModeFirst(t *testing.T) {
	base := with(func(c *settings.Config) { c.Members = members("eth1") })
	got, done, err := SetAll(base, map[string]string{"lacp_rate": "fast", "ad_select": "2", "mode": "lacp"})
	if err != nil {
		t.Fatal(err)
	}
	want := base
	want.Mode, want.LACP.Fast, want.LACP.Select = modes.LACP, true, lacp.Count
	if d := cmp.Diff(want, got, same); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"mode=lacp", "ad_select=2", "lacp_rate=fast"}, done); d != "" {
		t.Errorf("done (-want +got):\n%s", d)
	}
	if _, _, err := SetAll(got, map[string]string{"MODE": "xor", "lacp_rate": "slow"}); err == nil ||
		!strings.Contains(err.Error(), "is not for mode xor") {
		t.Errorf("%v", err)
	}
	if c, done, err := SetAll(base, map[string]string{"hash": "layer2", "mtu": "1"}); err == nil || len(done) != 0 ||
		c.Hash != base.Hash {
		t.Errorf("half of it: %v %v", done, err)
	}
}

func TestValidateLACP(t *testing.T) {
	for name, change := range map[string]func(*settings.Config){
		"group":  func(c *settings.Config) { c.LACP.System = 0x0180c2000002 },
		"select": func(c *settings.Config) { c.LACP.Select = lacp.PortPriority + 1 },
		"key":    func(c *settings.Config) { c.LACP.Key = 1024 },
	} {
		c := with(func(c *settings.Config) { c.Mode = modes.LACP })
		if p := Validate(c); p != nil {
			t.Fatal(p)
		}
		change(&c)
		if p := Validate(c); p == nil || p.Kind != api.Usage {
			t.Errorf("%s: %v", name, p)
		}
	}
}
