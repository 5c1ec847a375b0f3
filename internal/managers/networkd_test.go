// SPDX-License-Identifier: MIT

package managers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

func TestNetworkFile(t *testing.T) {
	f := networkFile{team: "team0", adapter: "team0", iaid: 7, from: []string{"/etc/systemd/network/10-eth.network"},
		texts: []string{`# a host with everything
[Match]
Name=eth* \
  en*
[Link]
MACAddress=02:00:00:00:00:01
MTUBytes=9000
RequiredForOnline=routable
Unmanaged=no

[Network]
DHCP=yes
DNS=10.0.0.53 \
# in between
  10.0.0.54
VLAN=eth1.5
[FairQueueing]
PacketLimit=100
[Address]
Address=10.0.0.1/24
`, "[Match]\nName=eth9\n[Network]\nDNS=\nDNS=9.9.9.9\n[BridgeVLAN]\nVLAN=1-5\nno entry\n"}}
	want := `# nicteam wrote this for team0, and removes it when the team ends: the same as for the NIC that team0 replaces
# from /etc/systemd/network/10-eth.network
[Match]
Name=team0

[Link]
RequiredForOnline=routable

[Network]
DHCP=yes
DNS=10.0.0.53  10.0.0.54

[Address]
Address=10.0.0.1/24

[Network]
DNS=
DNS=9.9.9.9

[DHCPv4]
IAID=7

[DHCPv6]
IAID=7
`
	if diff := cmp.Diff(want, f.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Whatever a NIC's file says, the adapter's matches the adapter alone.
func FuzzNetworkFile(f *testing.F) {
	for _, seed := range []string{"[Match]\nName=*\n", "[Network]\nDHCP=yes\\\n", "[Link]\nUnmanaged=yes",
		"=\n[\n[]]\n\\", "[Network]\nDNS=1\\\n[Match]\nName=*\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		out := networkFile{team: "team0", adapter: "team0", texts: []string{text}}.String()
		matches := 0
		for _, s := range networkSections(out) {
			for _, e := range s.entries {
				if s.name == "Match" {
					matches++
				}
				if s.name == "Link" && strings.HasPrefix(e, "Unmanaged") {
					t.Errorf("%q gives %q", text, out)
				}
			}
		}
		if matches != 1 {
			t.Errorf("%q gives %d matches: %q", text, matches, out)
		}
	})
}

// fakeNetworkd is systemd-networkd: a directory with its files, and what a reload makes of ours.
type fakeNetworkd struct {
	t       *testing.T
	root    string
	bus     *fakeBus
	reloads int
}

func startNetworkd(t *testing.T) (*fakeNetworkd, *Team) {
	t.Helper()
	f := &fakeNetworkd{t: t, root: t.TempDir(), bus: newFakeBus(t)}
	f.bus.provide(networkdName, f.call)
	f.put("/etc/systemd/network/10-eth.network", "[Match]\nName=eth*\n[Network]\nDHCP=yes\n")
	f.put("/usr/lib/systemd/network/10-eth.network.d/a.conf", "[Network]\nDNS=9.9.9.9\n")
	f.put("/usr/lib/systemd/network/10-eth.network.d/b.conf", "[Network]\nDomains=usr.example\n")
	f.put("/etc/systemd/network/10-eth.network.d/b.conf", "[Network]\nDomains=etc.example\n")
	f.serves(2, "/etc/systemd/network/10-eth.network")
	f.serves(3, "/etc/systemd/network/10-eth.network")
	f.put("/run/systemd/netif/leases/2", "ADDRESS=10.9.0.103\nCLIENTID=fffccd879300020000ab11696690a6797dbd99\n")
	f.put("/run/systemd/netif/links/9", "ADMIN_STATE=unmanaged\n")
	return f, f.team()
}

func (f *fakeNetworkd) team() *Team {
	dir := filepath.Join(f.root, "state")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	return New(Options{Team: "team0", StateDir: dir, Root: f.root, Bus: f.bus.socket})
}

func (f *fakeNetworkd) put(path, text string) {
	f.t.Helper()
	path = filepath.Join(f.root, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fakeNetworkd) get(name string) string {
	text, _ := os.ReadFile(filepath.Join(f.root, "/run/systemd/network", name))
	return string(text)
}

func (f *fakeNetworkd) serves(index int, file string) {
	f.put(fmt.Sprintf("/run/systemd/netif/links/%d", index), "ADMIN_STATE=configured\nNETWORK_FILE="+file+
		"\nDHCP6_CLIENT_IAID=0x2a\n")
}

const (
	ourAdapter = "0-nicteam-team0.network"
	ourMembers = "0-nicteam-team0-members.network"
)

func (f *fakeNetworkd) call(dbus.ObjectPath, string, []any) ([]any, *dbus.Error) {
	f.reloads++
	for i, name := range []string{2: "eth1", 3: "eth2", 9: "team0"} {
		switch {
		case name == "":
		case strings.Contains(f.get(ourMembers), name+" ") || strings.Contains(f.get(ourMembers), name+"\n"):
			f.put(fmt.Sprintf("/run/systemd/netif/links/%d", i), "ADMIN_STATE=unmanaged\n")
		case name == "team0" && f.get(ourAdapter) != "":
			f.serves(i, "/run/systemd/network/"+ourAdapter)
		case name != "team0":
			f.serves(i, "/etc/systemd/network/10-eth.network")
		}
	}
	return nil, nil
}

func TestNetworkdServesTheAdapter(t *testing.T) {
	f, team := startNetworkd(t)
	preview := "would tell systemd-networkd to leave eth1, eth2 alone and to serve team0 in place of eth1"
	if diff := cmp.Diff([]string{preview}, previewSteps(t, team)); diff != "" || f.reloads != 0 {
		t.Errorf("preview, %d reloads (-want +got):\n%s", f.reloads, diff)
	}
	planned := team.Preview(t.Context(), links)[0].Files
	steps, warnings := team.TakeOver(t.Context(), links)
	if wrote, err := filepath.Glob(filepath.Dir(planned[0]) + "/*nicteam*"); err != nil ||
		cmp.Diff([]string{planned[1], planned[0]}, wrote) != "" {
		t.Errorf("planned %q, wrote %q", planned, wrote)
	}
	want := []string{"systemd-networkd serves team0 in place of eth1, by /etc/systemd/network/10-eth.network",
		"systemd-networkd leaves eth1, eth2 alone"}
	if diff := cmp.Diff(want, steps); diff != "" || warnings != nil {
		t.Errorf("steps (-want +got):\n%s%v", diff, warnings)
	}
	if got := f.get(ourMembers); !strings.Contains(got, "[Match]\nName=eth1 eth2\n\n[Link]\nUnmanaged=yes\n") {
		t.Errorf("members:\n%s", got)
	}
	wantFile := "[Match]\nName=team0\n\n[Network]\nDHCP=yes\n\n[Network]\nDNS=9.9.9.9\n\n[Network]\n" +
		"Domains=etc.example\n\n[DHCPv4]\nIAID=4241328019\n\n[DHCPv6]\nIAID=4241328019\n"
	if _, got, _ := strings.Cut(f.get(ourAdapter), "b.conf\n"); got != wantFile {
		t.Errorf("the adapter's file:\n%s", got)
	}
	// The same team again, and another process of it.
	for _, next := range []*Team{team, f.team()} {
		if steps, warnings := next.TakeOver(t.Context(), links); steps != nil || warnings != nil || f.reloads != 1 {
			t.Errorf("again: steps %q, warnings %q, %d reloads", steps, warnings, f.reloads)
		}
	}
	// A change of the NIC's file, and one of ours.
	f.put("/etc/systemd/network/10-eth.network", "[Match]\nName=eth*\n[Network]\nDHCP=ipv4\n")
	if team.TakeOver(t.Context(), links); !strings.Contains(f.get(ourAdapter), "DHCP=ipv4\n") || f.reloads != 2 {
		t.Errorf("after a change of the NIC's file, with %d reloads:\n%s", f.reloads, f.get(ourAdapter))
	}
	was := f.get(ourAdapter)
	f.put("/run/systemd/network/"+ourAdapter, was+"# mine\n")
	f.put("/etc/systemd/network/10-eth.network", "[Match]\nName=eth*\n[Network]\nDHCP=no\n")
	if f.team().TakeOver(t.Context(), links); f.get(ourAdapter) != was+"# mine\n" || f.reloads != 2 {
		t.Errorf("an edited file, with %d reloads:\n%s", f.reloads, f.get(ourAdapter))
	}
	// The NIC that the adapter is served for leaves.
	team.TakeOver(t.Context(), Links{Adapter: links.Adapter, Members: links.Members[1:]})
	if got := f.get(ourMembers); !strings.Contains(got, "Name=eth2 eth1\n") {
		t.Errorf("members after eth1 left:\n%s", got)
	}
	steps, err := f.team().GiveBack(t.Context())
	if err != nil || f.get(ourAdapter)+f.get(ourMembers) != "" {
		t.Errorf("given back: %v, files %q %q", err, f.get(ourAdapter), f.get(ourMembers))
	}
	if f.reloads != 4 {
		t.Errorf("given back: %d reloads, steps %q", f.reloads, steps)
	}
	if steps, err := f.team().GiveBack(t.Context()); steps != nil || err != nil || f.reloads != 4 {
		t.Errorf("given back twice: steps %q, %v, %d reloads", steps, err, f.reloads)
	}
}

func TestNetworkdStartsLater(t *testing.T) {
	f, team := startNetworkd(t)
	team.TakeOver(t.Context(), links)
	was := f.get(ourAdapter)
	// A boot.
	if err := os.RemoveAll(filepath.Join(f.root, "/run")); err != nil {
		t.Fatal(err)
	}
	f.bus.provide(networkdName, nil)
	if steps, warnings := f.team().TakeOver(t.Context(), links); steps != nil || warnings != nil {
		t.Errorf("steps %q, warnings %q", steps, warnings)
	}
	if got := f.get(ourAdapter); got != was || !strings.Contains(f.get(ourMembers), "Name=eth1 eth2\n") {
		t.Errorf("files at a boot:\n%s\n%s", got, f.get(ourMembers))
	}
	// It was there already, but not on the bus.
	f.bus.provide(networkdName, f.call)
	f.put("/run/systemd/netif/links/9", "ADMIN_STATE=unmanaged\n")
	reloads, later := f.reloads, f.team()
	for range 2 { // it is told once
		later.TakeOver(t.Context(), links)
	}
	if f.reloads != reloads+1 || !(networkd{root: f.root}).link(9).managed() {
		t.Errorf("on the bus later: %d reloads, the adapter is %+v", f.reloads-reloads, networkd{root: f.root}.link(9))
	}
	f.bus.provide(networkdName, nil)
	// A host that networkd has never served has no files.
	next := f.team()
	next.Forget()
	if _, err := next.GiveBack(t.Context()); err != nil {
		t.Error(err)
	}
	f.team().TakeOver(t.Context(), links)
	if got := f.get(ourMembers); got != "" {
		t.Errorf("members on a host that knows nothing:\n%s", got)
	}
}

func TestWhatNetworkdLeavesAlone(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*fakeNetworkd, *Links)
		alone  string // in membersFile
		serves bool   // the adapter has a file of ours
	}{
		{"served NICs", func(*fakeNetworkd, *Links) {}, "Name=eth1 eth2\n", true},
		{"the adapter's addresses are the team's", func(_ *fakeNetworkd, l *Links) { l.Own = true },
			"Name=eth1 eth2 team0\n", false},
		{"a file for the adapter", func(f *fakeNetworkd, _ *Links) {
			f.put("/etc/systemd/network/team.network", "[Match]\nName=team0\n[Network]\nDHCP=ipv4\n")
		}, "Name=eth1 eth2\n", false},
		{"a NIC of others", func(f *fakeNetworkd, _ *Links) {
			f.put("/run/systemd/netif/links/2", "ADMIN_STATE=unmanaged\n")
		}, "Name=eth2\n", true},
		{"NICs of others, but the adapter matches", func(f *fakeNetworkd, _ *Links) {
			f.put("/run/systemd/netif/links/2", "ADMIN_STATE=unmanaged\n")
			f.put("/run/systemd/netif/links/3", "ADMIN_STATE=unmanaged\n")
			f.serves(9, "/etc/systemd/network/10-eth.network")
		}, "Name=team0\n", false},
		{"nothing", func(f *fakeNetworkd, _ *Links) {
			f.put("/run/systemd/netif/links/2", "ADMIN_STATE=unmanaged\n")
			f.put("/run/systemd/netif/links/3", "")
		}, "", false},
		{"a name with a pattern", func(_ *fakeNetworkd, l *Links) { l.Members[0].Name = "e*" }, "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f, team := startNetworkd(t)
			l := links
			l.Members = append([]NIC(nil), links.Members...)
			tt.change(f, &l)
			_, warnings := team.TakeOver(t.Context(), l)
			if (len(warnings) > 0) != strings.Contains(l.Members[0].Name, "*") {
				t.Errorf("warnings %q", warnings)
			}
			if got := f.get(ourMembers); !strings.Contains(got, tt.alone) || tt.alone == "" && got != "" {
				t.Errorf("members:\n%s", got)
			}
			if got := f.get(ourAdapter) != ""; got != tt.serves {
				t.Errorf("the adapter is served: %v", got)
			}
		})
	}
}
