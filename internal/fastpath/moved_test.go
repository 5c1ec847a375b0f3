// SPDX-License-Identifier: MIT

package fastpath

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/lab"
	"nicteam/internal/lab/labtest"
	"nicteam/internal/relay"
	"nicteam/modes/spread"
	"nicteam/team"
)

const guestMAC = frame.MAC(0x0200000000dd)

// withGuest returns a rig whose Plan has a station, untagged and in VLAN 7, moved by programs.
func withGuest(t *testing.T) *rig {
	t.Helper()
	g := newRig(t, 2)
	pl := g.plan(spread.RuleSingle)
	pl.Promiscuous, pl.Behind, pl.TeamMACs = true, []frame.MAC{guestMAC}, append(pl.TeamMACs, guestMAC)
	pl.Stations = []frame.Station{frame.StationOf(guestMAC, 0), frame.StationOf(guestMAC, 7)}
	labtest.Must(t, g.path.Apply(pl))
	labtest.Must(t, g.path.Engage())
	return g
}

// says is a broadcast of the station's of an ethertype.
func says(kind uint16) []byte {
	b := stack(make([]byte, 46), ether(frame.Broadcast, guestMAC, kind))
	return slices.Clone(b)
}

// movedSoFar returns the stations that were reported so far.
func (g *rig) movedSoFar() (all []frame.Station) {
	g.Helper()
	labtest.Must(g, g.path.relay.DoWithPicker(func(*spread.Picker, int64) {})) // behind all that was asked before
	for {
		select {
		case c := <-g.path.Control():
			if c.Kind == team.ControlStationMoved {
				all = append(all, c.Station)
			}
		default:
			return all
		}
	}
}

// A station that sends from another host is reported, whether programs move the frame or the relay does, and in its
// VLAN.
func TestMovedStationIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		frame []byte
		want  frame.Station
	}{
		"by the programs":           {says(frame.TypeRARP), frame.StationOf(guestMAC, 0)},
		"by the programs in a VLAN": {frame.RARP(guestMAC, 7), frame.StationOf(guestMAC, 7)},
		"by the relay":              {says(frame.TypeARP), frame.StationOf(guestMAC, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			g := withGuest(t)
			heard := listenTo(t, g.host, "team0")
			var told []frame.Station
			labtest.Eventually(t, "a report of the station", func() bool {
				send(t, g.peer, "p0", c.frame)
				told = append(told, g.movedSoFar()...)
				return len(told) > 0
			})
			if diff := cmp.Diff([]frame.Station{c.want}, told); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			b := make([]byte, 100)
			if n, err := unix.Read(heard, b); err != nil || frame.MACAt(b[:n], 6) != guestMAC {
				t.Errorf("the adapter got % x, %v", b[:max(n, 0)], err)
			}
		})
	}
}

// A station from which the adapter sends has not moved: it is not reported, and forged frames are not accepted, whether
// programs or the relay transmit and receive.
func TestForgedSourceOfASendingStation(t *testing.T) {
	for name, c := range map[string]struct{ own, forged []byte }{
		"programs and programs": {says(frame.TypeRARP), says(frame.TypeRARP)},
		"programs and relay":    {says(frame.TypeRARP), says(frame.TypeARP)},
		"relay and programs":    {says(frame.TypeARP), says(frame.TypeRARP)},
	} {
		t.Run(name, func(t *testing.T) {
			g := withGuest(t)
			guest, forger := speaker(t, g.host, "team0"), speaker(t, g.peer, "p0")
			rounds, late := 0, false
			labtest.Eventually(t, "rounds in which the station has spoken just now", func() bool {
				began := time.Now()
				guest(c.own)
				for range 5 {
					forger(c.forged)
				}
				told := g.movedSoFar()
				if time.Since(began) >= relay.MovedAfter {
					late = true // the machine was busy: what is reported next may be of this round
					return false
				}
				if len(told) > 0 && !late {
					t.Fatalf("reported %v", told)
				}
				late = false
				rounds++
				return rounds == 10
			})
		})
	}
}

// speaker sends frames by a NIC of h.
func speaker(t *testing.T, h *lab.Host, name string) func(f []byte) {
	t.Helper()
	l, err := h.Handle().LinkByName(name)
	labtest.Must(t, err)
	to := &unix.SockaddrLinklayer{Ifindex: l.Attrs().Index}
	fd := -1
	labtest.Must(t, h.Do(func() (err error) {
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		return err
	}))
	t.Cleanup(func() { unix.Close(fd) })
	return func(f []byte) {
		t.Helper()
		labtest.Must(t, unix.Sendto(fd, f, 0, to))
	}
}

// When the relay takes over it knows what programs sent for a station.
func TestRelayKnowsWhatProgramsSent(t *testing.T) {
	g := withGuest(t)
	heard := listenTo(t, g.host, "team0")
	labtest.Must(t, unix.SetNonblock(heard, true))
	labtest.Eventually(t, "a change-over that took no time", func() bool {
		labtest.Must(t, g.path.Engage())
		began := time.Now()
		send(t, g.host, "team0", says(frame.TypeRARP))
		labtest.Must(t, g.path.Disengage())
		var before, after team.Counters
		g.path.Counters(&before)
		send(t, g.peer, "p0", says(frame.TypeRARP))
		labtest.Eventually(t, "the frame", func() bool {
			g.path.Counters(&after)
			return after.Members[0].RXDrop[team.DropReflected] > before.Members[0].RXDrop[team.DropReflected] ||
				time.Since(began) >= relay.RecentTime
		})
		return time.Since(began) < relay.RecentTime
	})
	for _, s := range g.movedSoFar() {
		t.Errorf("reported %v", s)
	}
}

// An announcement in the name of a station counts as its own frame when it is reflected to the programs.
func TestAnnouncementOfAStationIsRecorded(t *testing.T) {
	g := withGuest(t)
	known, other := frame.StationOf(guestMAC, 7), frame.StationOf(guestMAC+1, 9)
	for _, s := range []frame.Station{known, other} {
		began := uint64(relay.Monotonic())
		labtest.Must(t, g.path.Send(0, frame.RARP(s.MAC(), s.VLAN())))
		at := g.path.kernel.stations.sent(s)
		if s == other {
			labtest.Must(t, g.path.kernel.RecentLocal.Lookup(uint64(s), &at))
		}
		if at < began {
			t.Errorf("%v was announced after %d, noted at %d", s, began, at)
		}
	}
}

// Frames of a station may be reflected after the Plan has removed it.
func TestRemovedStationIsRecorded(t *testing.T) {
	g := withGuest(t)
	labtest.Eventually(t, "a Plan without the station that comes at once", func() bool {
		s := frame.StationOf(guestMAC, 0)
		pl := *g.path.plan
		began := time.Now()
		send(t, g.host, "team0", says(frame.TypeRARP))
		sent := g.path.kernel.stations.sent(s)
		pl.Stations, pl.Behind = nil, nil
		labtest.Must(t, g.path.Apply(&pl))
		if time.Since(began) >= relay.RecentTime {
			return false
		}
		var noted uint64
		labtest.Must(t, g.path.kernel.RecentLocal.Lookup(uint64(s), &noted))
		if sent == 0 || noted != sent {
			t.Errorf("sent at %d, noted at %d", sent, noted)
		}
		return true
	})
}
