// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"nicteam/internal/lab/labtest"
	"nicteam/internal/settings"
)

// takeover does what create does.
func takeover(w *world, h *Host) error { return w.takeover(h, "auto", w.nics...) }

func takeoverOf(nics ...string) func(*world, *Host) error {
	return func(w *world, h *Host) error { return w.takeover(h, "auto", nics...) }
}

func takeoverKeeping(policy string) func(*world, *Host) error {
	return func(w *world, h *Host) error { return w.takeover(h, policy, w.nics...) }
}

func (w *world) takeover(h *Host, policy string, nics ...string) error {
	if err := h.Begin(); err != nil {
		return err
	}
	if err := h.faultPoint("make adapter"); err != nil {
		return err
	}
	adapter := w.tap()
	if err := h.RecordAdapter(adapter); err != nil {
		return err
	}
	if _, err := h.RecordMembers(nics); err != nil {
		return err
	}
	run(w.t, "ip link set "+teamName+" down")
	if _, err := h.CopySettings(adapter, h.DefaultRouteMember(nics), nics); err != nil {
		return err
	}
	if err := h.BringUp(adapter); err != nil {
		return err
	}
	switch policy {
	case "auto":
		if err := h.Adopt(adapter, nics); err != nil {
			return err
		}
	case "given":
		given := []netip.Prefix{netip.MustParsePrefix("10.6.0.1/24"), netip.MustParsePrefix("fd06::1/64")}
		if err := h.AssignAddresses(adapter, given, netip.MustParseAddr("10.6.0.254")); err != nil {
			return err
		}
	}
	if err := h.StripAll(nics, MemberSetup{MTU: 1400, GRO: settings.OffloadOff}); err != nil {
		return err
	}
	for _, n := range nics {
		if err := isolateNamed(h, n); err != nil {
			return err
		}
	}
	return nil
}

func isolateNamed(h *Host, name string) error {
	n, err := h.nic(name)
	if err != nil {
		return err
	}
	return h.Isolate(n.Index)
}

// add does what add does.
func add(name string) func(*world, *Host) error {
	return func(w *world, h *Host) error {
		if _, err := h.RecordMember(name); err != nil {
			return err
		}
		if err := isolateNamed(h, name); err != nil {
			return err
		}
		l, err := netlink.LinkByName(teamName)
		if err != nil {
			return err
		}
		if err := h.Adopt(l.Attrs().Index, []string{name}); err != nil {
			return err
		}
		return h.Strip(name, MemberSetup{MTU: 1400, GRO: settings.OffloadOff})
	}
}

func remove(name string) func(*world, *Host) error {
	return func(_ *world, h *Host) error {
		_, err := h.Release(name, false)
		return err
	}
}

// donate gives the adapter a NIC's MAC, as --mac keep does.
func donate(name string) func(*world, *Host) error {
	return func(w *world, h *Host) error {
		n, err := h.nic(name)
		if err != nil {
			return err
		}
		return exec.Command("ip", "link", "set", teamName, "address", n.MAC.String()).Run()
	}
}

func finish(_ *world, h *Host) error {
	if _, err := h.ReleaseAll(nil); err != nil {
		return err
	}
	_, err := h.Finish()
	return err
}

func TestTakeoverAndBack(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, policy := range []string{"auto", "none", "given"} {
		t.Run(policy, func(t *testing.T) {
			w := newWorld(t)
			w.configure()
			before := snapshot(t)
			h := w.open(nil)
			must(t, w.takeover(h, policy, w.nics...))
			for _, n := range w.nics {
				if h.features(n)[gro] {
					t.Errorf("%s still merges what it receives", n)
				}
				if a := run(t, "ip addr show dev "+n+" | grep inet || true"); a != "" {
					t.Errorf("%s still has addresses:\n%s", n, a)
				}
			}
			stops := 0
			out, err := h.ReleaseAll(func() { stops++ })
			must(t, err)
			if stops != 1 {
				t.Errorf("stopForwarding was called %d times", stops)
			}
			for _, n := range out.Notes {
				t.Error("note:", n)
			}
			adapter, err := h.Finish()
			must(t, err)
			if adapter != teamName {
				t.Errorf("deleted adapter %q", adapter)
			}
			compare(t, before, snapshot(t))
		})
	}
}

