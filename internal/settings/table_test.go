// SPDX-License-Identifier: MIT

package settings

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"net/netip"

	"nicteam/modes"
	"nicteam/modes/lacp"
)

var update = flag.Bool("update", false, "write the table of docs/settings.md anew")

// TestDocument holds the table of docs/settings.md against the rows.
func TestDocument(t *testing.T) {
	const file = "../../docs/settings.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "-update -->\n"
	head, got, ok := strings.Cut(string(b), mark)
	if !ok {
		t.Fatalf("%s has no line that ends with %q", file, mark)
	}
	var table strings.Builder
	table.WriteString("\n| key | values | default | live | mode | meaning | bonding |\n|---|---|---|---|---|---|---|\n")
	for i := range Table {
		s := &Table[i]
		of, live := "", ""
		if s.Mode != 0 {
			of = s.Mode.String()
		}
		if s.Live {
			live = "yes"
		}
		if s.NoFile {
			live = "only"
		}
		key := s.Key
		if s.PerNIC {
			key += ".NIC"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s | %s | %s |\n", key, s.Values, s.Default(), live, of,
			s.Help, s.Kernel)
	}
	if *update {
		if err := os.WriteFile(file, []byte(head+mark+table.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		got = table.String()
	}
	if d := cmp.Diff(table.String(), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// values has a value of each type that is not the default.
var values = map[string]any{
	"team": "lab0", "members": []any{"eth1", map[string]any{"name": "eth2", "weight": 2, "port_priority": 7}},
	"match": "MAC", "mode": "lacp", "balance": false,
	"hash": "layer2", "primary": "eth1", "primary_reselect": "better", "active": "eth2", "packets_per_member": 0,
	"receive_balance": "no", "gain": "1ms", "skew": "0",
	"rebalance": 0, "min_members": float64(2), "up_delay": "1m", "down_delay": "1.5s",
	"link_watch":   "Gateway, 10.0.0.254, nd:FD00::00fe, gateway",
	"watch_policy": "Any", "probe_interval": "20ms", "probe_misses": 2, "admission_wait": "0", "damping": "off",
	"undamp": "eth1", "announce_count": 3, "announce_interval": "10ms",
	"lacp_rate": "1", "lacp_active": "off", "lacp_fallback": false, "ad_select": "port_priority",
	"lacp_system": "02:00:00:00:00:07", "lacp_system_priority": 1, "lacp_key": 1023,
	"address": "10.0.0.1/24, fd00::1/64", "gateway": "10.0.0.254", "mac": "new", "mtu": 9000, "datapath": "Relay",
	"tso": true, "uso": "off", "gro": "on",
}

// TestRows sets each setting, and reads it back as it is written.
func TestRows(t *testing.T) {
	c := DefaultConfig()
	for i := range Table {
		s := &Table[i]
		if s.PerNIC {
			continue
		}
		v, ok := values[s.Key]
		if !ok {
			t.Fatalf("%s: no value to try", s.Key)
		}
		if f := s.Set(&c, v); f != nil {
			t.Fatalf("%s=%v: %v", s.Key, v, f)
		}
	}
	want := Config{Team: "lab0", Members: []MemberConfig{DefaultMember("eth1"),
		{Name: "eth2", Weight: 2, PortPriority: 7}}, Match: MatchMAC, Mode: modes.LACP, Hash: 1,
		Primary: "eth1", PrimaryReselect: modes.ReselectBetter, Active: "eth2", Gain: time.Millisecond, MinMembers: 2,
		UpDelay: time.Minute, DownDelay: 1500 * time.Millisecond,
		LinkWatch: []string{"gateway", "arp:10.0.0.254", "nd:fd00::fe"}, WatchPolicy: WatchAny,
		ProbeInterval: 20 * time.Millisecond, ProbeMisses: 2, Undamp: "eth1",
		AnnounceCount: 3, AnnounceInterval: 10 * time.Millisecond,
		LACP: modes.LACPSettings{Fast: true, Select: lacp.PortPriority, System: 0x020000000007, SystemPriority: 1,
			Key: 1023},
		Address: AddressGiven, Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"),
			netip.MustParsePrefix("fd00::1/64")}, Gateway: netip.MustParseAddr("10.0.0.254"),
		MACPolicy: MACNew, MTU: 9000, Datapath: "relay", TSO: OffloadOn, USO: OffloadOff, GRO: OffloadOn}
	opts := cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})
	if d := cmp.Diff(want, c, opts); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if f := Validate(&c); f != nil {
		t.Error(f)
	}
	again := Config{}
	for i := range Table {
		s := &Table[i]
		if v := s.Get(&c); !s.PerNIC && s.Type != NICs && v != nil {
			if s.Key == "primary" || s.Key == "undamp" {
				again.Members = c.Members
			}
			if f := s.Set(&again, v); f != nil {
				t.Errorf("%s=%v: %v", s.Key, v, f)
			}
		}
	}
	if d := cmp.Diff(c, again, opts); d != "" {
		t.Errorf("set to what it is (-want +got):\n%s", d)
	}
}

// TestDefaults: all are allowed, and each key has one row.
func TestDefaults(t *testing.T) {
	c := DefaultConfig()
	c.Team = "team0"
	if f := Validate(&c); f != nil {
		t.Error(f)
	}
	keys := map[string]bool{}
	for i := range Table {
		for _, k := range append(Table[i].KernelNames(), Table[i].Key) {
			if keys[k] {
				t.Errorf("%s has two rows", k)
			}
			keys[k] = true
		}
		for _, w := range Table[i].Words {
			if f := Table[i].Set(&c, w); f != nil {
				t.Errorf("%s=%s: %v", Table[i].Key, w, f)
			}
		}
	}
}

// A mode that the kernel does not have needs no other names.
func TestHelpOfAModeOfOurOwn(t *testing.T) {
	defer func(table []modes.Row) { modes.Table = table }(modes.Table)
	modes.Table = []modes.Row{{Name: "own", Help: "each frame by a NIC."}}
	if got, want := ModesHelp(), "  own            each frame by a NIC.\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
