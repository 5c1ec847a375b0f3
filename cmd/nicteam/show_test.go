// SPDX-License-Identifier: MIT

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"nicteam/internal/api"
)

func TestShowStatus(t *testing.T) {
	var b strings.Builder
	a := &app{out: &b}
	s := (&fakeTeam{name: "team0", state: "degraded"}).Status()
	s.Balance = false
	s.Warnings = []string{"speeds differ"}
	a.showStatus(s, recentRates{known: true, in: 1e6, out: 3e6, members: map[string][2]float64{"eth1": {1e6, 2e6},
		"eth2": {0, 1e6}}}, s.Since.Add(26*time.Hour+30*time.Minute))
	want := `team0  active-backup  degraded (eth2 is down: carrier lost)  for 1d 2h
  10.9.0.1/24  MAC 02:00:00:00:00:01  MTU 1500  relay (user space)
  balance off: one NIC is active, the others stand by
  NIC    STATE  SPEED     IN        OUT       SHARE  DROPS  REASON
* eth1   up     1 Gbit/s  1 Mbit/s  2 Mbit/s  75 %   -
  eth2   down   -         0 bit/s   1 Mbit/s  25 %   3      carrier lost
  total                   1 Mbit/s  3 Mbit/s
  transferred: 0 B in, 0 B out
  warning: speeds differ
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestShowELB(t *testing.T) {
	var b strings.Builder
	a := &app{out: &b}
	p := &fakeTeam{name: "team0", state: "up", mode: "elb"}
	s := p.Status()
	s.Members[1].State, s.Members[1].RateBps, s.Members[1].RateSource = "up", 25e8, "link"
	s.Members = append(s.Members, api.Member{Name: "wlan0", State: "down", Reason: "carrier lost"})
	a.showStatus(s, recentRates{}, s.Since.Add(90*time.Second))
	doc, _ := p.Peers(t.Context())
	vlan := doc.Peers[0]
	vlan.Address, vlan.VLAN, vlan.Ours, vlan.RxBps = "fd09::2", 7, "fd09::1", 0
	doc.Peers = append(doc.Peers, vlan)
	a.showPeers(doc, epoch.Add(90*time.Second))
	doc.Peers = nil
	a.showPeers(doc, epoch)
	want := `team0  elb  up  for 1m 30s
  10.9.0.1/24  MAC 02:00:00:00:00:01  MTU 1500  relay (user space)
  NIC    STATE  SPEED       RATE                   IN  OUT  SHARE  DROPS  REASON
* eth1   up     1 Gbit/s    200 Mbit/s (measured)  -   -    -      -
  eth2   up     2.5 Gbit/s  2.5 Gbit/s (link)      -   -    -      3
  wlan0  down   -           -                      -   -    -      -      carrier lost
  transferred: 0 B in, 0 B out
  flows moved without a pause: 12
PEER            OURS      MAC                NIC   RX           SINCE   TOLD
10.9.0.2        10.9.0.1  02:00:00:00:00:02  eth2  94.1 Mbit/s  1m 30s  2
fd09::2 vlan 7  fd09::1   02:00:00:00:00:02  eth2  0 bit/s      1m 30s  2
PEER  OURS  MAC  NIC  RX  SINCE  TOLD
team0 has no peers yet
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestShowLACP(t *testing.T) {
	var b strings.Builder
	a := &app{out: &b}
	s := (&fakeTeam{name: "team0", state: "up", mode: "802.3ad"}).Status()
	a.showStatus(s, recentRates{}, s.Since.Add(90*time.Second))
	a.verbose = true
	s = (&fakeTeam{name: "team0", state: "degraded", mode: "802.3ad"}).Status()
	a.showLACP(s)
	s.LACP.Aggregator = 0
	a.verbose = false
	a.showLACP(s)
	want := `team0  802.3ad  up  for 1m 30s
  10.9.0.1/24  MAC 02:00:00:00:00:01  MTU 1500  relay (user space)
  NIC   STATE    SPEED       IN  OUT  SHARE  DROPS  REASON
  eth1  up       1 Gbit/s    -   -    -      -
  eth2  standby  2.5 Gbit/s  -   -    -      3
  transferred: 0 B in, 0 B out
  LACP: this host is 02:00:00:00:00:01, priority 65535, key 9; aggregator 1 with 02:00:00:00:00:99, priority 4096, key 21
  PORT  AGG  RECEIVE  MUX           STATE     PARTNER'S  PARTNER
  eth1  1    CURRENT  DISTRIBUTING  A-GSCD--  ATGSCD--   02:00:00:00:00:99 key 21 port 7
  eth2  2    CURRENT  ATTACHED      A-G-----  ATGSCD--   02:00:00:00:00:99 key 21 port 7
  LACP: this host is 02:00:00:00:00:01, priority 65535, key 9; aggregator 1 with 02:00:00:00:00:99, priority 4096, key 21
  PORT  AGG  RECEIVE    MUX           STATE     PARTNER'S  PARTNER                          PERIODIC  SELECTED    CHURN              PDUS IN  OUT  MARKERS IN  OUT  BAD
  eth1  1    CURRENT    DISTRIBUTING  A-GSCD--  ATGSCD--   02:00:00:00:00:99 key 21 port 7  FAST      SELECTED    NO_CHURN/NO_CHURN  12       34   1           2    3
  eth2  2    DEFAULTED  DETACHED      A-G---F-  -T------   -                                FAST      UNSELECTED  NO_CHURN/NO_CHURN  12       34   1           2    3
  STATE: A activity, T short timeout, G aggregation, S synchronization, C collecting, D distributing, F defaulted, E expired
  LACP: this host is 02:00:00:00:00:01, priority 65535, key 9; no aggregator is in use
  PORT  AGG  RECEIVE    MUX           STATE     PARTNER'S  PARTNER
  eth1  1    CURRENT    DISTRIBUTING  A-GSCD--  ATGSCD--   02:00:00:00:00:99 key 21 port 7
  eth2  2    DEFAULTED  DETACHED      A-G---F-  -T------   -
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestShowStatusVerbose(t *testing.T) {
	tests := []struct {
		name string
		is   api.Adapter
		want string
	}{
		{"relay", api.Adapter{Name: "team0", Carrier: true, SpeedBps: 2e9, KernelCounts: "all"}, "  speed 2 Gbit/s\n"},
		{"fast path", api.Adapter{Name: "team0", Carrier: true, KernelCounts: "relayed"},
			"  speed unknown\n  ip -s link show team0 counts only what the relay moves; nicteam status, watch " +
				"and metrics count all\n"},
		{"down", api.Adapter{Name: "team0", KernelCounts: "all"}, "  speed -\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			a := &app{out: &b, verbose: true}
			a.showStatus(&api.Status{Team: "team0", Balance: true, Adapter: tt.is}, recentRates{}, epoch)
			if !strings.Contains(b.String(), "\n"+tt.want+"  NIC") {
				t.Errorf("no %q in:\n%s", tt.want, b.String())
			}
		})
	}
}

func TestShowList(t *testing.T) {
	var b strings.Builder
	a := &app{out: &b}
	a.showTeams([]api.ListedTeam{{Name: "team0", State: "up", Mode: "xor", Members: []string{"eth1", "eth2"}}})
	a.showNICs([]api.ListedNIC{
		{Name: "eth1", Link: true, Up: true, SpeedBps: 1e9, Driver: "igc", MAC: "02:00:00:00:00:01",
			Addresses: []string{"10.0.0.1/24"}, Owner: "team team0"},
		{Name: "eth2", Link: true, Up: true, SpeedBps: 1e9, Driver: "igc", MAC: "02:00:00:00:00:02",
			Owner: "team team0", State: "down", Reason: "nobody hears eth2"},
		{Name: "wlan0", Link: true, Up: true}, {Name: "eth9"},
	})
	want := `TEAM   STATE  MODE  NICS
team0  up     xor   eth1 eth2
NIC    LINK      SPEED     DRIVER  MAC                ADDRESSES    BELONGS TO
eth1   up        1 Gbit/s  igc     02:00:00:00:00:01  10.0.0.1/24  team team0
eth2   up        1 Gbit/s  igc     02:00:00:00:00:02  -            team team0, not used (nobody hears eth2)
wlan0  up        unknown   -       -                  -            -
eth9   disabled  -         -       -                  -            -
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestProposal(t *testing.T) {
	nic := func(name string, link bool, owner string) api.ListedNIC {
		return api.ListedNIC{Name: name, Link: link, Owner: owner, Kind: "device"}
	}
	for _, tt := range []struct {
		nics []api.ListedNIC
		want string
	}{
		{nil, ""},
		{[]api.ListedNIC{nic("a", false, ""), nic("b", true, ""), nic("c", true, "bridge br0"), nic("d", true, "")},
			"b d"},
		{[]api.ListedNIC{nic("a", false, ""), nic("b", true, "")}, "b a"},
		{[]api.ListedNIC{nic("a", true, "")}, "a"},
		{[]api.ListedNIC{{Name: "a", Link: true, Uppers: []string{"a.7"}}, nic("b", true, "")}, "b"},
	} {
		if got := strings.Join(proposal(tt.nics), " "); got != tt.want {
			t.Errorf("proposal %q, want %q", got, tt.want)
		}
	}
}

// TestWelcome: the first screen proposes hardware only, and where there is none it says what there is.
func TestWelcome(t *testing.T) {
	of := func(kind, name, owner string) api.ListedNIC {
		return api.ListedNIC{Name: name, Link: true, Up: true, Kind: kind, Owner: owner}
	}
	for _, tt := range []struct {
		name string
		nics []api.ListedNIC
		want []string
		not  []string
	}{
		{"a host with containers", []api.ListedNIC{of("device", "eth1", ""), of("bridge", "docker0", ""),
			of("veth", "veth1", "bridge docker0"), of("veth", "veth2", ""), of("tun", "tap0", ""),
			of("dummy", "dummy0", ""), of("device", "eth2", "")},
			[]string{"  nicteam create team0 eth1 eth2\n", "and 1 bridge, 1 dummy, 1 tun and 2 veth: nicteam list",
				"or choose from a list: nicteam create\n"}, []string{"docker0", "tap0"}},
		{"one is taken", []api.ListedNIC{of("device", "eth1", "bridge br0"), of("device", "eth2", ""),
			of("bridge", "br0", "")}, []string{"  nicteam create team0 eth2\n", "and 1 bridge: nicteam list"}, nil},
		{"all are taken", []api.ListedNIC{of("device", "eth1", "bridge br0"), of("bridge", "br0", "")},
			[]string{"None of them is free. The list says why: nicteam create\n"}, []string{"create team0"}},
		{"a container", []api.ListedNIC{of("veth", "eth0", ""), of("veth", "eth1", "")},
			[]string{"It has no physical NIC, but 2 veth:", "eth0  up", "\n  nicteam create\n",
				"or name them: nicteam create team0 NIC NIC\n"}, []string{"create team0 eth0"}},
		{"nothing", nil, []string{"it has no Ethernet NIC"}, []string{"create team0"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			(&app{out: &b}).showWelcome(tt.nics)
			got := b.String()
			for _, want := range append(tt.want, "No team runs on this host", "\nMore: nicteam help\n") {
				if !strings.Contains(got, want) {
					t.Errorf("%q is missing:\n%s", want, got)
				}
			}
			for _, not := range tt.not {
				if strings.Contains(got, not) {
					t.Errorf("%q is there:\n%s", not, got)
				}
			}
		})
	}
}

func TestAgo(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{ago(-time.Second), "0s"}, {ago(61 * time.Second), "1m 1s"}, {ago(25 * time.Hour), "1d 1h"},
		{ago(90 * time.Minute), "1h 30m"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// TestEveryCommandHasHelp holds every command to a short text and, topics aside, an example.
func TestEveryCommandHasHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if c.Hidden {
			return // for programs
		}
		if c.Short == "" {
			t.Errorf("%s has no short text", c.CommandPath())
		}
		if c.Runnable() && c.Example == "" && c.Name() != "help" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk((&app{}).root())
}

func TestLately(t *testing.T) {
	second := time.Second.Nanoseconds()
	h := &api.History{Covered: []int64{second, 0, second}, RX: api.SeriesColumns{Bytes: []uint64{1000, 0, 3000}},
		Members: []api.NamedColumns{{Name: "eth1", RX: api.SeriesColumns{Bytes: []uint64{1000, 0, 1000}}},
			{Name: "eth2", RX: api.SeriesColumns{Bytes: []uint64{0, 0, 2000}}}}}
	l := newRecentRates(h)
	in, out, share := l.cells("eth1")
	if !l.known || l.in != 16000 || in != "8 kbit/s" || out != "0 bit/s" || share != "50 %" {
		t.Errorf("%+v: %s %s %s", l, in, out, share)
	}
	if l := newRecentRates(&api.History{Covered: []int64{0, 0}}); l.known {
		t.Error("rates of a gap are known")
	}
}
