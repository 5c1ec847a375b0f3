// SPDX-License-Identifier: MIT

package host

import (
	"net/netip"
	"slices"
	"testing"

	"nicteam/team"
)

// TestHeldAddresses: the addresses of the adapter and of what is on it, also of a macvlan with a MAC of its own, as
// VRRP makes one; that one of these has left is told at once.
func TestHeldAddresses(t *testing.T) {
	w := newWorld(t)
	h := w.open(nil)
	f, adapter := w.follow(h)
	run(t, `ip addr add 10.9.0.1/24 dev team0; ip -6 addr add fd09::1/64 dev team0 nodad
		ip link add vrrp.51 link team0 address 00:00:5e:00:01:33 type macvlan mode private; ip link set vrrp.51 up
		ip addr add 10.9.0.100/32 dev vrrp.51; ip addr add 10.9.0.1/32 dev vrrp.51; ip addr add 10.8.0.1/24 dev na`)
	held := func() (list []team.HeldAddress) {
		t.Helper()
		held, err := h.HeldAddresses(adapter)
		must(t, err)
		if !slices.Contains(held.MACs, 0x00005e000133) || !slices.IsSorted(held.MACs) {
			t.Errorf("MACs %v", held.MACs)
		}
		return slices.DeleteFunc(held.List, func(a team.HeldAddress) bool { return a.IP.IsLinkLocalUnicast() })
	}
	want := []team.HeldAddress{{IP: netip.MustParseAddr("10.9.0.1")}, {IP: netip.MustParseAddr("10.9.0.100")},
		{IP: netip.MustParseAddr("fd09::1")}}
	if got := held(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	_, _, err := f.UpperAddresses()
	must(t, err)
	news := f.Subscribe(UpperConfig)
	run(t, "ip addr del 10.9.0.100/32 dev vrrp.51")
	tells(t, news, UpperConfig)
	if got := held(); len(got) != 2 {
		t.Errorf("after one has left: %v", got)
	}
	have, gone, err := f.UpperAddresses()
	must(t, err)
	if len(have)+len(gone) > 0 {
		t.Errorf("of links with the adapter's MAC: %v, gone %v", have, gone)
	}
}
