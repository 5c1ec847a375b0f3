// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/rtnl"
)

// follow makes an adapter with a Follower.
func (w *world) follow(h *Host) (*Follower, int) {
	w.t.Helper()
	index := w.tap()
	f, err := h.Follow(index)
	must(w.t, err)
	go f.Run(w.t.Context())
	return f, index
}

// tells waits for a change of this kind.
func tells(t *testing.T, n *Subscription, want Change) {
	t.Helper()
	for got := Change(0); got&want == 0; {
		select {
		case <-n.C():
			got |= n.Changes()
		case <-time.After(labtest.Patience):
			t.Fatalf("no news of %b", want)
		}
	}
}

// TestFollowerEndsDuringAnEvent ends Run while an event is being read.
func TestFollowerEndsDuringAnEvent(t *testing.T) {
	w := newWorld(t)
	f, err := w.open(nil).Follow(w.tap())
	must(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); f.Run(ctx) }()
	waits := func(function string) {
		labtest.Eventually(t, function, func() bool {
			stacks := make([]byte, 1<<20)
			return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "host.(*Follower)."+function+"(")
		})
	}
	waits("read")
	f.mu.Lock() // whoever waits first gets it first
	cancel()
	waits("Run.func1")
	run(t, "ip addr add 10.99.0.1/32 dev nc")
	waits("read.func1")
	f.mu.Unlock()
	select {
	case <-ended:
	case <-time.After(labtest.Patience):
		t.Fatal("Run goes on")
	}
}

// TestFollowerTells: only changes that concern the team are signalled. After each change that is not, one that is must
// come alone.
func TestFollowerTells(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	f, _ := w.follow(h)
	na := must1(h.nic("na"))
	f.Members([]int{na.Index})
	n := f.Subscribe(AnyChange &^ OtherLink)
	settle := func() {
		run(t, "ip addr add 10.99.0.1/32 dev nc; ip addr del 10.99.0.1/32 dev nc")
		tells(t, n, OtherConfig)
		n.Changes()
	}
	settle()
	for _, tt := range []struct {
		name, script string
		want         Change
	}{
		{"adapter's MAC", "ip link set team0 address 02:00:00:00:00:77", AdapterLink},
		{"adapter's address", "ip addr add 10.6.0.1/24 dev team0", AdapterConfig},
		{"adapter's IPv6 address", "ip addr add fd06::1/64 dev team0 nodad", AdapterConfig},
		{"adapter's route", "ip route add 10.60.0.0/16 via 10.6.0.2 dev team0", AdapterConfig},
		{"adapter's route in a table", "ip route add 10.60.0.0/16 via 10.6.0.2 dev team0 table 99", AdapterConfig},
		{"adapter's route of a DHCP client", "ip route add 10.61.0.0/16 via 10.6.0.2 dev team0 proto dhcp",
			AdapterConfig},
		{"adapter's IPv6 route", "ip -6 route add fd60::/16 via fd06::2 dev team0", AdapterConfig},
		{"adapter's route goes", "ip route del 10.60.0.0/16 dev team0", AdapterConfig},
		{"adapter's route of a routing daemon", "ip route add 10.62.0.0/16 via 10.6.0.2 dev team0 proto bird", 0},
		{"adapter's neighbour", "ip neigh add 10.6.0.9 lladdr 02:00:00:00:00:09 dev team0 nud reachable", 0},
		{"member's MTU", "ip link set na mtu 1400", MemberLink},
		{"member's address", "ip addr add 10.5.0.1/24 dev na", MemberConfig},
		{"member's route", "ip route add 10.50.0.0/16 via 10.5.0.2 dev na", MemberConfig},
		{"member's hop",
			"ip addr add 10.4.0.1/24 dev nc; ip route add 10.51.0.0/16 nexthop via 10.4.0.2 dev nc nexthop via " +
				"10.5.0.2 dev na", MemberConfig},
		{"member's connected route by its manager",
			"ip route add 10.52.0.0/16 dev na proto kernel scope link src 10.5.0.1 metric 100", MemberConfig},
		{"member's advertised route by its manager", "ip -6 route add fd52::/64 dev na proto ra metric 100",
			MemberConfig},
		{"member's permanent neighbour", "ip neigh add 10.5.0.9 lladdr 02:00:00:00:00:09 dev na nud permanent",
			MemberConfig},
		{"member's neighbour", "ip neigh add 10.5.0.8 lladdr 02:00:00:00:00:08 dev na nud reachable", 0},
		{"other's route", "ip route add 10.40.0.0/16 via 10.4.0.2 dev nc", 0},
		{"other's neighbour", "ip neigh add 10.4.0.9 lladdr 02:00:00:00:00:09 dev nc nud permanent", 0},
		{"bridge's neighbour",
			"ip link add brf type bridge; ip link set nb master brf; bridge fdb add 02:00:00:00:00:0a dev nb " +
				"master; ip link del brf", 0},
		{"rule", "ip rule add pref 100 iif na lookup 99", Rules},
		{"IPv6 rule", "ip -6 rule add pref 101 iif na lookup 99", Rules},
	} {
		run(t, tt.script)
		if tt.want != 0 {
			tells(t, n, tt.want)
			settle()
			continue
		}
		run(t, "ip addr add 10.99.0.1/32 dev nc; ip addr del 10.99.0.1/32 dev nc")
		for got := Change(0); got&OtherConfig == 0; {
			<-n.C()
			if got |= n.Changes(); got&^OtherConfig != 0 {
				t.Errorf("%s: news %b", tt.name, got)
			}
		}
	}
}

