// SPDX-License-Identifier: MIT

package relay

import (
	"encoding/binary"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/frame"
	"nicteam/internal/lab/labtest"
	"nicteam/modes/spread"
	"nicteam/team"
)

// lives has stations live behind the adapter in a Plan.
func lives(pl *spread.Plan, stations ...frame.Station) {
	pl.Stations, pl.Promiscuous = stations, true
	for _, s := range stations {
		pl.Behind, pl.TeamMACs = append(pl.Behind, s.MAC()), append(pl.TeamMACs, s.MAC())
	}
}

// inVLAN is an untagged frame with a tag.
func inVLAN(b []byte, tpid, vlan uint16) []byte {
	tag := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, tpid), vlan)
	return slices.Concat(b[:12], tag, b[12:])
}

// Whether a frame is reflected or its station has moved follows from when the adapter last sent from it.
func TestSinceSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g recentLocal
		c := newClock()
		s := frame.StationOf(behindMAC, 5)
		unit := time.Duration(1) << recentUnit
		for range 50 {
			g.noteSent(c.now(), s)
			sent := time.Now()
			g.noteSent(c.now(), frame.StationOf(behindMAC, 6))
			for time.Since(sent) < 2*RecentTime {
				took := time.Since(sent)
				got := g.sinceSent(c.now(), s)
				if want := min(took, RecentTime); got > want || got < want-2*unit {
					t.Fatalf("%v after it has sent it is %v", took, got)
				}
				if got := g.sinceSent(c.now(), frame.StationOf(behindMAC, 0)); got != RecentTime {
					t.Fatalf("the same MAC in another VLAN has sent %v ago", got)
				}
				time.Sleep(37 * time.Millisecond)
			}
		}
		// Who reads the clock may stand still before looking.
		early := c.now()
		time.Sleep(3 * time.Second)
		g.noteSent(c.now(), s)
		if got := g.sinceSent(early, s); got != 0 {
			t.Errorf("noted after the clock was read: %v ago", got)
		}
		if got := g.sinceSent(c.now(), s); got > unit {
			t.Errorf("and a look has forgotten it: %v ago", got)
		}
		// When the moments have come round, what was long ago is not taken for young.
		g.noteSent(c.now(), s)
		time.Sleep(time.Minute)
		g.sinceSent(c.now(), s)
		time.Sleep(unit<<16 - time.Minute)
		if got := g.sinceSent(c.now(), s); got != RecentTime {
			t.Errorf("once round, it has sent %v ago", got)
		}
	})
}

func TestMoveCandidates(t *testing.T) {
	var l MoveCandidates
	s := func(i int) frame.Station { return frame.StationOf(behindMAC+frame.MAC(i), 0) }
	looks := func(now int64) (n int) {
		for i := range 100_000 {
			if l.Add(now, s(i%1000)) {
				n++
			}
		}
		return n
	}
	now := int64(5e12)
	for range 3 {
		if got := looks(now); got != len(l.stations) {
			t.Errorf("%d looks for a flood", got)
		}
		if now += int64(moveCandidatesInterval) - 1; looks(now) != 0 {
			t.Error("looks go on")
		}
		now++
	}
}

