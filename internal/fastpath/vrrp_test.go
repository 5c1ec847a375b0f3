// SPDX-License-Identifier: MIT

package fastpath

import (
	"net/netip"
	"testing"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// TestAdvertsFromOneVirtualMAC: the programs tell the advertisements of two hosts from the MAC of one virtual router
// apart, as the relay does: the other's arrive, this host's own do not when they are reflected. The two functions that
// find the station of an advertisement agree.
func TestAdvertsFromOneVirtualMAC(t *testing.T) {
	const router = frame.MAC(0x00005e000133)
	one, two := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	for _, known := range []bool{false, true} {
		b := newBed(t)
		onOneProcessor(t)
		c := &cast{members: 1}
		c.mac[0] = memberMAC(0)
		pl := &spread.Plan{Rule: spread.RuleSingle, Active: 0, Next: -1, Adapter: adapterMAC, Promiscuous: true,
			TeamMACs: []frame.MAC{router, adapterMAC, memberMAC(0)}, Distributing: 1, Collecting: 1, Multicast: 1}
		if known {
			pl.Stations, pl.Behind = []frame.Station{frame.StationOf(router, 0)}, []frame.MAC{router}
		} else {
			pl.TeamMACs = pl.TeamMACs[1:]
		}
		if err := b.apply(pl, c); err != nil {
			t.Fatal(err)
		}
		if err := b.receives(0); err != nil {
			t.Fatal(err)
		}
		own, other := frametest.Advert(router, one, 1), frametest.Advert(router, two, 1)
		if _, err := b.run(b.Transmit, own, 0); err != nil {
			t.Fatal(err)
		}
		var h frame.Headers
		frame.Parse(own, &h)
		station, _ := h.AdvertStation(own)
		var at uint64
		if err := b.RecentLocal.Lookup(uint64(station), &at); err != nil {
			t.Errorf("known %v: what was sent is not noted as Go finds it: %v", known, err)
		}
		for _, tt := range []struct {
			what  string
			frame []byte
			want  int
		}{{"its own", own, verdictShot}, {"the other's", other, verdictRedirect},
			{"another frame from there", frame.RARP(router, 0), verdictNext}} {
			got, err := b.run(b.Receive, tt.frame, 0)
			if err != nil {
				t.Fatal(err)
			}
			if got.Verdict != tt.want || tt.what == "another frame from there" &&
				got.Counts.members[0].RXDrop[team.DropReflected] != 1 {
				t.Errorf("known %v: %s: verdict %d, want %d, counts %+v", known, tt.what, got.Verdict, tt.want,
					got.Counts.members[0].RXDrop)
			}
		}
	}
}