// TestOneAddressOnTwoNICs: a spare NIC with the same address; both get it back.
func TestOneAddressOnTwoNICs(t *testing.T) {
	w := newWorld(t)
	run(t,
		`for n in na nb; do ip addr add 10.9.0.1/24 dev $n; ip addr add fd09::1/64 dev $n nodad; done; ip addr add 10.9.0.2/24 dev nb`)
	settled(t)
	before := snapshot(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, finish(w, h))
	compare(t, before, snapshot(t))
}

// TestTwoNICsInOneSubnet: after the adapter was down and up it has one connected route for both addresses. Each NIC
// gets its own back, with the route over a gateway there.
func TestTwoNICsInOneSubnet(t *testing.T) {
	w := newWorld(t)
	run(t, `ip addr add 10.9.0.1/24 dev na; ip addr add 10.9.0.2/24 dev nb
		ip route add default via 10.9.0.254 dev na metric 100; ip route add default via 10.9.0.254 dev nb metric 200`)
	settled(t)
	before := run(t, "ip -4 -o addr; ip -4 route")
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t, `ip link set team0 down; ip link set team0 up
		ip route add default via 10.9.0.254 dev team0 metric 100; ip route add default via 10.9.0.254 dev team0 metric 200`)
	must(t, finish(w, h))
	if after := run(t, "ip -4 -o addr; ip -4 route"); after != before {
		t.Errorf("was\n%s\nis\n%s", before, after)
	}
}

// TestDownNIC takes over a NIC that is down: its address works on the adapter, and returns to a NIC that is down.
func TestDownNIC(t *testing.T) {
	w := newWorld(t)
	run(t, "ip link set na down; ip addr add 10.9.0.1/24 dev na")
	before := snapshot(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	if r := run(t, "ip route show 10.9.0.0/24"); !strings.Contains(r, "dev "+teamName) {
		t.Errorf("the adapter's subnet is not routed: %q", r)
	}
	must(t, finish(w, h))
	compare(t, before, snapshot(t))
}

// TestDeadHop takes over a route with two next hops, one on a NIC that is down: the other one returns.
func TestDeadHop(t *testing.T) {
	w := newWorld(t)
	run(t, `ip addr add 10.9.0.1/24 dev na; ip addr add 10.8.0.1/24 dev nb
		ip route add 10.22.0.0/16 nexthop via 10.9.0.253 dev na weight 2 nexthop via 10.8.0.253 dev nb weight 3
		ip link set na down`)
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, finish(w, h))
	if got := run(t, "ip route show 10.22.0.0/16"); !strings.Contains(got, "via 10.8.0.253 dev nb") {
		t.Errorf("the route is %q", got)
	}
}

// TestChangesSince restores what the adapter has at the end, not what it got at the start.
func TestChangesSince(t *testing.T) {
	w := newWorld(t)
	run(t,
		"ip addr add 10.9.0.1/24 dev na; ip addr add 10.8.0.1/24 dev na; ip addr add 10.7.7.1/24 dev nb; ip route "+
			"add default via 10.9.0.254 dev na")
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t, `ip addr add 10.5.0.1/24 dev team0; ip -6 addr add fd05::1/64 dev team0 nodad; ip addr del 10.8.0.1/24 dev team0
		ip route add 10.50.0.0/16 via 10.5.0.254; ip route replace default via 10.9.0.253 dev team0`)
	must(t, finish(w, h))
	got := run(t,
		"ip -br -4 addr show dev na; ip -br -4 addr show dev nb; ip -6 addr show dev na scope global; ip route show "+
			"10.50.0.0/16; ip route show default")
	for _, want := range []string{"10.9.0.1/24", "10.5.0.1/24", "fd05::1/64", "10.50.0.0/16 via 10.5.0.254 dev na",
		"default via 10.9.0.253 dev na", "10.7.7.1/24"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	for _, gone := range []string{"10.8.0.1", "10.9.0.254"} {
		if strings.Contains(got, gone) {
			t.Errorf("%q came back:\n%s", gone, got)
		}
	}
}

