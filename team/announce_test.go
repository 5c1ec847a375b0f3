// SPDX-License-Identifier: MIT

package team

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// TestTeamAnnouncementsAreNoStorm: however often a link flaps, announcements stay one stream.
func TestTeamAnnouncementsAreNoStorm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		a := &fakeAddresses{what: Announcement{Addresses: []Address{{IP: netip.MustParseAddr("10.9.0.1")},
			{IP: netip.MustParseAddr("fd09::1")}}}}
		o := Options{Config: activeBackup(), AddressSource: a}
		o.Config.Team, o.Config.AnnounceCount, o.Config.AnnounceInterval = "team0", 3, 100*time.Millisecond
		tm := running(t, k, o, 1, 2)
		time.Sleep(time.Second)
		sent := func() (n int) {
			k.do(func() { n = len(k.sent[0]) + len(k.sent[1]) })
			return n
		}
		if got := sent(); got != 6 {
			t.Errorf("%d frames, want 2 addresses 3 times", got)
		}
		begin := sent()
		for range 20 { // once each 20 ms, faster than announcements follow each other
			k.cable(1, false)
			time.Sleep(20 * time.Millisecond)
			k.cable(1, true)
			k.cable(2, false)
			time.Sleep(20 * time.Millisecond)
			k.cable(2, true)
		}
		time.Sleep(time.Second)
		if got := sent() - begin; got > 2*(40+3) {
			t.Errorf("%d frames for 40 changes", got)
		}
		if err := tm.Announce(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestTeamAnnouncementIsReplaced: a failover does not wait until the announcements of the one before have all gone out.
func TestTeamAnnouncementIsReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		a := &fakeAddresses{what: Announcement{Addresses: []Address{{IP: netip.MustParseAddr("10.9.0.1")}}}}
		o := Options{Config: activeBackup(), AddressSource: a}
		o.Config.Team, o.Config.AnnounceCount, o.Config.AnnounceInterval = "team0", 5, time.Minute
		running(t, k, o, 1, 2)
		time.Sleep(10 * time.Second)
		k.cable(1, false)
		time.Sleep(2 * idleCountersInterval) // nobody tells of the loss
		k.do(func() {
			if len(k.sent[0]) != 1 || len(k.sent[1]) != 1 {
				t.Errorf("%d by the first, %d by the second", len(k.sent[0]), len(k.sent[1]))
			}
		})
		time.Sleep(time.Hour)
		k.do(func() {
			if len(k.sent[0]) != 1 || len(k.sent[1]) != 5 {
				t.Errorf("at the end %d by the first, %d by the second", len(k.sent[0]), len(k.sent[1]))
			}
		})
	})
}

func TestAnnounceFrames(t *testing.T) {
	v4, v6, mac := netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("fd09::1"), frame.MAC(0x0200_0000_00bb)
	g4, g6 := netip.MustParseAddr("239.1.1.1"), netip.MustParseAddr("ff02::1:ff00:1")
	ll := netip.MustParseAddr("fe80::1%7")
	tag := func(b []byte, vlan byte) []byte {
		return append(append(append([]byte{}, b[:12]...), 0x81, 0, 0, vlan), b[12:]...)
	}
	what := Announcement{
		Addresses: []Address{{IP: v4}, {IP: v6, Router: true}, {IP: v4, MAC: mac, VLAN: 5}},
		Groups: []GroupReport{{Source: v4, Groups: []netip.Addr{g4}}, {Source: ll, VLAN: 5, Groups: []netip.Addr{g6}},
			{Source: v4, VLAN: 5, Version: 2, Groups: []netip.Addr{g4}},
			{Source: ll, Version: 1, Groups: []netip.Addr{g6}}},
	}
	addresses := [][]byte{frame.GratuitousARP(adapterMAC, v4, 0), frame.UnsolicitedNA(adapterMAC, v6, true, 0),
		frame.GratuitousARP(mac, v4, 5)}
	groups := [][]byte{frame.IGMPReport(adapterMAC, v4, []netip.Addr{g4}),
		tag(frame.MLDReport(adapterMAC, ll.WithZone(""), []netip.Addr{g6}), 5),
		tag(frame.IGMPReports(adapterMAC, v4, 2, []netip.Addr{g4})[0], 5),
		frame.MLDReports(adapterMAC, ll.WithZone(""), 1, []netip.Addr{g6})[0]}
	by := func(id int, frames ...[]byte) (sends []spread.Send) {
		for _, f := range frames {
			sends = append(sends, spread.Send{Member: id, Frame: f})
		}
		return sends
	}
	behind := []StationPath{{Station: frame.StationOf(mac, 0), Member: 7},
		{Station: frame.StationOf(mac, 5), Member: 7}}
	for _, c := range []struct {
		tell modes.Tell
		want []spread.Send
	}{
		{modes.TellAll, slices.Concat(by(3, addresses...), by(7, frame.RARP(mac, 0), frame.RARP(mac, 5)),
			by(3, groups...))},
		{modes.TellAddresses, by(3, addresses...)},
		{modes.TellGroups, by(3, groups...)},
		{modes.TellBehind, by(7, frame.RARP(mac, 0), frame.RARP(mac, 5))},
	} {
		a := announcement{tell: c.tell, via: []int{3}, adapterMAC: adapterMAC, stations: behind}
		if diff := cmp.Diff(c.want, a.frames(what), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%b (-want +got):\n%s", c.tell, diff)
		}
	}
}

// TestLoopAnnounceAsks: the adapter's stack knows hosts once the adapter has its addresses, and a mode that steers gets
// to know them only when they are asked.
func TestLoopAnnounceAsks(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*settings.Config)
		want   modes.Tell
	}{
		{"steers", func(c *settings.Config) { *c = elb() }, modes.TellAll | modes.TellAsk},
		{"does not steer", func(c *settings.Config) { *c = elb(); c.ReceiveBalance = false }, modes.TellAll},
		{"balance off", func(c *settings.Config) { *c = elb(); c.Balance = false }, modes.TellAll},
		{"another mode", func(c *settings.Config) { c.ReceiveBalance = true }, modes.TellAll},
	} {
		r := newRig(t, tt.change)
		r.join(1)
		r.link(1, true)
		if got := r.do(Announce{}).Tell; got != tt.want {
			t.Errorf("%s: tells %b, want %b", tt.name, got, tt.want)
		}
	}
}
