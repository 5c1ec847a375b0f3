// SPDX-License-Identifier: MIT

package team

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
)

func elb() settings.Config {
	c := settings.DefaultConfig()
	c.LinkWatch = []string{"carrier"}
	c.Team = "team0"
	return c
}

// TestRatesOfMembers: what a Status says of a member's rate before and after it is measured, and when that is
// forgotten.
func TestRatesOfMembers(t *testing.T) {
	r := newRig(t, func(c *settings.Config) { *c = elb() })
	r.join(1)
	b, _ := r.join(2), r.join(3)
	r.link(1, true)
	r.link(2, true)
	want := func(what string, n int, bps uint64, source string) {
		t.Helper()
		if m := r.member(n); m.RateBps != bps || m.RateSource != source {
			t.Errorf("%s: eth%d carries %d bit/s (%s), want %d (%s)", what, n, m.RateBps, m.RateSource, bps, source)
		}
	}
	want("not measured", 1, 1e9, "link")
	want("without link", 3, 0, "")
	if s := r.l.Status(); s.FlowMoves == nil || s.FlowMoves.Forced != 0 {
		t.Errorf("flow moves %+v, want 0", s.FlowMoves)
	}

	var f spread.FlowTable
	f.Members[b] = spread.Queue{Rate: 2e8, Source: spread.RateMeasured}
	f.Forced = 7
	var h spread.RxBytes
	r.do(Measured{Flows: &f, RxBytes: &h})
	want("measured", 2, 2e8, "measured")
	want("not in the table", 1, 1e9, "link")
	if s := r.l.Status(); s.FlowMoves.Forced != 7 {
		t.Errorf("flow moves %+v, want 7", s.FlowMoves)
	}

	c := r.l.Config()
	c.Members[1].Weight = 4
	r.do(Change{c})
	want("of another weight", 2, 1e9, "link")
	want("a quarter of the largest", 1, 25e7, "link")
	r.do(Measured{Flows: &f, RxBytes: &h})
	want("measured again", 2, 2e8, "measured")
	s := r.l.byName("eth2").linkState
	s.Link.SpeedBps = 0
	s.At = r.now
	r.do(LinkChanged{s})
	want("of no known speed", 2, 1e9, "assumed")

	for _, change := range []func(*settings.Config){func(c *settings.Config) {
		c.Balance = false
	}, func(c *settings.Config) { c.Balance, c.Mode = true, modes.XOR }} {
		r.do(Measured{Flows: &f, RxBytes: &h})
		change(&c)
		r.do(Change{c})
		want("elsewhere", 1, 0, "")
		want("elsewhere", 2, 0, "")
		if s := r.l.Status(); s.FlowMoves != nil {
			t.Errorf("flow moves %+v where there are none", s.FlowMoves)
		}
	}
	c.Mode = modes.ELB
	r.do(Change{c})
	want("elb again", 2, 1e9, "assumed")
}

// TestEvened: however often rates are measured, the mode hears of it once a rebalance, and each time when that is 0.
func TestEvened(t *testing.T) {
	for _, tt := range []struct {
		rebalance, every time.Duration
		want             int // in ten rounds
	}{
		{time.Second, time.Second, 10},
		{time.Second, 1010 * time.Millisecond, 10},
		{time.Second, 990 * time.Millisecond, 10},
		{3 * time.Second, measureInterval(3 * time.Second), 4},
		{1500 * time.Millisecond, measureInterval(1500 * time.Millisecond), 5},
		{2500 * time.Millisecond, measureInterval(2500 * time.Millisecond), 4},
		{100 * time.Millisecond, 100 * time.Millisecond, 10},
		{time.Hour, time.Second, 1},
		{0, time.Second, 10},
	} {
		r := newRig(t, func(c *settings.Config) { *c = elb(); c.Rebalance = tt.rebalance })
		r.join(1)
		r.link(1, true)
		n, last := 0, time.Time{}
		for range 10 {
			r.run(tt.every)
			r.do(Measured{Flows: &spread.FlowTable{}, RxBytes: &spread.RxBytes{}})
			if !r.l.lastMeasured.Equal(last) {
				n, last = n+1, r.l.lastMeasured
			}
		}
		if n != tt.want {
			t.Errorf("rebalance %v, measured each %v: evened %d times, want %d", tt.rebalance, tt.every, n, tt.want)
		}
	}
}