// TestAdapterWentDown ends a team whose adapter went down and up, before any Sync: the NICs get their IPv6 addresses
// and routes back, except one that somebody removed.
func TestAdapterWentDown(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for name, how := range map[string]string{"down": "ip link set team0 down",
		"down and up": "ip link set team0 down; ip link set team0 up"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			run(t, `ip addr add 10.9.0.1/24 dev na; ip -6 addr add fd09::1/64 dev na nodad; ip -6 addr add fd09::2/64 dev na nodad; ip -6 addr add fd08::1/64 dev nb nodad
				ip route add default via 10.9.0.254 dev na; ip -6 route add default via fd09::fe dev na`)
			h := w.open(nil)
			must(t, takeover(w, h))
			run(t, how)
			must(t, finish(w, h))
			got := run(t,
				"ip -br -6 addr show dev na scope global; ip -br -6 addr show dev nb; ip route show default; ip -6 "+
					"route show default")
			for _, want := range []string{"fd09::1/64", "fd09::2/64", "fd08::1/64", "default via 10.9.0.254 dev na",
				"default via fd09::fe dev na"} {
				if !strings.Contains(got, want) {
					t.Errorf("no %q in:\n%s", want, got)
				}
			}
		})
	}
	w := newWorld(t)
	run(t, "ip -6 addr add fd09::1/64 dev na nodad; ip -6 addr add fd09::2/64 dev na nodad")
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t, "ip -6 addr del fd09::2/64 dev team0")
	must(t, finish(w, h))
	if got := run(t, "ip -6 addr show dev na"); strings.Contains(got, "fd09::2") || !strings.Contains(got, "fd09::1") {
		t.Errorf("fd09::2 was taken away, and na has:\n%s", got)
	}
}

// TestStripLeavesWhatCameLater: without moved addresses, one that somebody added to a NIC while no process ran stays.
func TestStripLeavesWhatCameLater(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	h := w.open(nil)
	must(t, h.Begin())
	must(t, h.RecordAdapter(w.tap()))
	must1(h.RecordMember("na"))
	must(t, h.Strip("na", MemberSetup{MTU: 1500}))
	run(t, "ip addr add 10.50.0.1/32 dev na; ip route add 10.60.0.0/16 dev na")
	for _, when := range []string{"stripped again", "given back"} {
		if when == "given back" {
			must(t, finish(w, h))
		} else {
			must(t, h.Strip("na", MemberSetup{MTU: 1500}))
		}
		got := run(t, "ip -4 -br addr show dev na")
		if !strings.Contains(got, "10.50.0.1") || strings.Contains(got, "10.9.0.1") != (when == "given back") {
			t.Errorf("%s: na has %s", when, got)
		}
		if got := run(t, "ip route show 10.60.0.0/16"); got == "" {
			t.Errorf("%s: the route is lost", when)
		}
	}
}

// TestRecordedBeforeAnythingWasDone continues with a team whose process died before it changed a NIC: what others added
// since is there in the end.
func TestRecordedBeforeAnythingWasDone(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	for _, policy := range []string{"auto", "none"} {
		w := newWorld(t)
		w.configure()
		h := w.open(nil)
		must(t, h.Begin())
		must1(h.RecordMember("na"))
		h.Close()
		run(t, `ip addr add 10.50.0.1/32 dev na; ip -6 addr add fd50::1/64 dev na nodad; ip route add 10.60.0.0/16 via 10.9.0.253 dev na
			ip neigh add 10.9.0.201 lladdr 02:00:00:00:00:c7 dev na nud permanent; ip addr del 10.9.3.1/24 dev na; ip link set na mtu 1450`)
		settled(t)
		before := snapshot(t)
		h = w.open(nil)
		must(t, w.takeover(h, policy, w.nics...))
		must(t, finish(w, h))
		compare(t, before, snapshot(t))
	}
}

