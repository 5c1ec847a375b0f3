// SPDX-License-Identifier: MIT

package config

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

var update = flag.Bool("update", false, "write the expected errors of testdata/bad anew")

const testdata = "../../testdata"

// same compares configurations; a nil list is an empty one.
var same = cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{}), cmpopts.EquateEmpty()}

func members(names ...string) []settings.MemberConfig {
	var list []settings.MemberConfig
	for _, n := range names {
		list = append(list, settings.MemberConfig{Name: n, Weight: 1, PortPriority: modes.DefaultPortPriority})
	}
	return list
}

// with is the default configuration of team0, changed.
func with(change func(c *settings.Config)) settings.Config {
	c := settings.DefaultConfig()
	c.Team = "team0"
	change(&c)
	return c
}

func problemOf(t *testing.T, err error) *api.Problem {
	t.Helper()
	var p *api.Problem
	if !errors.As(err, &p) {
		t.Fatalf("error %v is not a problem", err)
	}
	if p.What == "" || p.Why == "" || p.Fix == "" || p.Kind == 0 {
		t.Errorf("problem has an empty part: %#v", p)
	}
	return p
}

func TestExamplesLoad(t *testing.T) {
	want := map[string]settings.Config{
		"elb.yaml": with(func(c *settings.Config) {
			c.Members = members("eth1", "eth2", "wlan0")
			c.Members[2].Weight = 0.5
			c.Gain, c.Skew, c.Rebalance = 200*time.Microsecond, time.Millisecond, 2*time.Second
		}),
		"round-robin.yaml": with(func(c *settings.Config) {
			c.Mode, c.Members, c.PacketsPerMember = modes.RoundRobin, members("eth1", "eth2"), 4
			c.Members[1].Weight = 2
			c.Address, c.Addresses = settings.AddressGiven, []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")}
		}),
		"active-backup.yaml": with(func(c *settings.Config) {
			c.Mode, c.Members, c.Primary, c.PrimaryReselect = modes.ActiveBackup, members("eth1", "eth2", "wlan0"),
				"eth1", modes.ReselectBetter
			c.UpDelay, c.AnnounceCount, c.AnnounceInterval = 2*time.Second, 3, 200*time.Millisecond
		}),
		"xor.toml": with(func(c *settings.Config) {
			c.Mode, c.Members, c.MTU, c.MinMembers = modes.XOR, members("eth1", "eth2"), 9000, 2
			c.Members[1].Weight = 10
			c.Address, c.Gateway = settings.AddressGiven, netip.MustParseAddr("10.9.0.254")
			c.Addresses = []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24"), netip.MustParsePrefix("fd09::1/64")}
		}),
		"802.3ad.yaml": with(func(c *settings.Config) {
			c.Mode, c.Members, c.Hash = modes.LACP, members("eth1", "eth2"), spread.Layer23
			c.Members[1].PortPriority = 100
			c.LACP = modes.LACPSettings{Fast: true, Active: true, Select: lacp.Bandwidth, System: 0x02000000ad01,
				SystemPriority: 4096, Key: 7}
		}),
		"broadcast.json": with(func(c *settings.Config) {
			c.Mode, c.Members = modes.Broadcast, members("eth1", "eth2")
			c.Address, c.MACPolicy, c.MAC = settings.AddressNone, settings.MACGiven, frame.MAC(0x020000000001)
			c.LinkWatch = []string{"carrier"}
		}),
	}
	for name, want := range want {
		t.Run(name, func(t *testing.T) {
			got, err := Load(Options{Path: filepath.Join(testdata, name), New: true})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got.Config, same); d != "" {
				t.Errorf("config (-want +got):\n%s", d)
			}
			if got.Notes != nil {
				t.Errorf("notes: %q", got.Notes)
			}
		})
	}
}

