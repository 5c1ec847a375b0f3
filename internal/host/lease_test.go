// SPDX-License-Identifier: MIT

package host

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"nicteam/internal/rtnl"
)

// TestSharedLease: a shared address is on the adapter and stays on its NIC; the later end counts.
func TestSharedLease(t *testing.T) {
	w := newWorld(t)
	run(t, "ip addr add 10.9.0.1/24 dev na valid_lft 500 preferred_lft 500")
	h := w.open(nil)
	must(t, takeover(w, h))
	must(t, h.Strip("na", MemberSetup{KeepLeases: true}))
	index := must1(h.nic(teamName)).Index
	share := func(Arrival) Move { return Share }
	expiry := func(nic string) uint32 {
		for _, a := range must1(h.rt.Addresses(must1(h.nic(nic)).Index)) {
			if rtnl.AddressPrefix(a).String() == "10.9.0.1/24" {
				_, valid := rtnl.Lifetimes(a)
				return valid
			}
		}
		return 0
	}
	for _, tt := range []struct {
		on    string
		valid string
		moved int
		want  uint32
	}{{"na", "1000", 1, 1000}, {"na", "1001", 0, 1000}, {teamName, "2000", 0, 2000}, {"na", "3000", 1, 3000}} {
		run(t, "ip addr replace 10.9.0.1/24 dev "+tt.on+" valid_lft "+tt.valid+" preferred_lft "+tt.valid)
		moved := must1(h.AdoptArrivals(index, w.nics, share))
		if got := expiry(teamName); len(moved) != tt.moved || got > tt.want || got+5 < tt.want {
			t.Errorf("%s s on %s: moved %v, the adapter's for %d s", tt.valid, tt.on, moved, got)
		}
		if expiry("na") == 0 {
			t.Errorf("%s s on %s: the NIC's is gone", tt.valid, tt.on)
		}
	}
	must(t, h.Strip("na", MemberSetup{KeepLeases: true}))
	if expiry("na") == 0 {
		t.Error("stripped")
	}
	must1(h.ReleaseAll(nil))
	must1(h.Finish())
	if out := run(t, "ip -4 -o addr"); strings.Count(out, "10.9.0.1/24") != 1 || !strings.Contains(out, "na ") {
		t.Errorf("given back:\n%s", out)
	}
}

// TestLeaseTimeOfArrivals: the lease time of an address that came long after its NIC was recorded is its own.
func TestLeaseTimeOfArrivals(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	m := h.journal.State.ByName("na")
	m.At -= int64(80 * time.Second)
	index := must1(h.nic(teamName)).Index
	run(t, "ip addr add 10.9.0.1/24 dev na valid_lft 40 preferred_lft 40")
	must1(h.AdoptArrivals(index, w.nics, func(Arrival) Move { return Shift }))
	list, _, err := h.LeasesOn(index)
	if err != nil || len(list) != 1 || list[0].Total > 41*time.Second || list[0].Total < 39*time.Second {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestApplyLease prolongs an address as it is, and changes the routes of a lease only.
func TestApplyLease(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	must(t, takeover(w, h))
	index := must1(h.nic(teamName)).Index
	p := netip.MustParsePrefix
	address, gateway := p("10.9.0.50/24"), netip.MustParseAddr("10.9.0.254")
	first := []LeaseRoute{{To: p("0.0.0.0/0"), Via: gateway}, {To: p("10.50.0.0/16"), Via: gateway}}
	must(t, h.ApplyLease(index, address, 100*time.Second, first, nil))
	run(t, "ip route add 10.60.0.0/16 via 10.9.0.254 dev "+teamName)
	check := func(what string, want ...string) {
		t.Helper()
		out := run(t, "ip -4 -o addr show dev "+teamName+"; ip -4 route show dev "+teamName)
		for _, word := range want {
			without, not := strings.CutPrefix(word, "!")
			if strings.Contains(out, without) == not {
				t.Errorf("%s: %q in\n%s", what, word, out)
			}
		}
	}
	check("granted", "10.9.0.50/24", "valid_lft 100sec", "default via 10.9.0.254 proto dhcp", "10.50.0.0/16",
		"10.60.0.0/16")
	must(t, h.ApplyLease(index, address, 200*time.Second, first[:1], first))
	check("renewed", "valid_lft 200sec", "default via", "!10.50.0.0/16", "10.60.0.0/16")
	must(t, h.ApplyLease(index, address, 0, first[:1], first[:1]))
	check("forever", "valid_lft forever")
	must(t, h.RemoveLease(index, address, first))
	check("lost", "!10.9.0.50", "!default")
}