// TestInheritorWithUnmovedAddresses: later config of the adapter goes to a NIC whose own addresses never moved; it has
// both.
func TestInheritorWithUnmovedAddresses(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na; ip route add default via 10.9.0.254")
	h := w.open(nil)
	must(t, h.Begin())
	f, index := w.follow(h)
	must(t, h.RecordAdapter(index))
	must1(h.RecordMember("na"))
	must(t, h.Strip("na", MemberSetup{}))
	run(t, "ip link set team0 down; ip addr add 10.50.0.1/24 dev team0")
	must(t, f.SyncBeforeEnd())
	must(t, finish(w, h))
	for _, a := range []string{"10.9.0.1", "10.50.0.1"} {
		reach(t, a)
	}
}

// TestReturnedNICKeepsItsRoutes: a NIC that left and returned as a new device gets its routes.
func TestReturnedNICKeepsItsRoutes(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na; ip route add 10.60.0.0/16 via 10.9.0.254")
	na := must1(netlink.LinkByName("na")).Attrs().HardwareAddr
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t, "ip link del na")
	must1(h.Release("na", false))
	run(t, fmt.Sprintf("ip link add na address %v type veth peer name pna; ip link set na up; ip link set pna up", na))
	must(t, add("na")(w, h))
	must(t, finish(w, h))
	if got := run(t, "ip route show 10.60.0.0/16"); !strings.Contains(got, "dev na") {
		t.Errorf("route: %q", got)
	}
}

// TestTakenWhileNobodyLooked removes addresses from the adapter while no process runs. The adapter goes down, and the
// team ends: nobody gets them back.
func TestTakenWhileNobodyLooked(t *testing.T) {
	w := newWorld(t)
	run(t,
		"ip addr add 10.9.0.1/24 dev na; ip addr add 10.9.1.1/24 dev na; ip -6 addr add fd09::1/64 dev na nodad; ip "+
			"-6 addr add fd09::2/64 dev na nodad")
	h := w.open(nil)
	must(t, takeover(w, h))
	h.Close()
	run(t, "ip addr del 10.9.1.1/24 dev team0; ip -6 addr del fd09::2/64 dev team0")
	h = w.open(nil)
	must(t, h.Begin())
	must(t, h.JournalRemoved(must1(netlink.LinkByName(teamName)).Attrs().Index))
	run(t, "ip link set team0 down")
	must(t, finish(w, h))
	got := run(t, "ip addr show dev na")
	for a, want := range map[string]bool{"10.9.0.1": true, "fd09::1": true, "10.9.1.1": false, "fd09::2": false} {
		if strings.Contains(got, a+"/") != want {
			t.Errorf("%s: want %v, na has %s", a, want, got)
		}
	}
}

// TestCableCameLater restores a NIC that had no carrier, and so no link-local address, at the takeover: it has one.
func TestCableCameLater(t *testing.T) {
	for _, policy := range []string{"auto", "none"} {
		w := newWorld(t)
		run(t, "ip link set pna down; ip link set na down; ip link set na up; ip addr add 10.9.0.1/24 dev na")
		if got := run(t, "ip -6 addr show dev na"); got != "" {
			t.Fatalf("na has %s", got)
		}
		h := w.open(nil)
		must(t, w.takeover(h, policy, w.nics...))
		run(t, "ip link set pna up")
		must(t, finish(w, h))
		labtest.Eventually(t, "na has a link-local address", func() bool {
			return strings.Contains(run(t, "ip -6 addr show dev na; ip -6 route show dev na"), "fe80::/64")
		})
	}
}

