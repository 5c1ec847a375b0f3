// SPDX-License-Identifier: MIT

package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"nicteam/internal/host/journal"
)

// Of so many routes a way whose work grows with the square takes many times as long, also without the race detector.
const (
	manyRoutes = 2000
	soon       = 5 * time.Second
)

// TestManyRoutes: a router's routes move within seconds, after a kill, when the adapter was deleted, and at delete.
func TestManyRoutes(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	var batch strings.Builder
	for i := range manyRoutes {
		fmt.Fprintf(&batch, "route add 10.%d.%d.0/24 via 10.9.0.2 dev na\n", 100+i/250, i%250)
	}
	file := filepath.Join(t.TempDir(), "routes")
	must(t, os.WriteFile(file, []byte(batch.String()), 0o600))
	run(t, "ip -batch "+file)
	before := run(t, "ip route show dev na")
	for _, way := range []struct {
		name string
		end  func(h *Host, adapter int) error
	}{
		{"kill", func(h *Host, _ int) error {
			h.Close()
			h = w.open(nil)
			defer h.Close()
			_, err := h.Restore()
			return err
		}},
		{"deleted adapter", func(h *Host, adapter int) error {
			had, err := h.linkConfig(adapter)
			must(t, err)
			run(t, "ip link del "+teamName)
			if err := h.journalInherited(adapter, had, 0); err != nil {
				return err
			}
			return finish(w, h)
		}},
		{"delete after routes were removed", func(h *Host, adapter int) error {
			had, err := h.linkConfig(adapter)
			must(t, err)
			if err := h.journalLost(adapter, journal.Config{Routes: had.Routes[:manyRoutes/2]}); err != nil {
				return err
			}
			return finish(w, h)
		}},
	} {
		h := w.open(nil)
		must(t, takeover(w, h))
		l, err := netlink.LinkByName(teamName)
		must(t, err)
		start := time.Now()
		must(t, way.end(h, l.Attrs().Index))
		d := time.Since(start)
		t.Logf("%s: %d routes in %v", way.name, manyRoutes, d)
		if d > soon {
			t.Errorf("%s: longer than %v", way.name, soon)
		}
		h.Close()
		if after := run(t, "ip route show dev na"); after != before {
			t.Fatalf("%s: other routes: %d, not %d", way.name, strings.Count(after, "\n"), strings.Count(before, "\n"))
		}
	}
}

// TestRouteGoesToItsSource gives a route that came to the adapter to the NIC with its source address, which is not the
// first one of that subnet.
func TestRouteGoesToItsSource(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na; ip addr add 10.9.0.2/24 dev nb")
	h := w.open(nil)
	must(t, takeover(w, h))
	run(t, "ip route add default via 10.9.0.254 dev "+teamName+" proto dhcp src 10.9.0.2 metric 1003")
	must(t, finish(w, h))
	if got := run(t, "ip route show default"); !strings.Contains(got, "via 10.9.0.254 dev nb proto dhcp src 10.9.0.2") {
		t.Errorf("the default route is %q", got)
	}
}
