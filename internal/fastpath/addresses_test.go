// SPDX-License-Identifier: MIT

package fastpath

import (
	"maps"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"pgregory.net/rapid"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
)

// Whatever Plans follow each other, both views say what the last one does, and no more, and when stations sent is not
// forgotten, nor kept of others. A change that concerns two MACs of thousands asks the kernel about no others.
func TestAddressesFollow(t *testing.T) {
	b := newBed(t)
	asked := 0
	sent := map[frame.Station]uint64{}
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 5).Draw(t, "plans") {
			c := drawCast(t)
			pl := drawPlan(t, c, spread.RuleSlots)
			labtest.Must(b, b.apply(pl, c))
			want := entries(pl)
			got := map[frame.MAC]entry{}
			var mac uint64
			var v programAddress
			for all := b.Addresses.Iterate(); all.Next(&mac, &v); {
				m := frame.MAC(mac)
				got[m] = entry{spread.MemberSet(v.Views[0].Acceptors), v.Views[0].Kind}
				if v.Views[0] != v.Views[1] {
					t.Fatalf("%v: %+v", m, v)
				}
			}
			if !maps.Equal(want, got) {
				t.Fatalf("want %v, got %v", want, got)
			}
			var known []frame.Station
			var n programStation
			for all := b.Stations.Iterate(); all.Next(&mac, &n); {
				s := frame.Station(mac)
				known = append(known, s)
				if n.Sent != sent[s] {
					t.Fatalf("%v: sent at %d, noted %d", s, sent[s], n.Sent)
				}
			}
			slices.Sort(known)
			if !slices.Equal(known, pl.Stations) {
				t.Fatalf("stations %v, want %v", known, pl.Stations)
			}
			clear(sent)
			for _, s := range pl.Stations {
				asked++
				n := programStation{Sent: uint64(asked)}
				labtest.Must(b, b.Stations.Update(uint64(s), n, ebpf.UpdateExist))
				sent[s] = n.Sent
			}
		}
	})
}

// A failover among thousands of MACs behind the adapter writes what is different in it only.
func TestFailoverAmongManyMACs(t *testing.T) {
	const many = 4096
	b := newBed(t)
	c := &cast{members: 3}
	pl := &spread.Plan{Rule: spread.RuleSingle, Adapter: adapterMAC, TeamMACs: []frame.MAC{adapterMAC}, Distributing: 3,
		Collecting: 3, Multicast: 1, Next: -1}
	for id := range 2 {
		c.mac[id] = memberMAC(id)
		pl.TeamMACs = append(pl.TeamMACs, c.mac[id])
	}
	for i := range many {
		pl.Behind = append(pl.Behind, frame.MAC(0x020000010000+uint64(i)))
		pl.Stations = append(pl.Stations, frame.StationOf(pl.Behind[i], 0))
	}
	pl.TeamMACs = append(pl.TeamMACs, pl.Behind...)
	labtest.Must(t, b.apply(pl, c))
	// Were any other written, this would be taken back.
	odd := programAddress{}
	odd.Views[0].Unused = 1
	for _, m := range pl.Behind {
		labtest.Must(t, b.Addresses.Put(uint64(m), odd))
	}
	other := *pl
	other.Distributing, other.Collecting, other.Multicast = 2, 2, 2
	other.Filter[1] = []frame.MAC{memberMAC(0), adapterMAC}
	labtest.Must(t, b.apply(&other, c))
	for _, m := range pl.Behind {
		var v programAddress
		labtest.Must(t, b.Addresses.Lookup(uint64(m), &v))
		if v != odd {
			t.Fatalf("%v was written", m)
		}
	}
	var v programAddress
	labtest.Must(t, b.Addresses.Lookup(uint64(adapterMAC), &v))
	for _, w := range v.Views {
		if w.Acceptors != 2 || w.Kind != kindOwn {
			t.Errorf("adapter: %+v", v)
		}
	}
}
