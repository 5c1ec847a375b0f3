// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/panics"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// saying is an Announcer with one address.
type saying struct{ asked int }

func (s *saying) Announcement(context.Context) (Announcement, error) {
	return Announcement{Addresses: []Address{{IP: netip.MustParseAddr("10.9.0.1")}}}, nil
}

func (s *saying) AskNeighbours(context.Context) error { s.asked++; return nil }

// What an announcement wanted is sent although a newer one, which wants something else, came before it or ended it.
func TestNewerOrdersLoseNothing(t *testing.T) {
	guests := make([]StationPath, 3*announceBatch)
	for i := range guests {
		guests[i] = StationPath{Station: frame.StationOf(0x0200_0000_1000+frame.MAC(i), 0), Member: 1}
	}
	first := announcement{tell: modes.TellAddresses | modes.TellBehind | modes.TellAsk, via: []int{0},
		adapterMAC: adapterMAC, stations: guests, count: 1}
	for _, c := range []struct {
		name  string
		after time.Duration
	}{
		{"before the first has started", 0},
		{"while the first is told", announcePause / 2},
		{"after the first", time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				said, source, told := map[string]bool{}, &saying{}, 0
				k := &announcer{panics: panics.New(nil), source: source, wake: make(chan struct{}, 1),
					announced: func(context.Context) { told++ },
					send:      func(_ int, b []byte) error { said[string(b)] = true; return nil }}
				ended := make(chan struct{})
				k.request(first)
				begin := func() { go func() { k.run(ctx); close(ended) }() }
				if c.after > 0 {
					begin()
					time.Sleep(c.after)
				}
				k.request(announcement{tell: modes.TellGroups, via: []int{0}, adapterMAC: adapterMAC, count: 1})
				if c.after == 0 {
					begin()
				}
				time.Sleep(time.Second)
				cancel()
				<-ended
				missing := slices.IndexFunc(guests, func(b StationPath) bool {
					return !said[string(frame.RARP(b.Station.MAC(), 0))]
				})
				if missing >= 0 || told != 1 || source.asked != 1 || len(said) != len(guests)+1 {
					t.Errorf("guest %d was not told, addresses %d times, asked %d times, %d frames", missing,
						told, source.asked, len(said))
				}
			})
		})
	}
}

// announce_count=0 is about addresses: switches still have to learn where guests are, and neighbours are still asked.
func TestNoAnnouncementsButTheRest(t *testing.T) {
	const guest frame.MAC = 0x0200_0000_1000
	source, sent := &saying{}, 0
	k := &announcer{panics: panics.New(nil), source: source, wake: make(chan struct{}, 1),
		announced: func(context.Context) { t.Error("addresses were told") },
		send: func(_ int, b []byte) error {
			if string(b) == string(frame.RARP(guest, 0)) {
				sent++
			}
			return nil
		}}
	a := announcement{tell: modes.TellAll | modes.TellAsk, via: []int{0}, adapterMAC: adapterMAC,
		stations: []StationPath{{Station: frame.StationOf(guest, 0)}}}
	if !k.announce(t.Context(), a) || sent != 1 || source.asked != 1 {
		t.Errorf("told of the guest %d times, asked %d times", sent, source.asked)
	}
}

// A guest that moves away while it is announced is not announced again.
func TestGuestThatMovedIsNotAnnouncedAgain(t *testing.T) {
	stay, moved := frame.StationOf(0x0200_0000_1000, 0), frame.StationOf(0x0200_0000_1001, 7)
	sent := map[string]int{}
	k := &announcer{panics: panics.New(nil), wake: make(chan struct{}, 1), announced: func(context.Context) {}}
	k.plan.Store(&spread.Plan{Stations: []frame.Station{stay, moved}})
	k.send = func(_ int, b []byte) error {
		sent[string(b)]++
		k.plan.Store(&spread.Plan{Stations: []frame.Station{stay}})
		return nil
	}
	a := announcement{tell: modes.TellBehind, via: []int{0}, adapterMAC: adapterMAC,
		stations: []StationPath{{Station: stay}, {Station: moved}}, count: 3}
	if !k.announce(t.Context(), a) || sent[string(frame.RARP(stay.MAC(), 0))] != 3 ||
		sent[string(frame.RARP(moved.MAC(), 7))] != 1 {
		t.Errorf("%v", sent)
	}
}

// routers is an AddressSource whose only address is a virtual router's, or none.
type routers struct{ address *Address }

func (s *routers) Announcement(context.Context) (a Announcement, err error) {
	if s.address != nil {
		a.Addresses = append(a.Addresses, *s.address)
	}
	return a, nil
}

func (s *routers) AskNeighbours(context.Context) error { return nil }

// A learning frame for the MAC of a virtual router would lead frames for it away from the host that is the router now:
// there is one only while this host has an address at that MAC. Other guests are announced in any case.
func TestVirtualRoutersAreAnnouncedByTheirAddress(t *testing.T) {
	const router, guest = frame.MAC(0x00005e000133), frame.MAC(0x0200_0000_1000)
	for _, tt := range []struct {
		name    string
		address *Address
		want    bool
	}{
		{"none", nil, false},
		{"at another MAC", &Address{IP: netip.MustParseAddr("10.9.0.100")}, false},
		{"link-local only", &Address{IP: netip.MustParseAddr("fe80::1"), MAC: router}, false},
		{"at that MAC", &Address{IP: netip.MustParseAddr("10.9.0.100"), MAC: router}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			said := map[string]bool{}
			k := &announcer{panics: panics.New(nil), source: &routers{tt.address}, wake: make(chan struct{}, 1),
				announced: func(context.Context) {},
				send:      func(_ int, b []byte) error { said[string(b)] = true; return nil }}
			k.announce(t.Context(), announcement{tell: modes.TellBehind, via: []int{0}, adapterMAC: adapterMAC,
				count: 1, stations: []StationPath{{Station: frame.StationOf(guest, 0)},
					{Station: frame.StationOf(router, 0)}}})
			if !said[string(frame.RARP(guest, 0))] {
				t.Error("the guest is not announced")
			}
			if got := said[string(frame.RARP(router, 0))]; got != tt.want {
				t.Errorf("the router is announced: %v, want %v", got, tt.want)
			}
		})
	}
}
