// SPDX-License-Identifier: MIT

package monitor

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// lost tells c of a loss and expects what it believes.
func lost(t *testing.T, c *Carrier, index int, down bool, want *LinkState) {
	t.Helper()
	begun := time.Now()
	s, believed := c.Lost(index, down)
	if waited := time.Since(begun); waited > 0 {
		t.Errorf("it has waited for %v", waited)
	}
	if believed != (want != nil) {
		t.Fatalf("believed %v: %+v", believed, s)
	}
	if want != nil {
		want.Index, want.Watch = index, "carrier"
		if diff := cmp.Diff(*want, s, cmpopts.IgnoreFields(LinkState{}, "At")); diff != "" {
			t.Error(diff)
		}
	}
}

// withoutCarrier is gigabit, of which nothing but the loss is known yet.
var withoutCarrier = Link{Exists: true, AdminUp: true, SpeedBps: 1e9, Duplex: "full"}

// A loss is believed before it is read. The reading confirms it, and adds the rest.
func TestLossIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit, 4: gigabit})
		c, reports := watching(t, s, 3, 4)
		reported(reports)
		time.Sleep(time.Second + 5*time.Millisecond) // between two readings
		s.set(3, pulled)
		lost(t, c, 3, false, &LinkState{Reason: ReasonCarrier, Link: withoutCarrier})
		lost(t, c, 3, false, nil) // no news
		lost(t, c, 5, false, nil) // no NIC of this team
		expect(t, "later", reported(reports), LinkState{Index: 3, Reason: ReasonCarrier, Link: pulled})
		time.Sleep(time.Second)
		expect(t, "much later", reported(reports))
		s.set(3, gigabit)
		time.Sleep(2 * normalInterval)
		expect(t, "back", reported(reports), LinkState{Index: 3, Up: true, Link: gigabit})

		// The reason is known at once, and is not taken back.
		time.Sleep(settleTime)
		s.set(4, disable)
		down := withoutCarrier
		down.AdminUp = false
		lost(t, c, 4, true, &LinkState{Reason: ReasonAdmin, Link: down})
		expect(t, "later", reported(reports), LinkState{Index: 4, Reason: ReasonAdmin, Link: disable})
	})
}

// The kernel may take long to answer: nobody who knows of a loss waits for that, and a reading that has begun before
// does not undo it.
func TestLossWhileTheKernelIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit})
		c, reports := watching(t, s, 3)
		reported(reports)
		time.Sleep(time.Second)
		s.mu.Lock()
		s.slowCarrier, s.slow = 300*time.Millisecond, 300*time.Millisecond
		s.mu.Unlock()
		c.ReadNow()
		time.Sleep(20 * time.Millisecond) // it has read, and waits for the answer
		s.set(3, pulled)
		lost(t, c, 3, false, &LinkState{Reason: ReasonCarrier, Link: withoutCarrier})
		time.Sleep(10 * time.Second)
		expect(t, "later", reported(reports), LinkState{Index: 3, Reason: ReasonCarrier, Link: pulled})
	})
}

// A reading that finds a carrier wins, and is believed for some time.
func TestLossThatIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: gigabit})
		c, reports := watching(t, s, 3)
		reported(reports)
		time.Sleep(time.Second)
		lost(t, c, 3, false, &LinkState{Reason: ReasonCarrier, Link: withoutCarrier})
		time.Sleep(2 * readNowGap)
		got := reported(reports)
		expect(t, "read", got[len(got)-1:], LinkState{Index: 3, Up: true, Link: gigabit})
		for range 9 {
			read := s.count()
			time.Sleep(time.Second)
			lost(t, c, 3, false, nil)
			synctest.Wait()
			if s.count() == read {
				t.Fatal("it was not read either")
			}
		}
		expect(t, "while in doubt", reported(reports))
		time.Sleep(doubtTime)
		lost(t, c, 3, false, &LinkState{Reason: ReasonCarrier, Link: withoutCarrier})
	})
}

// A driver may know of a carrier before the kernel does.
func TestLossRightAfterTheReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(map[int]Link{3: pulled})
		c, reports := watching(t, s, 3)
		reported(reports)
		time.Sleep(time.Second)
		lost(t, c, 3, false, nil) // no news
		s.set(3, gigabit)
		time.Sleep(2 * normalInterval)
		lost(t, c, 3, false, nil)
		expect(t, "back", reported(reports), LinkState{Index: 3, Up: true, Link: gigabit})
		time.Sleep(settleTime)
		s.set(3, pulled)
		lost(t, c, 3, false, &LinkState{Reason: ReasonCarrier, Link: withoutCarrier})
	})
}