// TestMeasures: the data path is asked once an interval while frames move, and a little longer.
func TestMeasures(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		k.flows = &spread.FlowTable{Forced: 3}
		k.flows.Members[0] = spread.Queue{Rate: 5e8, Source: spread.RateMeasured}
		tm := running(t, k, Options{Config: elb()}, 1, 2)
		asked := func(d time.Duration, moving bool) int {
			k.taken()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
				if moving {
					k.do(func() { k.moved[0].TX++ })
				}
			}
			return len(slices.DeleteFunc(k.taken(), func(c string) bool { return c != "flows" }))
		}
		want := func(what string, got, low, high int) {
			t.Helper()
			if got < low || got > high {
				t.Errorf("%s: asked %d times, want %d to %d", what, got, low, high)
			}
		}
		set := func(change func(*settings.Config)) {
			t.Helper()
			c := tm.Config()
			change(&c)
			if err := tm.Set(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			time.Sleep(measureMax) // the timer that runs is not shortened
		}
		want("moving", asked(10*time.Second, true), 9, 11)
		if s := tm.Status(); s.FlowMoves.Forced != 3 || s.Members[0].RateBps != 5e8 ||
			s.Members[1].RateSource != "link" {
			t.Errorf("status shows %+v, %+v", s.FlowMoves, s.Members)
		}
		want("after that", asked(20*time.Second, false), measureQuietRounds-1, measureQuietRounds+1)
		want("at rest", asked(10*time.Second, false), 0, 0)
		want("moving again", asked(10*time.Second, true), 9, 11)
		set(func(c *settings.Config) { c.Rebalance = 200 * time.Millisecond })
		want("often", asked(10*time.Second, true), 47, 51)
		set(func(c *settings.Config) { c.Rebalance = 0 })
		want("for receiving alone", asked(10*time.Second, true), 9, 11)
		set(func(c *settings.Config) { c.Rebalance = time.Hour })
		want("for the status", asked(10*time.Second, true), 9, 11)
		set(func(c *settings.Config) { c.Balance = false })
		want("balance off", asked(10*time.Second, true), 0, 0)
		set(func(c *settings.Config) { c.Mode, c.Balance = modes.XOR, true })
		want("another mode", asked(10*time.Second, true), 0, 0)
		if p, err := tm.Peers(t.Context()); err != nil || p != nil {
			t.Errorf("peers of a mode that steers none: %v, %v", p, err)
		}
	})
}

// TestAddressesRefused: a NIC that accepts frames for its own address only gets no other, which is no fault.
func TestAddressesRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		k.ownMAC = map[int]bool{1: true, 2: true}
		tm := running(t, k, Options{Config: elb()}, 1, 2, 3)
		k.cable(1, false)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		s := tm.Status()
		if s.Warnings = slices.DeleteFunc(s.Warnings, func(w string) bool {
			return !strings.Contains(w, "Plan")
		}); len(s.Warnings) > 0 {
			t.Errorf("warnings %q", s.Warnings)
		}
		k.do(func() {
			for id := range k.ownMAC {
				if len(k.plan.Filter[id]) > 0 {
					t.Errorf("member %d is to take in %v", id, k.plan.Filter[id])
				}
			}
			if k.plan.Distributing != 0b110 {
				t.Errorf("members that send: %b", k.plan.Distributing)
			}
		})
		var refused []api.Event
		for _, e := range tm.Events(time.Time{}) {
			if e.Event == "addresses-refused" {
				refused = append(refused, e)
			}
		}
		if len(refused) == 0 || !strings.Contains(refused[0].Reason, "operation not supported") {
			t.Errorf("events %+v", refused)
		}
	})
}

// A mode that has no other way wants what was refused: a warning stands until there is another mode.
func TestAddressesRefusedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKernel()
		k.ownMAC = map[int]bool{0: true, 1: true}
		c := activeBackup() // both members take in the adapter's address whatever they are
		tm := running(t, k, Options{Config: c}, 1, 2)
		time.Sleep(time.Second)
		s := tm.Status()
		if len(s.Warnings) != 2 || !strings.Contains(s.Warnings[0], "operation not supported") || s.State == "up" {
			t.Errorf("%s with warnings %q", s.State, s.Warnings)
		}
		c = tm.Config()
		c.Mode, c.Members = modes.ELB, nil
		if err := tm.Set(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if s := tm.Status(); s.State != "up" || len(s.Warnings) > 0 {
			t.Errorf("%s with warnings %q", s.State, s.Warnings)
		}
	})
}
