// SPDX-License-Identifier: MIT

package monitor

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"nicteam/internal/panics"
)

// source is a kernel whose links the test sets. Events come only when the test says so.
type source struct {
	events chan struct{}

	mu    sync.Mutex
	links map[int]Link
	slow  time.Duration // how long Link takes
	reads int           // of Carrier
	full  int           // of Link

	slowCarrier time.Duration // how long an answer of Carrier takes to come
}

func newSource(links map[int]Link) *source {
	return &source{events: make(chan struct{}, 1), links: links}
}

func (s *source) Changes(ctx context.Context) <-chan struct{} { return s.events }

func (s *source) Carrier(index int) bool {
	s.mu.Lock()
	s.reads++
	up, slow := s.links[index].Carrier, s.slowCarrier
	s.mu.Unlock()
	time.Sleep(slow)
	return up
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

func (s *source) Link(index int) Link {
	s.mu.Lock()
	slow := s.slow
	s.full++
	s.mu.Unlock()
	time.Sleep(slow)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.links[index]
}

func (s *source) set(index int, l Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links[index] = l
}

var (
	gigabit = Link{Exists: true, AdminUp: true, Carrier: true, SpeedBps: 1e9, Duplex: "full"}
	pulled  = Link{Exists: true, AdminUp: true}
	disable = Link{Exists: true}
)

// watching runs a Carrier on nics in a bubble; the test ends it.
func watching(t *testing.T, s *source, nics ...int) (*Carrier, <-chan LinkState) {
	c := NewCarrier(s, panics.New(nil))
	for _, i := range nics {
		c.Add(i)
	}
	reports := make(chan LinkState, 100)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Watch(ctx, func(l LinkState) { reports <- l }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
	return c, reports
}

// reported returns all that was reported until everything rests.
func reported(reports <-chan LinkState) (all []LinkState) {
	synctest.Wait()
	for {
		select {
		case r := <-reports:
			all = append(all, r)
		default:
			return all
		}
	}
}

func expect(t *testing.T, what string, got []LinkState, want ...LinkState) {
	t.Helper()
	for i := range want {
		want[i].Watch = "carrier"
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(LinkState{}, "At"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestCarrierReasons(t *testing.T) {
	tests := []struct {
		name string
		link Link
		want string
	}{
		{"cable", pulled, "carrier lost"},
		{"admin", disable, "administratively down"},
		{"gone", Link{}, "NIC is gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource(map[int]Link{3: gigabit})
				_, reports := watching(t, s, 3)
				expect(t, "at first", reported(reports), LinkState{Index: 3, Up: true, Link: gigabit})

				s.set(3, tt.link)
				s.events <- struct{}{}
				expect(t, "lost", reported(reports), LinkState{Index: 3, Reason: tt.want, Link: tt.link})

				s.set(3, gigabit)
				s.events <- struct{}{}
				expect(t, "back", reported(reports), LinkState{Index: 3, Up: true, Link: gigabit})
			})
		})
	}
}

// The kernel withholds the event of a second loss for up to a second. The reading must find it alone.
func TestCarrierFindsLossWithoutEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit, 4: gigabit})
		_, reports := watching(t, s, 3, 4)
		reported(reports)

		s.set(3, pulled)
		s.events <- struct{}{}
		expect(t, "first, with an event", reported(reports), LinkState{Index: 3, Reason: ReasonCarrier, Link: pulled})

		time.Sleep(100 * time.Millisecond)
		reported(reports)
		lost := time.Now()
		s.set(4, pulled) // and no event
		var second LinkState
		select {
		case second = <-reports:
		case <-time.After(10 * time.Second):
			t.Fatal("never noticed")
		}
		expect(t, "second, without", []LinkState{second}, LinkState{Index: 4, Reason: ReasonCarrier, Link: pulled})
		if late := second.At.Sub(lost); late > normalInterval {
			t.Errorf("noticed after %v, want ≤ %v", late, normalInterval)
		}
	})
}

// One event has all NICs read: the event of the other is the one that is withheld.
// When idle, carriers are hardly read, until an event, a ReadNow or another poll rate.
func TestCarrierPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{1: gigabit})
		c, reports := watching(t, s, 1)
		time.Sleep(idleAfter + time.Second)
		reported(reports)
		c.SetPollRate(PollIdle)
		time.Sleep(time.Second)
		before := s.count()
		time.Sleep(10 * time.Second)
		if n := s.count() - before; n > 11 {
			t.Errorf("%d readings in 10 s of rest", n)
		}
		before = s.count()
		for range 50 {
			time.Sleep(200 * time.Millisecond)
			c.ReadOnce()
		}
		synctest.Wait()
		if n := s.count() - before; n < 50 || n > 51 { // one by its own timer before the first
			t.Errorf("%d readings of 50 asked for", n)
		}
		s.set(1, pulled)
		c.ReadOnce()
		time.Sleep(time.Millisecond)
		if got := reported(reports); len(got) == 0 || got[0].Up {
			t.Errorf("after ReadOnce: %+v", got)
		}
		s.set(1, gigabit)
		c.ReadNow()
		time.Sleep(time.Millisecond)
		if got := reported(reports); len(got) == 0 || !got[0].Up {
			t.Errorf("after ReadNow: %+v", got)
		}
		// A refused frame may be seen before the carrier's loss.
		c.ReadNow()
		synctest.Wait()
		s.set(1, pulled)
		time.Sleep(normalInterval)
		if got := reported(reports); len(got) == 0 || got[0].Up {
			t.Errorf("soon after ReadNow: %+v", got)
		}
		s.events <- struct{}{}
		synctest.Wait()
		before = s.count()
		time.Sleep(time.Second)
		if n := s.count() - before; n < 90 {
			t.Errorf("%d readings in the second after an event: a second loss may be held back", n)
		}
		time.Sleep(2 * idleAfter)
		c.SetPollRate(PollNormal)
		synctest.Wait()
		before = s.count()
		time.Sleep(time.Second)
		if n := s.count() - before; n < 90 || n > 110 {
			t.Errorf("%d readings in the second after the rest", n)
		}
		c.SetPollRate(PollBusy)
		time.Sleep(normalInterval)
		before = s.count()
		time.Sleep(time.Second)
		if n := s.count() - before; n < 300 || n > 350 {
			t.Errorf("%d readings in a second of much traffic", n)
		}
	})
}

func TestCarrierEventReadsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit, 4: gigabit})
		_, reports := watching(t, s, 3, 4)
		reported(reports)
		time.Sleep(5 * time.Millisecond) // between two readings
		s.set(4, pulled)
		s.events <- struct{}{}
		expect(t, "without time passing", reported(reports), LinkState{Index: 4, Reason: ReasonCarrier, Link: pulled})
	})
}

func TestCarrierReadNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit})
		c, reports := watching(t, s, 3)
		reported(reports)
		time.Sleep(5 * time.Millisecond)
		s.set(3, pulled)
		c.ReadNow()
		expect(t, "read now", reported(reports), LinkState{Index: 3, Reason: ReasonCarrier, Link: pulled})

		// A second ReadNow right after it is delayed, not lost.
		s.set(3, gigabit)
		c.ReadNow()
		expect(t, "within the gap", reported(reports))
		time.Sleep(readNowGap)
		expect(t, "after the gap", reported(reports), LinkState{Index: 3, Up: true, Link: gigabit})

		// Endless ReadNow costs a bounded number of readings.
		before := s.count()
		for range 1000 {
			c.ReadNow()
			time.Sleep(10 * time.Microsecond)
		}
		if n := s.count() - before; n > 15 {
			t.Errorf("%d readings in 10 ms of poking, want about 10", n)
		}
	})
}

// While the kernel is busy, the verdict does not wait for its reason.
func TestCarrierVerdictBeforeReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit})
		_, reports := watching(t, s, 3)
		reported(reports)
		s.mu.Lock()
		s.slow = 300 * time.Millisecond
		s.mu.Unlock()
		s.set(3, disable)
		lost := time.Now()
		s.events <- struct{}{}
		first := <-reports
		if first.Up || first.Reason != ReasonCarrier {
			t.Errorf("first report %+v", first)
		}
		if late := time.Since(lost); late > 2*describeWait {
			t.Errorf("reported after %v", late)
		}
		expect(t, "reason", []LinkState{<-reports}, LinkState{Index: 3, Reason: ReasonAdmin, Link: disable})
	})
}

func TestCarrierSpeedChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit})
		_, reports := watching(t, s, 3)
		reported(reports)
		slow := gigabit
		slow.SpeedBps = 1e8
		s.set(3, slow)
		time.Sleep(time.Second)
		expect(t, "not read each time", reported(reports))
		s.mu.Lock()
		if s.full != 1 {
			t.Errorf("the description was read %d times, want once", s.full)
		}
		s.mu.Unlock()
		s.events <- struct{}{}
		expect(t, "read on an event", reported(reports), LinkState{Index: 3, Up: true, Link: slow})
	})
}

func TestCarrierAddRemoveLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit, 4: pulled})
		c, reports := watching(t, s, 3)
		reported(reports)
		c.Add(4)
		c.Add(4)
		time.Sleep(time.Millisecond)
		expect(t, "added", reported(reports), LinkState{Index: 4, Reason: ReasonCarrier, Link: pulled})
		c.Remove(3)
		s.set(3, pulled)
		s.set(4, gigabit)
		time.Sleep(20 * time.Millisecond)
		expect(t, "removed", reported(reports), LinkState{Index: 4, Up: true, Link: gigabit})
	})
}

// A subscription that ends for good leaves the reading.
func TestCarrierWithoutEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit})
		_, reports := watching(t, s, 3)
		reported(reports)
		close(s.events)
		s.set(3, pulled)
		time.Sleep(normalInterval)
		expect(t, "lost", reported(reports), LinkState{Index: 3, Reason: ReasonCarrier, Link: pulled})
	})
}

// free is a kernel that costs nothing, to see what the watch itself costs.
type free struct{}

func (free) Changes(context.Context) <-chan struct{} { return nil }
func (free) Carrier(int) bool                        { return true }
func (free) Link(int) Link                           { return gigabit }

func quiet() *Carrier {
	c := NewCarrier(free{}, panics.New(nil))
	for i := range 8 {
		c.Add(i)
	}
	c.readAll()
	for {
		if _, ok := c.nextReport(); !ok {
			return c
		}
	}
}

func TestCarrierTickAllocatesNothing(t *testing.T) {
	c := quiet()
	report := func(LinkState) { t.Error("a report without a change") }
	if n := testing.AllocsPerRun(1000, func() { c.readAll(); c.reportAll(report) }); n != 0 {
		t.Errorf("%v allocations a tick", n)
	}
}

func BenchmarkCarrierTick(b *testing.B) {
	c := quiet()
	report := func(LinkState) {}
	b.ReportAllocs()
	for b.Loop() {
		c.readAll()
		c.reportAll(report)
	}
}
