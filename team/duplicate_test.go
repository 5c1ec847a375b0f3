// SPDX-License-Identifier: MIT

package team

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nicteam/internal/frame"
)

const foreignMAC, foreignMAC2, hostMAC = frame.MAC(0x0200_0000_0f01), frame.MAC(0x0200_0000_0f02),
	frame.MAC(0x0200_0000_0f03)

var ours4, ours6 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1")

// holds tells the loop which addresses the host has.
func (r *rig) holds(list ...netip.Addr) {
	in := AddressesHeld{MACs: []frame.MAC{hostMAC}}
	for _, ip := range list {
		in.List = append(in.List, HeldAddress{IP: ip})
	}
	r.do(in)
}

// hears has member 0 hear a frame.
func (r *rig) hears(b []byte) {
	r.do(FromDatapath{Control{Kind: ControlFrame, Member: 0, Frame: b}})
}

// duplicates are the warnings.
func (r *rig) duplicates() (list []string) {
	for _, w := range r.l.Status().Warnings {
		if strings.HasPrefix(w, "duplicate address") {
			list = append(list, w)
		}
	}
	return list
}

// TestDuplicateAddress: a claimed address that this host keeps for a second is warned of, once for each host and at
// most once a minute; a claim that is no longer repeated is forgotten, and one of an address that has left at once.
func TestDuplicateAddress(t *testing.T) {
	r := elbOf(t, 2)
	r.holds(ours4, ours6)
	if !slices.Equal(r.plan.Held, []netip.Addr{ours4, ours6}) {
		t.Errorf("the Plan has %v", r.plan.Held)
	}
	arp := func(mac frame.MAC) []byte { return frame.GratuitousARP(mac, ours4, 0) }
	r.hears(arp(foreignMAC))
	r.run(duplicateGrace - time.Millisecond)
	if list := r.duplicates(); len(list) > 0 {
		t.Errorf("within the grace: %q", list)
	}
	r.run(time.Millisecond)
	r.wantEvents("a claim", "duplicate-address: 10.9.0.1 is also at 02:00:00:00:0f:01")
	want := "duplicate address: 10.9.0.1 is also at 02:00:00:00:0f:01: take it from one of the two hosts"
	if list := r.duplicates(); !slices.Equal(list, []string{want}) || r.state() != "up" {
		t.Errorf("%s, %q, want %q", r.state(), list, want)
	}
	for range 30 { // a quarrel of two others, too
		r.hears(arp(foreignMAC2))
		r.run(100 * time.Millisecond)
		r.hears(arp(foreignMAC))
		r.run(100 * time.Millisecond)
	}
	r.wantEvents("more claims")
	r.run(duplicateEventGap)
	r.hears(arp(foreignMAC2))
	r.run(0)
	r.wantEvents("a claim of another one", "duplicate-address: 10.9.0.1 is also at 02:00:00:00:0f:02")
	r.hears(frame.UnsolicitedNA(foreignMAC, ours6, false, 0))
	r.run(duplicateGrace)
	r.wantEvents("a claim in IPv6", "duplicate-address: fd09::1 is also at 02:00:00:00:0f:01")
	if n := len(r.duplicates()); n != 2 {
		t.Errorf("%d warnings, want 2", n)
	}
	r.do(AddressesLeft{List: []LeftAddress{{IP: ours6}}})
	if list := r.duplicates(); len(list) != 1 || slices.Contains(r.plan.Held, ours6) {
		t.Errorf("after one has left: %q, the Plan has %v", list, r.plan.Held)
	}
	r.run(duplicateAge)
	if list := r.duplicates(); len(list) > 0 {
		t.Errorf("later: %q", list)
	}
	r.hears(arp(foreignMAC))
	r.run(duplicateGrace)
	r.wantEvents("a claim after that", "duplicate-address: 10.9.0.1 is also at 02:00:00:00:0f:01")
}

// TestNoDuplicateAddress has frames that claim nothing, or nothing of others.
func TestNoDuplicateAddress(t *testing.T) {
	probe := func() []byte {
		b := frame.GratuitousARP(foreignMAC, ours4, 0)
		clear(b[28:32]) // no sender's address
		return b
	}
	for _, tt := range []struct {
		name  string
		frame []byte
	}{
		{"another address", frame.GratuitousARP(foreignMAC, ours4.Next(), 0)},
		{"in a VLAN where it is not", frame.GratuitousARP(foreignMAC, ours4, 7)},
		{"of the adapter", frame.GratuitousARP(adapterMAC, ours4, 0)},
		{"of a member", frame.GratuitousARP(linkOf(2).MAC, ours4, 0)},
		{"of a NIC that is no member", frame.GratuitousARP(hostMAC, ours4, 0)},
		{"a probe", probe()},
		{"no frame", []byte{1, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := elbOf(t, 2)
			r.holds(ours4)
			r.hears(tt.frame)
			r.run(2 * duplicateGrace)
			r.wantEvents(tt.name)
			if list := r.duplicates(); len(list) > 0 {
				t.Errorf("%q", list)
			}
		})
	}
}

// TestAddressThatJustCame: what is said of an address within a second after it came is from before it left another
// host. The virtual MAC of another router is named as such.
func TestAddressThatJustCame(t *testing.T) {
	r := elbOf(t, 2)
	r.holds(ours4)
	vip := ours4.Next()
	r.holds(ours4, vip)
	r.run(duplicateGrace - time.Millisecond)
	claim := frame.GratuitousARP(0x00005e000133, vip, 0)
	r.hears(claim)
	r.run(duplicateAge)
	r.wantEvents("a claim from before")
	r.hears(claim)
	r.holds(ours4) // VRRP gives it up, soon after the next host has claimed it
	r.run(duplicateAge)
	r.wantEvents("a claim of the next host")
	r.holds(ours4, vip)
	r.run(duplicateGrace)
	r.hears(claim)
	r.run(duplicateGrace)
	r.wantEvents("a claim that stays",
		"duplicate-address: 10.9.0.2 is also at 00:00:5e:00:01:33, the virtual router 51 of VRRP")
}

// TestManyDuplicateAddresses: a host that claims everything cannot fill the memory, nor the log.
func TestManyDuplicateAddresses(t *testing.T) {
	r := elbOf(t, 2)
	var list []netip.Addr
	for ip := ours4; len(list) < 2*maxDuplicates; ip = ip.Next() {
		list = append(list, ip)
	}
	r.holds(list...)
	for _, ip := range list {
		r.hears(frame.GratuitousARP(foreignMAC, ip, 0))
	}
	r.run(duplicateGrace)
	if n := len(r.duplicates()); n != maxDuplicates || len(r.events()) != maxDuplicates {
		t.Errorf("%d warnings, want %d", n, maxDuplicates)
	}
}

// TestMinMembersThatCannotBeMet: the reason says that no repair of a member helps, and what does.
func TestMinMembersThatCannotBeMet(t *testing.T) {
	r := elbOf(t, 2)
	c := r.l.Config()
	c.MinMembers = 3
	r.do(Change{Config: c})
	want := "the team has 2 members and min_members is 3: set min_members=2, or add NICs"
	if s := r.l.Status(); s.State != "down" || s.Reason != want || r.out.Carrier {
		t.Errorf("%s: %q, carrier %v", s.State, s.Reason, r.out.Carrier)
	}
	r.join(3)
	r.link(3, true)
	if s := r.l.Status(); s.State != "up" {
		t.Errorf("with three: %s: %q", s.State, s.Reason)
	}
}