// TestSettingsOfAReturnedNIC: a member that returned as a new device gets its settings in the end, except one that was
// changed since.
func TestSettingsOfAReturnedNIC(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	run(t, `ip addr add 10.9.0.1/24 dev na; cd /proc/sys/net
		for key in ipv4/conf/na/medium_id ipv4/neigh/na/proxy_qlen ipv6/conf/na/dad_transmits ipv6/conf/na/hop_limit; do echo 3 >$key; done`)
	na := must1(netlink.LinkByName("na")).Attrs().HardwareAddr
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t, fmt.Sprintf(`ip link del na; ip link add na address %v type veth peer name pna; ip link set na up; ip link set pna up
		echo 17 >/proc/sys/net/ipv6/conf/na/hop_limit; echo 17 >/proc/sys/net/ipv4/conf/na/medium_id`, na))
	must(t, finish(w, h))
	for key, want := range map[string]string{"ipv4/medium_id": "17", "ipv4/neigh/proxy_qlen": "3",
		"ipv6/dad_transmits": "3", "ipv6/hop_limit": "17"} {
		if got, _ := readSysctl("na", key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
}

// TestRelease releases one member while the team goes on: it gets its settings, and not the addresses.
func TestRelease(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	w.configure()
	before := snapshot(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, donate("na")(w, h))
	note, err := h.Release("nb", false)
	must(t, err)
	if note != "" {
		t.Errorf("note for nb: %s", note)
	}
	nb, err := h.NIC("nb")
	must(t, err)
	if !nb.AdminUp || nb.MTU != 1450 {
		t.Errorf("nb is %+v", nb)
	}
	for _, p := range nb.Addresses {
		if !p.Addr().IsLinkLocalUnicast() {
			t.Errorf("nb got %s, which the adapter still has", p)
		}
	}
	if note, err = h.Release("na", false); err != nil || !strings.Contains(note, "down") {
		t.Errorf("release of the NIC that lent its MAC: %q, %v", note, err)
	}
	na, err := h.NIC("na")
	must(t, err)
	if na.AdminUp {
		t.Error("the NIC that lent its MAC is up")
	}
	must(t, finish(w, h))
	compare(t, before, snapshot(t))
}

// TestRecordOnce: RecordMember after a restart does not replace the original record.
func TestRecordOnce(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	w.configure()
	before := snapshot(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	h.Close()
	h = w.open(nil)
	if !h.HasJournal() {
		t.Fatal("no journal found")
	}
	must(t, h.Begin())
	m, err := h.RecordMember("na")
	must(t, err)
	if len(m.Addresses) < 5 {
		t.Errorf("recorded anew with %d addresses", len(m.Addresses))
	}
	must(t, isolateNamed(h, "na"))
	must(t, finish(w, h))
	compare(t, before, snapshot(t))
}

// TestWrongNIC: another NIC of a member's name gets nothing; the member's config goes to a present one.
func TestWrongNIC(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na; ip addr add 10.8.0.1/24 dev nb")
	h := w.open(nil)
	must(t, takeover(w, h))
	h.Close()
	run(t, "ip link del na; ip link add na type veth peer name pna; ip link set na up; ip link set pna up")
	h = w.open(nil)
	out, err := h.Restore()
	must(t, err)
	if len(out.Notes) == 0 {
		t.Error("nothing is said of the NIC that is gone")
	}
	if got := run(t, "ip -br -4 addr show na"); strings.Contains(got, "10.") {
		t.Errorf("the other NIC has\n%s", got)
	}
	if got := run(t, "ip -br -4 addr show nb"); !strings.Contains(got, "10.9.0.1") ||
		!strings.Contains(got, "10.8.0.1") {
		t.Errorf("the member that is there has\n%s", got)
	}
}