// TestSyncAfterDown: the adapter gets back what it lost by going down, however fast, and not what somebody removed.
func TestSyncAfterDown(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	must(t, h.Begin())
	f, index := w.follow(h)
	must(t, h.RecordAdapter(index))
	run(t, `ip addr add 10.6.0.1/24 dev team0; ip addr add fd06::1/64 dev team0 nodad; ip addr add fd06::2/64 dev team0 nodad valid_lft 3600 preferred_lft 1800
		ip route add 10.60.0.0/16 via 10.6.0.2 dev team0 proto static; ip route add 10.61.0.0/16 via 10.60.0.1 dev team0 onlink
		ip -6 route add fd60::/32 via fd06::9 dev team0; ip route add 10.62.0.0/16 via 10.6.0.2 dev team0 proto 186
		ip addr add 10.7.0.1/24 dev team0 noprefixroute; ip addr add fd07::1/64 dev team0 nodad noprefixroute
		ip route add 10.7.0.0/24 dev team0 proto kernel scope link src 10.7.0.1 metric 100; ip -6 route add fe80::/64 dev team0 proto kernel metric 1024
		ip -6 route add fd07::/64 dev team0 proto ra metric 100; ip -6 route add default via fe80::9 dev team0 proto ra metric 100
		ip neigh add 10.6.0.200 lladdr 02:00:00:00:00:c8 dev team0 nud permanent; ip neigh add proxy 10.6.0.201 dev team0`)
	show := func() string {
		return strings.ReplaceAll(run(t, `ip -o -4 addr show dev team0; ip -o -6 addr show dev team0 scope global | sed 's/sec/ /g; s/valid_lft [0-9]*/valid/; s/preferred_lft [0-9]*/preferred/' | sort
			ip route show dev team0 | grep -v 'proto bgp'; ip -6 route show dev team0 proto boot; ip -6 route show dev team0 proto ra; ip -6 route show dev team0 metric 1024; ip neigh show dev team0 nud permanent; ip neigh show proxy dev team0`), " linkdown", "")
	}
	look := func() AdapterState {
		t.Helper()
		a, err := f.Sync()
		must(t, err)
		return a
	}
	look()
	before := show()
	defer func() {
		if t.Failed() {
			t.Logf("was\n%s\nis\n%s", before, show())
		}
	}()
	for _, script := range []string{
		"ip link set team0 down; ip link set team0 up",
		"ip link set team0 down; ip link set team0 up; ip link set team0 down; ip link set team0 up",
		"ip route add 10.63.0.0/16 via 10.6.0.2 dev team0; ip route del 10.63.0.0/16 dev team0; ip link set team0 " +
			"down; ip link set team0 up",
	} {
		run(t, script)
		labtest.Eventually(t, "all is there after "+script, func() bool {
			a := look()
			if len(a.Left)+len(a.Lost) > 0 {
				t.Errorf("%+v", a)
			}
			return show() == before
		})
	}
	run(t, "ip link set team0 down")
	if a := look(); a.Up || len(a.Left) != 0 {
		t.Errorf("down: %+v", a)
	}
	run(t, "ip addr del 10.6.0.1/24 dev team0; ip addr add 10.6.0.7/24 dev team0")
	if a := look(); fmt.Sprint(a.Left) != "[10.6.0.1/24]" {
		t.Errorf("taken while it was down: %+v", a)
	}
	run(t, "ip link set team0 up")
	labtest.Eventually(t, "IPv6 is there",
		func() bool { return len(look().Left) == 0 && strings.Contains(show(), "fd06::2") })
	if now := show(); strings.Contains(now, "10.6.0.1/24") || !strings.Contains(now, "10.60.0.0/16") {
		t.Errorf("is\n%s", now)
	}
	run(t, "ip link del team0")
	if _, err := f.Sync(); !errors.Is(err, ErrNoNIC) {
		t.Errorf("no adapter: %v", err)
	}
}

