// SPDX-License-Identifier: MIT

package systest

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/lab/labtest"
)

// TestDHCP has a team acquire its address, renew it, and go on with it after its process was killed.
func TestDHCP(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NoAddress: true})
	server := w.startDHCP(6 * time.Second)
	w.create(nics(2), "--address", "dhcp", "--datapath", "relay")
	w.awaitShown("addr show dev "+teamName, "inet 10.9.0.50/24")
	w.awaitShown("route show dev "+teamName, "default via 10.9.0.2 proto dhcp")
	renewals := func(more int) {
		t.Helper()
		n := len(server.requests())
		labtest.Eventually(t, "renewed", func() bool { return len(server.requests()) >= n+more })
	}
	renewals(1)
	w.await("bound", func(s *api.Status) bool {
		l := s.Adapter.Lease
		return l != nil && l.State == "bound" && l.Address == "10.9.0.50/24" && l.Server == "10.9.0.2" &&
			s.State == "up" && len(s.Warnings) == 0
	})
	labtest.Must(t, unix.Kill(w.teamProcess(), unix.SIGKILL))
	renewals(1)
	heard := strings.Join(server.requests(), "\n")
	if first, later, ok := strings.Cut(heard, "REQUEST renewing 01"); !ok || !strings.HasPrefix(first, "DISCOVER 01") ||
		strings.Contains(later, "DISCOVER") {
		t.Errorf("heard\n%s", heard)
	}
	w.nicteam("delete", teamName)
	if out := w.sh("ip -4 -o addr"); strings.Count(out, "10.9.0.50/24") != 1 {
		t.Errorf("after delete:\n%s", out)
	}
	w.checkNoFiles("after delete")
}

// TestLeaseOfOthers has a team renew a lease whose client is gone. It does not know what the client called itself.
func TestLeaseOfOthers(t *testing.T) {
	parallel(t)
	w := newWorld(t, worldOptions{Cables: true, NoAddress: true})
	server := w.startDHCP(60 * time.Second)
	w.ip("addr add 10.9.0.50/24 dev eth2 valid_lft 20 preferred_lft 20")
	w.create(nics(2), "--datapath", "relay")
	w.await("renewed", func(s *api.Status) bool { return s.Adapter.Lease != nil && s.Adapter.Lease.State == "bound" })
	if got := server.requests(); len(got) != 1 || got[0] != "REQUEST renewing " {
		t.Errorf("heard %q", got)
	}
	for _, l := range w.addresses4(teamName) {
		if l.ValidLft < 50 {
			t.Errorf("%v is valid for %d s", l.IPNet, l.ValidLft)
		}
	}
	w.nicteam("delete", teamName)
	w.awaitShown("addr show dev eth2", "10.9.0.50/24")
}
