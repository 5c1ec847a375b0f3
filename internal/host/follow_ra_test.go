// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"encoding/binary"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/rtnl"
)

// TestLentAddressesAreRefreshed advertises the prefix of addresses that came with members: the one that the adapter
// forms itself, the one that another member had formed, and the temporary one.
func TestLentAddressesAreRefreshed(t *testing.T) {
	w := newWorld(t)
	run(t, "echo 2 >/proc/sys/net/ipv6/conf/na/use_tempaddr; echo 5000 >/proc/sys/net/ipv6/conf/na/temp_valid_lft")
	r := newRouter(t, 1, "fd0a::/64")
	r.advertise("na")
	r.advertise("nb")
	settled(t)
	old := regexp.MustCompile(`fd0a::\S+`).FindAllString(run(t, "ip -6 addr show dev na; ip -6 addr show dev nb"), -1)
	if len(old) != 3 {
		t.Fatalf("the NICs formed %q", old)
	}
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, donate("na")(w, h))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	index, err := interfaceIndex(teamName)
	must(t, err)
	go func() {
		defer close(done)
		h.RefreshFromRAs(ctx, index)
	}()
	defer func() { cancel(); <-done }()
	for i := range r.a.Prefixes {
		r.a.Prefixes[i].Valid, r.a.Prefixes[i].Preferred = 9050, 8050
	}
	lives := func(address string) string {
		all := run(t, "ip -o -6 addr show dev "+teamName+" to "+address)
		return regexp.MustCompile(`valid_lft \d+`).FindString(all)
	}
	labtest.Eventually(t, "all addresses are refreshed", func() bool {
		r.advertise(teamName)
		for _, a := range old {
			// The temporary one has its own limit.
			if l := lives(a); !strings.HasPrefix(l, "valid_lft 90") && !strings.HasPrefix(l, "valid_lft 49") &&
				l != "valid_lft 5000" {
				return false
			}
		}
		return true
	})
}

// TestPrivacyGivenBack gives temporary addresses back, the NIC's and those that the adapter's kernel made meanwhile:
// they add no on-link route, and the NIC's kernel makes new ones beside them.
func TestPrivacyGivenBack(t *testing.T) {
	w := newWorld(t)
	run(t, "echo 2 >/proc/sys/net/ipv6/conf/na/use_tempaddr")
	r := newRouter(t, 1, "fd0a::/64")
	r.a.Prefixes = r.a.Prefixes[1:] // not on the link
	r.advertise("na")
	settled(t)
	routes := func(nic string) string { return run(t, "ip -6 route show dev "+nic+" | grep fd0a: || true") }
	private := regexp.MustCompile(`fd0a::\S+/64 scope global temporary`).FindString(run(t, "ip -o -6 addr show dev na"))
	if private == "" || routes("na") != "" {
		t.Fatalf("for privacy %q, routes %q", private, routes("na"))
	}
	h := w.open(nil)
	must(t, takeover(w, h))
	if got := routes(teamName); got != "" {
		t.Errorf("with the team: %s", got)
	}
	must(t, finish(w, h))
	if got := routes("na"); got != "" {
		t.Errorf("after it: %s", got)
	}
	all := run(t, "ip -o -6 addr show dev na")
	if old, _, _ := strings.Cut(private, " "); !strings.Contains(all, old) {
		t.Errorf("%s is not there:\n%s", old, all)
	}
	if !regexp.MustCompile(`scope global (tentative )?dynamic mngtmpaddr [^n]`).MatchString(words(all)) {
		t.Errorf("the kernel has not formed its own:\n%s", all)
	}
}

func TestRefreshed(t *testing.T) {
	address := func(preferred, valid uint32) rtnl.Object {
		a := rtnl.NewAddress(netip.MustParsePrefix("fd0a::1/64"), 3)
		info := make([]byte, 16)
		binary.NativeEndian.PutUint32(info, preferred)
		binary.NativeEndian.PutUint32(info[4:], valid)
		binary.NativeEndian.PutUint32(info[8:], 100*rtnl.UserHZ) // made 100 s after boot
		a.Set(unix.IFA_CACHEINFO, info)
		return a
	}
	private := address(0, 0)
	private.Set32(unix.IFA_FLAGS, unix.IFA_F_TEMPORARY)
	member := &journal.Member{Sysctls: map[string]string{"ipv6/temp_valid_lft": "1000",
		"ipv6/temp_prefered_lft": "500"}}
	for _, c := range []struct {
		name                   string
		is                     rtnl.Object
		was                    rtnl.Object
		hears                  [2]uint32 // preferred, valid
		wantPreferred, wantLft uint32    // 0: as it is
	}{
		{"longer", address(10, 20), address(0, 0), [2]uint32{500, 600}, 500, 600},
		{"the same", address(500, 600), address(0, 0), [2]uint32{500, 600}, 0, 0},
		{"withdrawn, little left", address(500, 600), address(0, 0), [2]uint32{0, 0}, 0, 600},
		{"withdrawn, much left", address(50000, 60000), address(0, 0), [2]uint32{0, 0}, 0, twoHours},
		{"for ever", address(500, 600), address(0, 0), [2]uint32{rtnl.Forever, rtnl.Forever}, rtnl.Forever,
			rtnl.Forever},
		{"it has no end", address(rtnl.Forever, rtnl.Forever), address(0, 0), [2]uint32{500, 600}, 0, 0},
		{"for privacy", address(10, 20), private, [2]uint32{5000, 6000}, 300, 800},
		{"for privacy, its time is over", address(10, 20), private, [2]uint32{50, 60}, 50, 60},
	} {
		preferred, valid, ok := refreshed(c.is, formedAddress{c.was, member},
			rtnl.Prefix{Preferred: c.hears[0], Valid: c.hears[1]}, 300)
		if preferred != c.wantPreferred || valid != c.wantLft || ok != (c.wantLft != 0) {
			t.Errorf("%s: %d, %d, %v; want %d, %d", c.name, preferred, valid, ok, c.wantPreferred, c.wantLft)
		}
	}
}
