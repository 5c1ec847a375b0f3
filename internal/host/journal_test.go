// SPDX-License-Identifier: MIT

package host

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/host/journal"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/rtnl"
)

// FuzzMember: a member's record with a right checksum must not break what a give-back computes before it asks the
// kernel.
func FuzzMember(f *testing.F) {
	address := rtnl.NewAddress(netip.MustParsePrefix("10.9.0.1/24"), 3)
	route := rtnl.NewDefaultRoute(netip.MustParseAddr("10.9.0.254"), 3)
	b, err := json.Marshal(journal.Member{Identity: journal.Identity{Name: "eth1", Index: 3}, Up: true,
		Sysctls:   map[string]string{disableIPv6: "0"},
		Addresses: []rtnl.Object{address}, Routes: []rtnl.Object{route}})
	must(f, err)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		var m journal.Member
		if json.Unmarshal(b, &m) == nil && m.WellFormed() {
			exerciseMember(&m)
		}
	})
}

// exerciseMember runs these computations.
func exerciseMember(m *journal.Member) {
	m.OwnsDefaultRoute()
	b := &giveBack{indexNow: map[int]int{3: 4}, adapter: &NIC{Index: 9}, j: &journal.Journal{}}
	b.members = []*member{{was: &journal.MemberState{Member: *m}, nic: NIC{Index: 4}}}
	for _, a := range m.Addresses {
		_, _ = rtnl.Aged(rtnl.Relabel(rtnl.AddressRequest(a, 4, 0), "eth1", "team0"), 5)
		_ = m.IsKernelLinkLocal(a) || rtnl.IsAutoconfigured(a) || rtnl.HasConnectedRoute(a)
		_, _, _ = refreshed(a, formedAddress{a, m}, rtnl.Prefix{Preferred: 5, Valid: 9}, 3)
		for _, r := range m.Routes {
			_ = rtnl.IsConnectedRoute(r, a)
		}
	}
	for _, f := range raFrames(raState{routes: rtnl.AgedRoutes(m.Advertised, 5), addresses: m.Addresses}, nil) {
		_ = f
	}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		for _, r := range b.originalRoutes(family) {
			_ = b.onAdapter(r)
			_, _ = rtnl.RouteText(r), rtnl.Gateways(r, 4)
		}
	}
	for _, n := range m.Neighbours {
		_ = rtnl.IsPermanent(n)
		_ = rtnl.NeighbourAddr(n)
	}
	for _, r := range m.Rules {
		_ = rtnl.RuleFor(r, []string{"a"}, "b")
	}
}

// TestUnwritable: an unwritable journal is refused in three lines before anything is changed.
func TestUnwritable(t *testing.T) {
	labtest.Root(t)
	full := filepath.Join(t.TempDir(), "full")
	must(t, os.Mkdir(full, 0o750))
	must(t, unix.Mount("none", full, "tmpfs", 0, "size=64k"))
	defer unix.Unmount(full, 0)
	readOnly := filepath.Join(t.TempDir(), "ro")
	must(t, os.Mkdir(readOnly, 0o750))
	must(t, unix.Mount("none", readOnly, "tmpfs", unix.MS_RDONLY, "size=64k"))
	defer unix.Unmount(readOnly, 0)
	for name, dir := range map[string]string{"full": full, "read-only": readOnly, "file": "/dev/null/state"} {
		h, err := Open(Options{StateDir: dir, Team: teamName})
		if err == nil {
			err = h.Begin()
			if h.HasJournal() {
				t.Errorf("%s: there is a journal", name)
			}
			h.Close()
		}
		var p *api.Problem
		if !errors.As(err, &p) || p.Why == "" || p.Fix == "" {
			t.Errorf("%s: %v is no problem with why and fix", name, err)
		}
		if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
			t.Errorf("%s: left behind %v", name, left)
		}
	}
}

// TestOtherBoot: a journal of another boot is renamed and nothing else touched.
func TestOtherBoot(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na")
	h := w.open(nil)
	must(t, takeover(w, h))
	path := h.journal.Path
	h.Close()
	before := snapshot(t)
	rewriteBegin(t, path, func(b *journal.BeginRecord) { b.Boot = "another" })
	h = w.open(nil)
	if h.HasJournal() || !strings.Contains(h.JournalNote(), "earlier boot") {
		t.Errorf("journalled %v, note %q", h.HasJournal(), h.JournalNote())
	}
	out, err := h.Restore()
	must(t, err)
	if len(out.Members) != 0 || out.Adapter != "" {
		t.Errorf("restored %+v", out)
	}
	h.Close()
	compare(t, before, snapshot(t))
}

// TestOtherNamespace: a journal of another, existing network namespace is refused and stays. One of a namespace that is
// gone is renamed, even if this one has its inode.
func TestOtherNamespace(t *testing.T) {
	if !labtest.Apart(t) {
		return
	}
	labtest.Root(t)
	run(t, "ip netns add other")
	t.Cleanup(func() { exec.Command("ip", "netns", "del", "other").Run() })
	var other unix.Stat_t
	must(t, unix.Stat("/run/netns/other", &other))
	for name, c := range map[string]struct {
		change func(*journal.BeginRecord)
		lives  bool
	}{
		"lives": {func(b *journal.BeginRecord) {
			b.NetNS, b.Cookie = other.Ino,
				journal.NetNSCookieAt("/run/netns/other")
		}, true},
		"lives, no cookie":            {func(b *journal.BeginRecord) { b.NetNS, b.Cookie = other.Ino, 0 }, true},
		"gone":                        {func(b *journal.BeginRecord) { b.NetNS, b.Cookie = 1, b.Cookie+1 }, false},
		"gone, no cookie":             {func(b *journal.BeginRecord) { b.NetNS, b.Cookie = 1, 0 }, false},
		"gone, another has its inode": {func(b *journal.BeginRecord) { b.NetNS, b.Cookie = other.Ino, 1<<60 }, false},
		"gone, this has its inode":    {func(b *journal.BeginRecord) { b.Cookie++ }, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			h := w.open(nil)
			must(t, takeover(w, h))
			path := h.journal.Path
			h.Close()
			before := snapshot(t)
			rewriteBegin(t, path, c.change)
			h = w.open(nil)
			_, err := h.Restore()
			var p *api.Problem
			if refused := errors.As(err, &p) && p.Kind == api.Conflict; refused != c.lives || err != nil && !refused {
				t.Errorf("restore: %v", err)
			}
			_, err = os.Stat(path)
			if there := err == nil; there != c.lives {
				t.Errorf("the journal: %v", err)
			}
			if _, err = os.Stat(path + ".old"); c.lives != (err != nil) {
				t.Errorf("the journal put aside: %v", err)
			}
			h.Close()
			compare(t, before, snapshot(t))
			h = w.open(nil)
			if err := h.Begin(); (err != nil) != c.lives {
				t.Errorf("begin: %v", err)
			}
		})
	}
}

// rewriteBegin changes the first record of a journal.
func rewriteBegin(t *testing.T, path string, change func(*journal.BeginRecord)) {
	t.Helper()
	s := journal.Read(path)
	change(s.Begin)
	j, err := journal.Create(path, s.Records(), func(string) error { return nil })
	must(t, err)
	j.Close()
}

// journalSize returns the size of the journal's file, which grows with each record.
func journalSize(t testing.TB, h *Host) int64 {
	t.Helper()
	st, err := os.Stat(h.journal.Path)
	must(t, err)
	return st.Size()
}
