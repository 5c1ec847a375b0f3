// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/settings"
	"nicteam/modes"
)

func TestAutoMTU(t *testing.T) {
	used, idle := []netip.Prefix{netip.MustParsePrefix("10.9.0.1/24")},
		[]netip.Prefix{netip.MustParsePrefix("fe80::1/64")}
	for _, test := range []struct {
		name string
		nics []NIC
		want int
	}{
		{"all the same", []NIC{{MTU: 1500}, {MTU: 1500}}, 1500},
		{"the one in use is larger", []NIC{{MTU: 1500, Addresses: idle}, {MTU: 9000, Addresses: used}}, 9000},
		{"the one in use is smaller", []NIC{{MTU: 1500, Addresses: used}, {MTU: 9000, Addresses: idle}}, 1500},
		{"two in use", []NIC{{MTU: 1500, Addresses: used}, {MTU: 2000, Addresses: used}, {MTU: 9000}}, 2000},
		{"none in use", []NIC{{MTU: 1200}, {MTU: 9000}, {MTU: 1500, Addresses: idle}}, 9000},
	} {
		if got := AutoMTU(test.nics); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// mtuOf returns a link's MTU.
func mtuOf(t *testing.T, h *Host, nic string) int {
	t.Helper()
	n, err := h.nic(nic)
	must(t, err)
	return n.MTU
}

func indexOf(t *testing.T, h *Host, nic string) int {
	t.Helper()
	n, err := h.nic(nic)
	must(t, err)
	return n.Index
}

// teamOf makes a team of na and nb with MTU 1500 and no addresses.
func (w *world) teamOf(h *Host) (adapter int) {
	w.t.Helper()
	must(w.t, h.Begin())
	adapter = w.tap()
	must(w.t, h.RecordAdapter(adapter))
	for _, n := range w.nics {
		_, err := h.RecordMember(n)
		must(w.t, err)
		must(w.t, h.Strip(n, MemberSetup{MTU: 1500}))
	}
	return adapter
}

func TestSetMTU(t *testing.T) {
	w := newWorld(t)
	broken := "nothing"
	h := w.open(func(point string) error {
		if strings.Contains(point, broken) {
			return errors.New(point + ": invalid argument")
		}
		return nil
	})
	before := snapshot(t)
	adapter := w.teamOf(h)
	is := func(what string, mtu int) {
		t.Helper()
		for _, n := range []string{"na", "nb", teamName} {
			if got := mtuOf(t, h, n); got != mtu {
				t.Errorf("%s: %s has %d, want %d", what, n, got, mtu)
			}
		}
	}
	must(t, h.SetMTU(adapter, 3000, nil))
	is("larger", 3000)
	must(t, h.SetMTU(adapter, 1400, nil))
	is("smaller", 1400)

	// A driver refuses although it announced no limit.
	for _, mtu := range []int{9000, 1300} {
		broken = "of nb to "
		err := h.SetMTU(adapter, mtu, nil)
		broken = "nothing"
		if err == nil || !strings.Contains(err.Error(), "nb") {
			t.Errorf("to %d: %v", mtu, err)
		}
		is("refused by the second", 1400)
	}
	// Somebody set the adapter's.
	run(t, "ip link set "+teamName+" mtu 2000")
	must(t, h.SetMTU(adapter, 2000, nil))
	is("after the adapter", 2000)

	must(t, finish(w, h))
	compare(t, before, snapshot(t))
}

// The first NIC resets: the second waits until the first has its link again.
func TestSetMTUOneNICAfterTheOther(t *testing.T) {
	w := newWorld(t)
	met := false
	h := w.open(nil)
	adapter := w.teamOf(h)
	back := make(chan error, 1)
	h.o.faultPoint = func(point string) error {
		switch point {
		case "set MTU of na to 4000":
			run(t, "ip link set pna down")
			time.AfterFunc(200*time.Millisecond,
				func() { back <- exec.Command("ip", "link", "set", "pna", "up").Run() })
		case "set MTU of nb to 4000":
			if met = true; !h.probe.carrier(indexOf(t, h, "na")) {
				t.Error("nb gets another MTU while na has no link")
			}
		}
		return nil
	}
	must(t, h.SetMTU(adapter, 4000, nil))
	must(t, <-back)
	h.o.faultPoint = nil
	if !met {
		t.Error("nb got no other MTU")
	}
	must(t, finish(w, h))
}

// TestSetMTUTellsUnlocked: came runs without the lock.
func TestSetMTUTellsUnlocked(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	adapter := w.teamOf(h)
	told, free := 0, 0
	must(t, h.SetMTU(adapter, 1400, func() {
		told++
		if h.mu.TryLock() {
			free++
			h.mu.Unlock()
		}
	}))
	if told != len(w.nics) || free != told {
		t.Errorf("told of %d NICs, %d times while others could use the host", told, free)
	}
	must(t, finish(w, h))
}

func TestSetMTUIsRefusedBefore(t *testing.T) {
	w := newWorld(t)
	run(t, "ip link add link nc name mv9 type macvlan; ip link set mv9 up")
	t.Cleanup(func() { exec.Command("ip", "link", "del", "mv9").Run() })
	w.nics = append(w.nics, "mv9")
	h := w.open(nil)
	adapter := w.teamOf(h)
	run(t, "ip -6 addr add fe80::7/64 dev "+teamName+" nodad")
	for mtu, why := range map[int]string{
		1501: "NIC mv9 takes",
		1279: "IPv6 needs at least 1280, and team0 has fe80::7/64",
	} {
		var p *api.Problem
		err := h.SetMTU(adapter, mtu, nil)
		if !errors.As(err, &p) || p.Kind != api.Usage || !strings.Contains(p.Why, why) || p.Fix == "" {
			t.Errorf("%d: %v", mtu, err)
		}
		for _, n := range append(w.nics, teamName) {
			if got := mtuOf(t, h, n); got != 1500 {
				t.Errorf("%s has %d", n, got)
			}
		}
	}
	must(t, finish(w, h))
}

// The MTU reaches IPv6's minimum, where the kernel would start IPv6.
func TestStripKeepsIPv6Off(t *testing.T) {
	w := newWorld(t)
	run(t, "ip link set nb mtu 1200")
	h := w.open(nil)
	before := snapshot(t)
	adapter := w.teamOf(h)
	off := func(when string) {
		t.Helper()
		if v, ok := readSysctl("nb", disableIPv6); !ok || v != "1" {
			t.Errorf("%s: disable_ipv6 of nb is %q", when, v)
		}
	}
	off("stripped")
	run(t, "echo 1 >/proc/sys/net/ipv6/conf/"+teamName+"/disable_ipv6")
	must(t, h.SetMTU(adapter, 1000, nil))
	must(t, h.SetMTU(adapter, 1500, nil))
	off("and set")
	must(t, finish(w, h))
	compare(t, before, snapshot(t))
}

func TestCheckMTU(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	run(t, "ip link add link nc name mv9 type macvlan; ip link set mv9 up")
	t.Cleanup(func() { exec.Command("ip", "link", "del", "mv9").Run() })
	settled(t)
	with := func(c settings.Config, f func(*settings.Config)) settings.Config { f(&c); return c }
	small := func(c *settings.Config) { c.MTU = 1000 }
	for _, test := range []struct {
		name   string
		before string
		config settings.Config
		kind   api.ExitCode
		words  []string // of the problem, or of the warnings where kind is 0
	}{
		{"cannot", "ip link set na mtu 9000", configOf("na", "mv9"), api.Conflict,
			[]string{"NIC mv9 cannot have MTU 9000", "na has it", "--mtu 1500"}},
		{"cannot, for IPv6", "ip link set nc mtu 1200; ip -6 addr add fd09::1/64 dev na nodad", configOf("na", "mv9"),
			api.Conflict, []string{"leave mv9 out: IPv6"}},
		{"raised", "ip link set na mtu 9000; ip addr add 10.9.0.1/24 dev na", configOf("nb", "na"), 0,
			[]string{"the MTU of nb changes from 1500 to 9000, that of na"}},
		{"lowered", "ip link set nb mtu 9000; ip addr add 10.9.0.1/24 dev na", configOf("nb", "na"), 0,
			[]string{"the MTU of nb changes from 9000 to 1500, that of na"}},
		{"link-local of a NIC in use", "ip addr add 10.9.0.1/24 dev na", with(configOf("na"), small), api.Usage,
			[]string{"fe80:", "--mtu 1280", "disable_ipv6"}},
		{"IPv6 of a NIC that nobody uses",
			"ip addr add 10.9.0.1/24 dev na; echo 1 >/proc/sys/net/ipv6/conf/na/disable_ipv6",
			with(configOf("na", "nb"), small), 0, []string{"the MTU of na changes from 1500 to 1000: connections"}},
		{"IPv6 given", "", with(configOf("na"), func(c *settings.Config) {
			c.Address, c.Addresses, c.MTU = settings.AddressGiven, []netip.Prefix{netip.MustParsePrefix("fd09::7/64")},
				1000
		}), api.Usage, []string{"fd09::7/64"}},
		{"one MAC", "ip link set nb address $(cat /sys/class/net/na/address)", configOf("na", "nb"), api.Conflict,
			[]string{"na and nb have the same MAC", "ip link set nb address"}},
		{"one MAC for all", "ip link set nb address $(cat /sys/class/net/na/address)",
			with(configOf("na", "nb"), func(c *settings.Config) { c.Mode = modes.XOR }), 0,
			[]string{"na and nb have the same MAC"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			mac := strings.TrimSpace(run(t, "cat /sys/class/net/nb/address"))
			run(t, test.before)
			t.Cleanup(func() {
				run(t, `for n in na nb nc mv9; do ip link set $n mtu 1500; echo 0 >/proc/sys/net/ipv6/conf/$n/disable_ipv6; done
					ip addr flush dev na scope global; ip link set nb address `+mac)
				settled(t)
			})
			h := w.open(nil)
			warnings, p := h.Check(test.config, nil, ConsentGiven)
			said := strings.Join(warnings, "; ")
			if p != nil {
				said = p.What + "; " + p.Why + "; " + p.Fix
			}
			if (p != nil) != (test.kind != 0) || p != nil && p.Kind != test.kind {
				t.Fatalf("problem %v", p)
			}
			for _, word := range test.words {
				if !strings.Contains(said, word) {
					t.Errorf("no %q in %q", word, said)
				}
			}
			if test.words == nil && strings.Contains(said, "MTU") {
				t.Errorf("said %q", said)
			}
		})
	}
}

// TestNICThatGetsAnotherMAC is restored: it is the same NIC.
func TestNICThatGetsAnotherMAC(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, donate("na")(w, h))
	run(t, "ip link set na address 02:00:00:00:ee:01")
	labtest.Eventually(t, "the change is seen", func() bool {
		f, err := h.ReadLink(indexOf(t, h, "na"))
		return err == nil && f.MAC.String() == "02:00:00:00:ee:01" && f.Name == "na" && f.MTU == 1400
	})
	// It no longer has the MAC that it gave the adapter, so it may be up.
	if note, err := h.Release("na", true); err != nil || note != "" {
		t.Errorf("release: %q, %v", note, err)
	}
	if n, err := h.NIC("na"); err != nil || !n.AdminUp {
		t.Errorf("released it is %+v, %v", n, err)
	}
	must(t, finish(w, h))
	if got := run(t, "ip -4 addr show dev na"); !strings.Contains(got, "10.9.0.1/24") {
		t.Errorf("after give-back:\n%s", got)
	}
	if _, err := h.ReadLink(4711); !errors.Is(err, ErrNoNIC) {
		t.Errorf("facts of no NIC: %v", err)
	}
}
