package host

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nicteam/team"
)

func TestAnnouncement(t *testing.T) {
	w := newWorld(t)
	adapter := w.tap()
	run(t, `ip addr add 10.9.0.1/24 dev team0; ip -6 addr add fd09::1/64 dev team0 nodad
		ip link add link team0 name mv9 address 02:00:00:00:00:99 type macvlan mode bridge; ip link set mv9 up; ip addr add 10.9.0.5/24 dev mv9`)
	h := w.open(nil)
	got, err := h.Announcement(adapter)
	must(t, err)
	var addresses []string
	for _, a := range got.Addresses {
		if a.IP.IsLinkLocalUnicast() {
			continue
		}
		mac := "own"
		if a.MAC != 0 {
			mac = a.MAC.String()
		}
		addresses = append(addresses, a.IP.String()+" "+mac)
	}
	slices.Sort(addresses)
	want := []string{"10.9.0.1 own", "10.9.0.5 02:00:00:00:00:99", "fd09::1 own"}
	if d := cmp.Diff(want, addresses); d != "" {
		t.Errorf("addresses (-want +got):\n%s", d)
	}
	has := func(ip, source string) bool {
		return slices.ContainsFunc(got.Groups, func(g team.GroupReport) bool {
			// The adapter's is what the member has by which the report leaves, or a switch would learn the adapter's there.
			return (g.MAC == 0) == (source == "10.9.0.1") && g.Source.String() == source && slices.Contains(g.Groups, netip.MustParseAddr(ip))
		})
	}
	if !has("224.0.0.1", "10.9.0.1") || !has("224.0.0.1", "10.9.0.5") {
		t.Errorf("groups: %+v", got.Groups)
	}
}

func TestAskNeighbours(t *testing.T) {
	w := newWorld(t)
	adapter := w.tap()
	run(t, `ip addr add 10.9.0.1/24 dev team0
		ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:02 dev team0 nud stale
		ip neigh add fd09::2 lladdr 02:00:00:00:00:02 router dev team0 nud stale
		ip neigh add 10.9.0.3 lladdr 02:00:00:00:00:03 dev team0 nud permanent
		ip neigh add 10.9.0.4 lladdr 02:00:00:00:00:04 dev na nud stale`)
	must(t, w.open(nil).AskNeighbours(adapter))
	got := run(t, "ip neigh show")
	for _, want := range []string{"10.9.0.2 dev team0 lladdr 02:00:00:00:00:02 PROBE", "fd09::2 dev team0 lladdr 02:00:00:00:00:02 router PROBE",
		"10.9.0.3 dev team0 lladdr 02:00:00:00:00:03 PERMANENT", "10.9.0.4 dev na lladdr 02:00:00:00:00:04 STALE"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestParseGroups(t *testing.T) {
	groups := map[string][]netip.Addr{}
	text := "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n" +
		"1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n" +
		"4\teth0      :     2      V3\n\t\t\t\tFB0000E0     1 0:00000000\t\t0\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\t\t\t\tzz\n"
	if !littleEndian {
		t.Skip("the sample is of a little-endian machine")
	}
	parseIGMP([]byte(text), groups)
	parseIGMP6([]byte("4    eth0            ff020000000000000000000000000001     1 0000000C 0\nx y\n4 eth0 00 1\n"), groups)
	want := map[string][]string{"lo": {"224.0.0.1"}, "eth0": {"224.0.0.251", "224.0.0.1", "ff02::1"}}
	got := map[string][]string{}
	for k, list := range groups {
		for _, a := range list {
			got[k] = append(got[k], a.String())
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("groups (-want +got):\n%s", d)
	}
}

func FuzzGroups(f *testing.F) {
	f.Add([]byte("1\tlo        :     1      V3\n\t\t\t\t010000E0     1\n"), []byte("4 eth0 ff020000000000000000000000000001 1"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		groups := map[string][]netip.Addr{}
		parseIGMP(a, groups)
		parseIGMP6(b, groups)
		for _, list := range groups {
			for _, g := range list {
				if !g.IsMulticast() {
					t.Fatalf("%s is no group", g)
				}
			}
		}
	})
}

func FuzzObject(f *testing.F) {
	f.Add(make([]byte, 8), 8)
	f.Add([]byte{2, 24, 0, 0, 3, 0, 0, 0, 8, 0, 1, 0, 10, 9, 0, 1, 5, 0, 2, 0, 1}, 8)
	f.Fuzz(func(t *testing.T, b []byte, head int) {
		if head != addressHead && head != otherHead {
			return
		}
		o, err := parseObject(b, head)
		if err != nil {
			return
		}
		again, err := parseObject(o.Serialize(), head)
		if err != nil || !again.equal(o) {
			t.Fatalf("%v, %+v is not %+v", err, again, o)
		}
	})
}
