// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"

	"nicteam/internal/rtnl"
	"nicteam/internal/tchook"

	"nicteam/internal/lab/labtest"
)

// crashAt returns a fault-point function that dies at the nth point, and where it did.
func crashAt(n int) (at func(string) error, where *string) {
	where = new(string)
	count := 0
	return func(point string) error {
		if count++; count >= n {
			if *where == "" {
				*where = point
			}
			return fmt.Errorf("%s: %w", point, rtnl.ErrInjectedCrash)
		}
		return nil
	}, where
}

// setFaultPoint installs it in an open host.
func (h *Host) setFaultPoint(at func(string) error) {
	h.o.faultPoint = at
}

// crashScenarios are steps of a team's process; the last one is interrupted.
var crashScenarios = []struct {
	name  string
	steps []func(*world, *Host) error
}{
	{"create", []func(*world, *Host) error{takeover}},
	{"create without addresses", []func(*world, *Host) error{takeoverKeeping("none")}},
	{"create with addresses", []func(*world, *Host) error{takeoverKeeping("given")}},
	{"add", []func(*world, *Host) error{takeoverOf("na"), add("nb")}},
	{"remove", []func(*world, *Host) error{takeover, remove("nb")}},
	{"remove donor", []func(*world, *Host) error{takeover, donate("na"), remove("na")}},
	{"add again", []func(*world, *Host) error{takeover, remove("nb"), add("nb")}},
	{"delete after remove", []func(*world, *Host) error{takeover, donate("na"), remove("na"), finish}},
	{"delete", []func(*world, *Host) error{takeover, finish}},
	{"create by clsact", []func(*world, *Host) error{by(tchook.ByClsact), takeover}},
	{"delete by clsact", []func(*world, *Host) error{by(tchook.ByClsact), takeover, finish}},
	{"attach", []func(*world, *Host) error{takeover, attachAll}},
	{"delete attached", []func(*world, *Host) error{takeover, attachAll, finish}},
	{"attach by clsact", []func(*world, *Host) error{by(tchook.ByClsact), takeover, attachAll}},
	{"attach by clsact, isolated by nft", []func(*world, *Host) error{by(tchook.ByNft), takeover, by(tchook.ByClsact),
		attachAll}},
	{"remove attached by clsact", []func(*world, *Host) error{by(tchook.ByClsact), takeover, attachAll, remove("nb")}},
	{"delete attached by clsact", []func(*world, *Host) error{by(tchook.ByClsact), takeover, attachAll, finish}},
	{"take up attached by clsact", []func(*world, *Host) error{by(tchook.ByClsact), takeover, attachAll, nextProcess}},
	{"attach again by clsact", []func(*world, *Host) error{by(tchook.ByClsact), takeover, attachAll, nextProcess,
		attachAll}},
	{"create by nft", []func(*world, *Host) error{by(tchook.ByNft), takeover}},
	{"delete by nft", []func(*world, *Host) error{by(tchook.ByNft), takeover, finish}},
}

func by(m tchook.Method) func(*world, *Host) error {
	return func(_ *world, h *Host) error { h.hooks.Method = m; return nil }
}

var everywhere = flag.Bool("everywhere", false,
	"TestDeathAnywhere: die at every point, not at every 101st from one that is drawn (minutes)")

// TestDeathAnywhere dies at fault points (with -everywhere at every one), and once more in Restore. After another
// Restore the host is as before.
func TestDeathAnywhere(t *testing.T) {
	for _, life := range crashScenarios {
		t.Run(life.name, func(t *testing.T) {
			if !labtest.Apart(t) {
				return
			}
			w := newWorld(t)
			w.configure()
			before := snapshot(t)
			last := len(life.steps) - 1
			stride := 101
			if *everywhere {
				stride = 1
			}
			for n := 1 + rand.IntN(stride); !t.Failed(); n += stride {
				h := w.open(nil)
				for _, step := range life.steps[:last] {
					must(t, step(w, h))
				}
				at, where := crashAt(n)
				h.setFaultPoint(at)
				err := life.steps[last](w, h)
				if (*where != "") != errors.Is(err, rtnl.ErrInjectedCrash) || *where == "" && err != nil {
					t.Fatalf("point %d %q: %v", n, *where, err)
				}
				h.Close() // what the kernel does with a dead process's descriptors

				h = w.open(nil)
				twice, again := crashAt(n * 7 % 50)
				h.setFaultPoint(twice)
				if _, err := h.Restore(); err != nil && *again == "" {
					t.Errorf("restore: %v", err)
				}
				h.Close()

				h = w.open(nil)
				out, err := h.Restore()
				if err != nil {
					t.Errorf("restore: %v", err)
				}
				h.Close()
				compare(t, before, snapshot(t))
				if t.Failed() {
					t.Logf("died at point %d, %q, and in restore at %q; notes: %q", n, *where, *again, out.Notes)
				}
				if *where == "" {
					break
				}
			}
		})
	}
}

// TestAddressesNeverAbsent checks before every change of takeover and give-back that each address, and the default
// route, is on some link.
func TestAddressesNeverAbsent(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	w := newWorld(t)
	w.configure()
	watcher := w.open(nil)
	had := everyAddress(t, watcher)
	look := func(point string) error {
		have := everyAddress(t, watcher)
		for a := range had {
			if !have[a] {
				t.Errorf("before %q: %s is nowhere", point, a)
			}
		}
		if run(t, "ip route show default metric 100") == "" || run(t, "ip -6 route show default") == "" {
			t.Errorf("before %q: no default route", point)
		}
		return nil
	}
	h := w.open(look)
	must(t, takeover(w, h))
	must(t, finish(w, h))
	if len(had) < 10 {
		t.Errorf("watched %d addresses only", len(had))
	}
}

func everyAddress(t *testing.T, h *Host) map[string]bool {
	t.Helper()
	nics, err := h.NICs()
	must(t, err)
	have := map[string]bool{}
	for _, n := range nics {
		for _, p := range n.Addresses {
			if !p.Addr().IsLinkLocalUnicast() {
				have[p.String()] = true
			}
		}
	}
	return have
}

// TestAdapterBelowOthers dies between the creation of the adapter and its record, on a host with a NIC of a higher
// ifindex from another namespace: the adapter is recognised.
func TestAdapterBelowOthers(t *testing.T) {
	w := newWorld(t)
	run(t, "ip link del nc; ip link add nc index 54321 type veth peer name pnc")
	h := w.open(nil)
	must(t, h.Begin())
	if index := w.tap(); index > 54321 {
		t.Skipf("this kernel gave the adapter index %d", index)
	}
	h.Close()
	h = w.open(nil)
	out, err := h.Restore()
	must(t, err)
	if out.Adapter != teamName || exec.Command("ip", "link", "show", teamName).Run() == nil {
		t.Errorf("the adapter is left: %+v", out)
	}
}