// TestBadFiles holds the errors of every file in testdata/bad against the text beside it.
func TestBadFiles(t *testing.T) {
	t.Chdir(filepath.Join(testdata, "bad"))
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".error" {
			continue
		}
		tried++
		t.Run(e.Name(), func(t *testing.T) {
			l, err := Load(Options{Path: e.Name()})
			if err == nil {
				t.Fatalf("loads as %+v", l.Config)
			}
			p := problemOf(t, err)
			got := fmt.Sprintf("%d\nerror: %s\nwhy: %s\nfix: %s\n", p.Kind, p.What, p.Why, p.Fix)
			golden := e.Name() + ".error"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	if tried < 60 {
		t.Errorf("only %d bad files", tried)
	}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	path := write(t, "c.yaml", "team: file0\nmode: xor\nmtu: 1400\nhash: layer2\nmin_members: 2\nmembers: "+
		"[{name: eth0.100, weight: 3}, eth2]\n")
	got, err := Load(Options{
		Path: path,
		Env: []string{"NICTEAM_MTU=1450", "NICTEAM_HASH=layer2+3", "NICTEAM_RUN_DIR=/x", "NICTEAM_ACTIVE_HELP=0",
			"NICTEAM_TEST_X=1",
			"HOME=/", "NICTEAM_BALANCE=off"},
		Flags: []Flag{
			{"hash", "vlan+srcmac"}, {"weight", "eth9=4"}, {"up_delay", "100ms"}, {"link_watch", "auto"},
		},
		Team: "team0", Members: []string{"eth0.100", "eth9", "eth1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := with(func(c *settings.Config) {
		c.Mode, c.MTU, c.Hash, c.MinMembers, c.Balance, c.UpDelay = modes.XOR, 1450, spread.VLANSrcMAC, 2, false,
			100*time.Millisecond
		c.Members = members("eth0.100", "eth9", "eth1")
		c.Members[0].Weight, c.Members[1].Weight = 3, 4
	})
	if d := cmp.Diff(want, got.Config, same); d != "" {
		t.Errorf("config (-want +got):\n%s", d)
	}
}

func TestNotes(t *testing.T) {
	for _, tt := range []struct {
		name string
		o    Options
		want []string
	}{
		{"mode left open", Options{Team: "t", Members: []string{"a", "b"}, New: true}, nil},
		{"mode given", Options{Team: "t", Members: []string{"a", "b"}, New: true, Flags: []Flag{{"mode", "xor"}}}, nil},
		{"one NIC", Options{Team: "t", Members: []string{"a"}, New: true, Flags: []Flag{{"mode", "xor"}}},
			[]string{"one NIC only"}},
		{"not new", Options{Team: "t", Members: []string{"a"}}, nil},
		{"variable misspelt", Options{Team: "t", Env: []string{"NICTEAM_MOED=xor"}},
			[]string{`NICTEAM_MOED is not a setting: ignored; did you mean "mode"?`}},
		{"variables of somebody else", Options{Team: "t",
			Env: []string{"NICTEAM_VERSION=3", "NICTEAM_mtu=9000", "NICTEAM_=x"}},
			[]string{"NICTEAM_VERSION is not a setting", "NICTEAM_mtu is not a setting", "NICTEAM_ is not a setting"}},
		{"variables that are empty", Options{Team: "t",
			Env: []string{"NICTEAM_MTU=", "NICTEAM_MODE=", "NICTEAM_WEIGHT=", "NICTEAM_MEMBERS="}}, nil},
		{"variables of services", Options{Team: "t", Env: []string{
			"NICTEAM_SERVICE_HOST=10.96.0.7", "NICTEAM_SERVICE_PORT=9100", "NICTEAM_SERVICE_PORT_METRICS=9100",
			"NICTEAM_PORT=tcp://10.96.0.7:9100",
			"NICTEAM_PORT_9100_TCP=tcp://10.96.0.7:9100", "NICTEAM_PORT_9100_TCP_PROTO=tcp",
			"NICTEAM_PORT_9100_UDP_PORT=9100", "NICTEAM_PORT_9100_SCTP_ADDR=10.96.0.7",
			"NICTEAM_METRICS_SERVICE_HOST=10.96.0.8", "NICTEAM_METRICS_PORT_80_TCP_ADDR=10.96.0.8",
			"NICTEAM_MTU_SERVICE_PORT_A_B=1"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Load(tt.o)
			if err != nil {
				t.Fatal(err)
			}
			if len(l.Notes) != len(tt.want) {
				t.Fatalf("notes %q, want about %q", l.Notes, tt.want)
			}
			for i, w := range tt.want {
				if !strings.Contains(l.Notes[i], w) {
					t.Errorf("note %q, want about %q", l.Notes[i], w)
				}
			}
		})
	}
}

// TestZeroNeedsNoUnit: 0 is the same in every unit, wherever it comes from.
func TestZeroNeedsNoUnit(t *testing.T) {
	for _, o := range []Options{
		{Path: write(t, "c.yaml", "rebalance: 0\ngain: 0s\n")},
		{Path: write(t, "c.yaml", "rebalance: '0'\ngain: 0\n")},
		{Path: write(t, "c.toml", "rebalance = 0\ngain = \"0\"\n")},
		{Path: write(t, "c.json", `{"rebalance": 0, "gain": "0us"}`)},
		{Env: []string{"NICTEAM_REBALANCE=0"}, Flags: []Flag{{"gain", "0"}}},
	} {
		o.Team = "team0"
		l, err := Load(o)
		if err != nil || l.Config.Rebalance != 0 || l.Config.Gain != 0 || l.Config.Skew == 0 {
			t.Errorf("%+v: %+v, %v", o, l, err)
		}
	}
	for _, bad := range []string{"rebalance: 0.0\n", "gain: -0\n", "primary: 0\n", "mac: 0\n"} {
		if l, err := Load(Options{Team: "team0", Path: write(t, "c.yaml", bad)}); err == nil {
			t.Errorf("%q loads as %+v", bad, l.Config)
		}
	}
}

func TestFaultsNameTheirSource(t *testing.T) {
	path := write(t, "c.yaml", "mode: xor\nmtu: 99\n")
	for _, tt := range []struct {
		name string
		o    Options
		kind api.ExitCode
		what string
	}{
		{"file", Options{Path: path}, api.Usage, path + ":2: mtu: 99 is out of range"},
		{"variable over file", Options{Path: path, Env: []string{"NICTEAM_MTU=98"}},
			api.Usage, "NICTEAM_MTU: 98 is out of range"},
		{"flag over both", Options{Path: path, Env: []string{"NICTEAM_MTU=98"}, Flags: []Flag{{"mtu", "97"}}},
			api.Usage, "--mtu: 97 is out of range"},
		{"flag mistyped", Options{Flags: []Flag{{"up_delay", "100"}}}, api.Usage, "--up-delay: 100 has no unit"},
		{"flag toggle", Options{Flags: []Flag{{"balance", "maybe"}}}, api.Usage, `--balance: "maybe" is not on or off`},
		{"link watch", Options{Flags: []Flag{{"link_watch", "carrier,prob"}}}, api.Usage,
			`--link-watch: unknown value "prob"`},
		{"link watch of the adapter itself", Options{Flags: []Flag{{"address", "10.0.0.1/24"},
			{"link_watch", "arp:10.0.0.1"}}}, api.Usage, `--link-watch: "arp:10.0.0.1" asks nobody`},
		{"link watch of everybody", Options{Flags: []Flag{{"address", "10.0.0.1/24"},
			{"link_watch", "arp:10.0.0.255"}}}, api.Usage, `--link-watch: "arp:10.0.0.255" asks nobody`},
		{"lacp by flag", Options{Flags: []Flag{{"mode", "xor"}, {"lacp_rate", "fast"}}}, api.Usage,
			"--lacp-rate: is not for mode xor"},
		{"lacp by flag, no mode", Options{Flags: []Flag{{"lacp_active", "on"}}}, api.Usage,
			"--lacp-active: is not for mode elb"},
		{"lacp by variable", Options{Path: path, Env: []string{"NICTEAM_AD_SELECT=count", "NICTEAM_MTU=1500"}},
			api.Usage, "NICTEAM_AD_SELECT: is not for mode xor"},
		{"port priority elsewhere", Options{Members: []string{"e"}, Flags: []Flag{{"port_priority", "e=1"}}}, api.Usage,
			"--port-priority: is not for mode elb"},
		{"port priority of a stranger", Options{Members: []string{"eth1"}, Flags: []Flag{{"mode", "4"},
			{"port_priority", "eht1=2"}}}, api.NotFound, `--port-priority: "eht1" is not a member`},
		{"port priority out of range", Options{Members: []string{"eth1"}, Env: []string{
			"NICTEAM_PORT_PRIORITY=eth1=65536"}}, api.Usage, `NICTEAM_PORT_PRIORITY: eth1: 65536 is out of range`},
		{"port priority without a NIC", Options{Flags: []Flag{{"port_priority", "7"}}}, api.Usage,
			`--port-priority: "7" is not NIC=N`},
		{"system of a group", Options{Flags: []Flag{{"mode", "4"}, {"lacp_system", "ff:ff:ff:ff:ff:ff"}}}, api.Usage,
			"--lacp-system: ff:ff:ff:ff:ff:ff is not the MAC of a station"},
		{"system of nobody", Options{Flags: []Flag{{"mode", "4"}, {"lacp_system", "00:00:00:00:00:00"}}}, api.Usage,
			"--lacp-system: 00:00:00:00:00:00 is not the MAC of a station"},
		{"system priority", Options{Flags: []Flag{{"mode", "4"}, {"lacp_system_priority", "65536"}}}, api.Usage,
			"--lacp-system-priority: 65536 is out of range"},
		{"key", Options{Flags: []Flag{{"mode", "4"}, {"lacp_key", "1024"}}}, api.Usage,
			"--lacp-key: 1024 is out of range"},
		{"ad_select", Options{Flags: []Flag{{"mode", "4"}, {"ad_select", "bandwith"}}}, api.Usage,
			`--ad-select: unknown value "bandwith"`},
		{"gain out of range", Options{Flags: []Flag{{"gain", "2s"}}}, api.Usage, "--gain: 2s is out of range"},
		{"gain negative", Options{Env: []string{"NICTEAM_GAIN=-1us"}}, api.Usage, "NICTEAM_GAIN: -1µs is out of range"},
		{"skew bare", Options{Flags: []Flag{{"skew", "1"}}}, api.Usage, "--skew: 1 has no unit"},
		{"skew out of range", Options{Flags: []Flag{{"skew", "1001ms"}}}, api.Usage, "--skew: 1.001s is out of range"},
		{"rebalance too short", Options{Flags: []Flag{{"rebalance", "99ms"}}}, api.Usage,
			"--rebalance: 99ms is out of range"},
		{"rebalance too long", Options{Flags: []Flag{{"rebalance", "61m"}}}, api.Usage,
			"--rebalance: 1h1m is out of range"},
		{"rebalance negative", Options{Flags: []Flag{{"rebalance", "-1s"}}}, api.Usage,
			"--rebalance: -1s is out of range"},
		{"receive_balance by flag", Options{Flags: []Flag{{"mode", "xor"}, {"receive_balance", "on"}}}, api.Usage,
			"--receive-balance: is not for mode xor"},
		{"receive_balance by variable", Options{Path: path, Env: []string{"NICTEAM_RECEIVE_BALANCE=on",
			"NICTEAM_MTU=1500"}}, api.Usage, "NICTEAM_RECEIVE_BALANCE: is not for mode xor"},
		{"argument", Options{Team: "a/b"}, api.Usage, `team: "a/b" cannot be the name of a team`},
		{"NIC twice", Options{Members: []string{"e", "e"}}, api.Usage, `members[1]: NIC "e" is named twice`},
		{"weight of a stranger", Options{Members: []string{"eth1"}, Flags: []Flag{{"weight", "eht1=2"}}}, api.NotFound,
			`--weight: "eht1" is not a member`},
		{"weight negative", Options{Members: []string{"eth1"}, Flags: []Flag{{"weight", "eth1=-2"}}}, api.Usage,
			`--weight: eth1: -2 is out of range`},
		{"no NIC", Options{New: true}, api.Usage, "no NIC given"},
		{"no file", Options{Path: "/nonexistent/x.yaml"}, api.Usage, "read /nonexistent/x.yaml"},
		{"no format", Options{Path: "/etc/passwd"}, api.Usage, "read /etc/passwd"},
		{"a directory", Options{Path: write(t, "x", "") + "/../../x.yaml"}, api.Usage, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.o.Team == "" && tt.name != "file" {
				tt.o.Team = "team0"
			}
			if tt.name == "file" {
				tt.o.Team = "team0"
			}
			_, err := Load(tt.o)
			p := problemOf(t, err)
			if p.Kind != tt.kind || tt.what != "" && p.What != tt.what {
				t.Errorf("got %d %q, want %d %q", p.Kind, p.What, tt.kind, tt.what)
			}
		})
	}
}

// TestReceiveBalance: the kernel's balance-tlb is elb without its receive side unless the user says otherwise, and
// modes that have no such side take no notice of the default. What was understood is what is saved.
func TestReceiveBalance(t *testing.T) {
	on, off := Flag{"receive_balance", "on"}, Flag{"receive_balance", "off"}
	for _, tt := range []struct {
		flags []Flag
		mode  modes.Kind
		want  bool
	}{
		{nil, modes.ELB, true},
		{[]Flag{off}, modes.ELB, false},
		{[]Flag{{"mode", "balance-tlb"}}, modes.ELB, false},
		{[]Flag{{"mode", "5"}}, modes.ELB, false},
		{[]Flag{{"mode", "balance-tlb"}, on}, modes.ELB, true},
		{[]Flag{{"mode", "balance-alb"}}, modes.ELB, true},
		{[]Flag{{"mode", "6"}, off}, modes.ELB, false},
		{[]Flag{{"mode", "xor"}}, modes.XOR, true},
		{[]Flag{{"mode", "xor"}, off}, modes.XOR, false},
		{[]Flag{on, {"balance", "off"}}, modes.ELB, true},
	} {
		t.Run(fmt.Sprint(tt.flags), func(t *testing.T) {
			l, err := Load(Options{Team: "team0", Members: []string{"eth1", "eth2"}, Flags: tt.flags})
			if err != nil {
				t.Fatal(err)
			}
			saved := filepath.Join(t.TempDir(), "team0.yaml")
			if err := Save(saved, l.Config); err != nil {
				t.Fatal(err)
			}
			again, err := Load(Options{Path: saved})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []settings.Config{l.Config, again.Config} {
				if c.Mode != tt.mode || c.ReceiveBalance != tt.want {
					t.Errorf("%v with receive_balance %v, want %v with %v", c.Mode, c.ReceiveBalance, tt.mode, tt.want)
				}
			}
		})
	}
}

func FuzzLoad(f *testing.F) {
	for _, dir := range []string{testdata, filepath.Join(testdata, "bad")} {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if b, err := os.ReadFile(filepath.Join(dir, e.Name())); err == nil {
				f.Add(b, uint8(0))
				f.Add(b, uint8(1))
				f.Add(b, uint8(2))
				f.Add(append([]byte("\xef\xbb\xbf"), bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))...),
					uint8(len(e.Name())))
			}
		}
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, format uint8) {
		path := filepath.Join(dir, []string{"c.yaml", "c.toml", "c.json"}[format%3])
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Load(Options{Path: path})
		if err != nil {
			problemOf(t, err)
			return
		}
		if p := Validate(l.Config); p != nil {
			t.Fatalf("a loaded configuration is not valid: %v", p)
		}
		again := filepath.Join(dir, "again.yaml")
		if err := Save(again, l.Config); err != nil {
			t.Fatal(err)
		}
		back, err := Load(Options{Path: again})
		if err != nil {
			t.Fatalf("saved: %v", err)
		}
		if d := cmp.Diff(l.Config, back.Config, same); d != "" {
			t.Fatalf("saved and loaded (-want +got):\n%s", d)
		}
	})
}