// TestDownWhileRestored: the adapter goes down and up again while what it lost by going down before is restored. It
// gets all of it back.
func TestDownWhileRestored(t *testing.T) {
	const routes = 100
	w := newWorld(t)
	h := w.open(nil)
	must(t, h.Begin())
	f, index := w.follow(h)
	must(t, h.RecordAdapter(index))
	run(t, fmt.Sprintf(`ip addr add 10.6.0.1/24 dev team0
		for i in $(seq %d); do echo "route add 10.60.$i.0/24 via 10.6.0.2 dev team0"; done | ip -b -`,
		routes))
	link := must1(netlink.LinkByIndex(index))
	have := func() int {
		list := must1(netlink.RouteList(link, unix.AF_INET))
		return len(slices.DeleteFunc(list, func(r netlink.Route) bool { return r.Gw == nil }))
	}
	must1(f.Sync())
	for round := range 3 {
		must(t, netlink.LinkSetDown(link))
		must(t, netlink.LinkSetUp(link))
		first := make(chan error, 1)
		go func() {
			_, err := f.Sync()
			first <- err
		}()
		labtest.Eventually(t, "the first routes are back", func() bool { return have() > 0 })
		must(t, netlink.LinkSetDown(link))
		must(t, netlink.LinkSetUp(link))
		must(t, <-first)
		labtest.Eventually(t, "all routes are back", func() bool {
			if a := must1(f.Sync()); len(a.Lost) > 0 {
				t.Errorf("round %d: lost %v", round, a.Lost)
			}
			return have() == routes
		})
	}
}

// TestSyncBeforeEnd ends a team right after its adapter went down and up, before any Sync, and while it is down.
func TestSyncBeforeEnd(t *testing.T) {
	for _, up := range []bool{true, false} {
		w := newWorld(t)
		run(t, "ip addr add 10.9.0.1/24 dev na; ip -6 addr add fd09::1/64 dev na nodad")
		h := w.open(nil)
		must(t, takeover(w, h))
		l, err := netlink.LinkByName(teamName)
		must(t, err)
		f, err := h.Follow(l.Attrs().Index)
		must(t, err)
		_, err = f.Sync()
		must(t, err)
		run(t, "ip route add 10.60.0.0/16 via 10.9.0.254 dev team0")
		labtest.Eventually(t, "the route is known", func() bool {
			_, err := f.Sync()
			must(t, err)
			return len(f.lastConfig.Routes) > 0
		})
		run(t, "ip link set team0 down")
		if up {
			run(t, "ip link set team0 up")
		}
		must(t, f.SyncBeforeEnd())
		must(t, finish(w, h))
		for _, a := range []string{"10.9.0.1", "fd09::1"} {
			reach(t, a)
		}
		if got := run(t, "ip route show 10.60.0.0/16"); !strings.Contains(got, "dev na") {
			t.Errorf("up %v: route %q", up, got)
		}
	}
}

