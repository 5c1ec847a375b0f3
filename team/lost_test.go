// SPDX-License-Identifier: MIT

package team

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nicteam/internal/api"
	"nicteam/monitor"
)

// told returns the events that are there.
func told(events <-chan api.Event) (list []string) {
	synctest.Wait()
	for {
		select {
		case e := <-events:
			list = append(list, names([]api.Event{e})[0]+": "+e.Reason)
		default:
			return list
		}
	}
}

// A data path that has seen a loss is believed, while the kernel takes long to answer whether it is so.
func TestTeamBelievesALoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		time.Sleep(time.Second)
		events := tm.Follow(t.Context())
		k.do(func() { k.slowCarrier = time.Second })
		time.Sleep(20 * time.Millisecond) // a reading has begun
		lost := time.Now()
		k.cable(1, false)
		k.control <- Control{Kind: ControlLost, Member: 0, Index: linkOf(1).Index}
		until(t, events, "active-changed")
		if late := time.Since(lost); late > 0 {
			t.Errorf("failover after %v", late)
		}
		time.Sleep(10 * time.Second)
		if s := tm.Status(); s.Active != "eth2" || s.Members[0].State != "down" || s.Members[0].Failures != 1 {
			t.Errorf("active %s, %+v", s.Active, s.Members[0])
		}
		if diff := cmp.Diff([]string{"team-degraded: eth1: carrier lost"}, told(events)); diff != "" {
			t.Error(diff)
		}
	})
}

// What a reading contradicts was a moment: the member is back as soon as that is read, and what is reported next of it
// is read first.
func TestTeamDoubtsALoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		tm := running(t, k, Options{}, 1, 2)
		time.Sleep(time.Second)
		events := tm.Follow(t.Context())
		report := func(down bool) {
			k.control <- Control{Kind: ControlLost, Member: 0, Index: linkOf(1).Index, Down: down}
			time.Sleep(5 * time.Millisecond)
		}
		report(true)
		got := told(events)
		want := []string{"member-down eth1: administratively down",
			"active-changed eth2: eth1 is not usable, eth2 is the first usable member",
			"team-degraded: eth1: administratively down", "member-up eth1: ", "team-up: "}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		for range 10 {
			report(false)
		}
		if got := told(events); len(got) > 0 {
			t.Errorf("while in doubt %v", got)
		}
		k.cable(1, false)
		report(false)
		if s := tm.Status(); s.Members[0].State != "down" {
			t.Errorf("after a loss while in doubt %+v", s.Members[0])
		}
	})
}

// With a down_delay no report makes a member down before it is over, and another NIC's are not the member's.
func TestTeamWaitsWithALoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		c := activeBackup()
		c.DownDelay = 200 * time.Millisecond
		tm := running(t, k, Options{Config: c}, 1, 2)
		time.Sleep(time.Second)
		k.control <- Control{Kind: ControlLost, Member: 0, Index: 4711}
		k.cable(1, false)
		k.control <- Control{Kind: ControlLost, Member: 0, Index: linkOf(1).Index}
		time.Sleep(190 * time.Millisecond)
		if s := tm.Status(); s.Active != "eth1" {
			t.Errorf("active %s before the delay is over", s.Active)
		}
		time.Sleep(20 * time.Millisecond)
		if s := tm.Status(); s.Active != "eth2" {
			t.Errorf("active %s after the delay", s.Active)
		}
	})
}

// A report that was on its way when a later one was believed changes nothing.
func TestLoopOlderReport(t *testing.T) {
	r := newRig(t, nil)
	r.join(1)
	r.link(1, true)
	old := monitor.LinkState{Index: linkOf(1).Index, Watch: "carrier", Up: true, At: r.now.Add(time.Millisecond),
		Link: monitor.Link{Exists: true, AdminUp: true, Carrier: true}}
	r.now = r.now.Add(2 * time.Millisecond)
	r.link(1, false)
	r.do(LinkChanged{old})
	if s := r.l.Status().Members[0]; s.Link {
		t.Errorf("a report of before counts: %+v", s)
	}
}