// A station that sends from another host is reported once, however much it sends, in its VLAN.
func TestMovedStationIsReported(t *testing.T) {
	g := newRig(t, 2)
	pl := g.plan(spread.RuleSingle)
	lives(pl, frame.StationOf(behindMAC, 0), frame.StationOf(behindMAC, 7))
	g.apply(pl)
	host, peer := g.teamPort(), g.peerPort(0)
	for i := range 100 {
		b := testFrame(frame.Broadcast, behindMAC, i)
		peer.send(b)
		host.expect(b)
	}
	want := []frame.Station{frame.StationOf(behindMAC, 0)}
	var got []frame.Station
	told := func() bool {
		got = append(got, g.reportedMoved()...)
		return len(got) > 0
	}
	labtest.Eventually(t, "a report of the station", told)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// A station that the Plan does not have is not reported.
	peer.send(inVLAN(testFrame(frame.Broadcast, behindMAC, 1), frame.TypeVLAN, 9))
	peer.send(testFrame(frame.Broadcast, strangerMAC, 1))
	peer.send(inVLAN(testFrame(frame.Broadcast, behindMAC, 1), frame.TypeVLAN, 7))
	want = []frame.Station{frame.StationOf(behindMAC, 7)}
	got = nil
	labtest.Eventually(t, "a report of the station in a VLAN", told)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A MAC may live behind the adapter in one VLAN and elsewhere in another, as VRRP's does.
func TestStationMovedInOneVLAN(t *testing.T) {
	g := newRig(t, 2)
	pl := g.plan(spread.RuleSingle)
	lives(pl, frame.StationOf(behindMAC, 7))
	g.apply(pl)
	host, peer := g.teamPort(), g.peerPort(0)
	for i := range 20 {
		own := inVLAN(testFrame(frame.Broadcast, behindMAC, i), frame.TypeVLAN, 7)
		host.send(own)
		peer.expect(own)
		b := inVLAN(testFrame(frame.Broadcast, behindMAC, 100+i), frame.TypeVLAN, 9)
		peer.send(b)
		host.expect(b)
	}
	if got := g.reportedMoved(); len(got) > 0 {
		t.Errorf("reported %v", got)
	}
}

// Who the adapter sends from is here, whoever else says so elsewhere: what it has sent meanwhile is looked at first.
func TestSendingStationHasNotMoved(t *testing.T) {
	g := newRig(t, 1)
	pl := g.plan(spread.RuleSingle)
	s := frame.StationOf(behindMAC, 0)
	lives(pl, s)
	g.apply(pl)
	host := g.teamPort()
	labtest.Eventually(t, "a station's word that is not old when it is looked at", func() bool {
		g.reportedMoved()
		began := time.Now()
		host.send(testFrame(peerMAC, behindMAC, 1))
		g.relay.reportIfMoved(s)
		got := g.reportedMoved()
		if time.Since(began) >= MovedAfter {
			return false // the machine was busy
		}
		if len(got) > 0 {
			t.Fatalf("reported %v", got)
		}
		return true
	})
	other := frame.StationOf(strangerMAC, 7)
	g.relay.reportIfMoved(other)
	if diff := cmp.Diff([]frame.Station{other}, g.reportedMoved()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Programs know of others.
	g.relay.SetSentByPrograms(func(s frame.Station) bool { return s == other })
	g.relay.reportIfMoved(other)
	if got := g.reportedMoved(); len(got) > 0 {
		t.Errorf("reported %v, which programs sent from", got)
	}
	g.relay.SetSentByPrograms(nil)
	now := g.relay.clock.now()
	g.relay.NoteSentByPrograms(map[frame.Station]int64{other: now})
	if !g.relay.recentLocal.sentRecently(now, other) {
		t.Error("what programs have seen is not noted")
	}
}

// reportedMoved returns the stations that were reported so far.
func (g *rig) reportedMoved() (all []frame.Station) {
	g.Helper()
	labtest.Must(g, g.relay.DoWithPicker(func(*spread.Picker, int64) {})) // behind all that was asked before
	for {
		select {
		case c := <-g.relay.Control():
			if c.Kind == team.ControlStationMoved {
				all = append(all, c.Station)
			}
		default:
			return all
		}
	}
}

// A switch that floods reflects an announcement in the name of a station. It must not be accepted: a bridge would learn
// the station there.
func TestReflectedAnnouncementOfAStation(t *testing.T) {
	g := newRig(t, 3)
	g.flood()
	pl := g.plan(spread.RuleSingle)
	lives(pl, frame.StationOf(behindMAC, 0))
	g.apply(pl)
	host := g.teamPort()
	labtest.Must(t, g.relay.Send(1, frame.RARP(behindMAC, 0)))
	labtest.Must(t, g.relay.Send(1, frame.RARP(strangerMAC, 7)))
	g.await("frames that came back", func(c *team.Counters) bool {
		return c.Members[0].RXDrop[team.DropReflected]+c.Members[2].RXDrop[team.DropReflected] == 4
	})
	host.empty()
	if got := g.reportedMoved(); len(got) > 0 {
		t.Errorf("reported %v", got)
	}
}