// TestWentWithTheAdapter removes config from an adapter that vanishes before any Sync: nobody gets it back.
func TestWentWithTheAdapter(t *testing.T) {
	w := newWorld(t)
	run(t, `ip addr add 10.9.0.1/24 dev na; ip addr add 10.9.1.1/24 dev na; ip -6 addr add fd09::1/64 dev na nodad; ip -6 addr add fd09::2/64 dev na nodad
		ip route add 10.60.0.0/16 via 10.9.0.254; ip route add 10.61.0.0/16 via 10.9.0.254`)
	h := w.open(nil)
	must(t, takeover(w, h))
	l, err := netlink.LinkByName(teamName)
	must(t, err)
	f, err := h.Follow(l.Attrs().Index)
	must(t, err)
	_, err = f.Sync()
	must(t, err)
	run(t,
		`ip addr del 10.9.1.1/24 dev team0; ip addr del fd09::2/64 dev team0; ip route del 10.61.0.0/16; ip link del team0`)
	if _, err := f.Sync(); !errors.Is(err, ErrNoNIC) {
		t.Fatal(err)
	}
	must(t, f.JournalLast())
	must(t, finish(w, h))
	got := run(t, "ip addr show dev na; ip route show dev na")
	for what, want := range map[string]bool{"10.9.0.1": true, "fd09::1": true, "10.60.0.0": true, "10.9.1.1": false,
		"fd09::2": false, "10.61.0.0": false} {
		if strings.Contains(got, what) != want {
			t.Errorf("%s: want %v", what, want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
}

// TestCameWhileDown adds addresses to an adapter that is down and then vanishes, with and without a Sync: they are
// known, except one that was removed again.
func TestCameWhileDown(t *testing.T) {
	for _, look := range []bool{true, false} {
		w := newWorld(t)
		h := w.open(nil)
		must(t, h.Begin())
		f, index := w.follow(h)
		must(t, h.RecordAdapter(index))
		run(t, "ip addr add 10.6.0.1/24 dev team0; ip addr add fd06::1/64 dev team0 nodad")
		looked := func() {
			_, err := f.Sync()
			must(t, err)
		}
		looked()
		run(t,
			"ip link set team0 down; ip addr add 10.6.1.2/24 dev team0; ip addr add fd06::2/64 dev team0 nodad; ip "+
				"addr add fd06::3/64 dev team0 nodad")
		want := []string{"10.6.0.1", "10.6.1.2", "fd06::1", "fd06::2", "fd06::3"}
		if look {
			looked()
			run(t, "ip addr del fd06::3/64 dev team0; ip addr del 10.6.0.1/24 dev team0")
			looked()
			want = []string{"10.6.1.2", "fd06::1", "fd06::2"}
		}
		run(t, "ip link del team0")
		labtest.Eventually(t, "what it had is known", func() bool {
			b, _ := f.lastKnown()
			var have []string
			for _, a := range b.Addresses {
				if !rtnl.IsLinkLocal(a) {
					have = append(have, rtnl.AddressPrefix(a).Addr().String())
				}
			}
			slices.Sort(have)
			return slices.Equal(have, want)
		})
	}
}

// TestAddressOfVRRPStaysAway: an IPv6 address as keepalived sets it is not restored when the adapter is up again, nor
// given to a NIC when the adapter is deleted: another host may have it. Others are.
func TestAddressOfVRRPStaysAway(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	must(t, h.Begin())
	f, index := w.follow(h)
	must(t, h.RecordAdapter(index))
	const vrrp, other = "fd06::100", "fd06::1"
	set := "ip addr add fd06::1/64 dev team0 nodad; ip addr add fd06::100/128 dev team0 nodad preferred_lft 0"
	run(t, set)
	sync := func() AdapterState {
		t.Helper()
		a, err := f.Sync()
		must(t, err)
		return a
	}
	sync()
	run(t, "ip link set team0 down")
	sync()
	run(t, "ip link set team0 up")
	labtest.Eventually(t, "the other one is back", func() bool {
		sync()
		return strings.Contains(run(t, "ip -6 addr show dev team0"), other+"/")
	})
	if out := run(t, "ip -6 addr show dev team0"); strings.Contains(out, vrrp) {
		t.Errorf("restored:\n%s", out)
	}
}

// TestArrivalsAreJournalledFirst dies at each change of moving an arrival: Restore gives it to its NIC, and only to
// that.
func TestArrivalsAreJournalledFirst(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for n := 0; ; n++ {
		w := newWorld(t)
		run(t, "ip addr add 10.9.0.1/24 dev na; ip addr add 10.9.0.2/24 dev nb")
		h := w.open(nil)
		must(t, takeover(w, h))
		run(t,
			"ip addr add 10.5.0.7/24 dev nb metric 55; ip route add 10.50.0.0/16 via 10.5.0.1 dev nb proto dhcp; ip "+
				"rule add pref 100 iif nb lookup 77; ip neigh add proxy 10.5.0.99 dev nb; ip addr add 10.9.0.1/24 "+
				"dev nb")
		index := must1(h.nic(teamName)).Index
		must(t, h.Close())
		count, at := 0, ""
		h = w.open(func(point string) error {
			if at = point; count == n {
				return rtnl.ErrInjectedCrash
			}
			count++
			return nil
		})
		_, err := h.AdoptArrivals(index, w.nics, func(Arrival) Move { return Shift })
		if err == nil {
			err = h.SyncRules(index, w.nics)
		}
		if err != nil && !rtnl.IsInjectedCrash(err) {
			t.Fatal(err)
		}
		over := err == nil
		must(t, h.Close())
		_, err = w.open(nil).Restore()
		must(t, err)
		out := run(t, "ip -4 -o addr show dev nb; ip -4 route show dev nb; ip rule show; ip neigh show proxy")
		for _, word := range []string{"10.5.0.7/24", "10.50.0.0/16 via 10.5.0.1 proto dhcp",
			"10.5.0.0/24 proto kernel scope link src 10.5.0.7 metric 55", "iif nb", "10.5.0.99 dev nb"} {
			if !strings.Contains(out, word) {
				t.Errorf("died at %d, %s: no %q in\n%s", n, at, word, out)
			}
		}
		if all := run(t, "ip -o addr show; ip rule show"); n > 0 && strings.Count(all, "10.9.0.1/24") != 1 ||
			strings.Count(all, "10.5.0.7/24") != 1 || strings.Contains(all, teamName) {
			t.Errorf("died at %d:\n%s", n, all)
		}
		run(t, "ip neigh del proxy 10.5.0.99 dev nb; ip rule del pref 100")
		if over || t.Failed() {
			t.Logf("%d changes", n)
			return
		}
	}
}

// TestConnectedRoute compares with the kernel's routes.
func TestConnectedRoute(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	run(t,
		"ip addr add 10.5.0.7/24 dev na; ip addr add 10.4.0.7/16 dev na metric 7; ip addr add 10.3.0.1 peer "+
			"10.3.0.2/32 dev na; ip addr add fd05::1/64 dev na nodad; ip addr add fd04::1/64 dev na nodad metric 9")
	na := must1(h.nic("na"))
	routes := must1(h.rt.LinkRoutes(na.Index))
	for _, a := range must1(h.rt.Addresses(na.Index)) {
		if r := rtnl.ConnectedRoute(a, na.Index); !rtnl.IsLinkLocal(a) && !rtnl.HasRoute(routes, r) {
			t.Errorf("no %s of %s among the kernel's", rtnl.RouteText(r), rtnl.AddressPrefix(a))
		}
	}
}

func FuzzEvents(f *testing.F) {
	route := append(make([]byte, 16), rtnl.NewDefaultRoute(netip.MustParseAddr("10.0.0.1"), 7).Serialize()...)
	binary.NativeEndian.PutUint32(route, uint32(len(route)))
	binary.NativeEndian.PutUint16(route[4:], unix.RTM_NEWROUTE)
	f.Add(route)
	f.Fuzz(func(t *testing.T, b []byte) {
		fl := &Follower{adapter: 7, members: map[int]bool{8: true}, up: true}
		n := &Subscription{mask: AnyChange, c: make(chan struct{}, 1)}
		fl.subscriptions = []*Subscription{n}
		rtnl.EachMessage(b, fl.handle)
		fl.setUp(false)
		rtnl.EachMessage(b, fl.handle)
		fl.setUp(true)
		rtnl.EachMessage(b, fl.handle)
	})
}
