// SPDX-License-Identifier: MIT

package relay

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/nic"
)

// script is what the gate and the goroutine's take do in a test, by calls of take.
type script func(call int, gate *uint32) error

func nothing(int, *uint32) error { return unix.EAGAIN }

func isShut(gate uint32) bool { return gate == GateShut || gate&GateUntil != 0 }

func TestHandover(t *testing.T) {
	for _, c := range []struct {
		name     string
		late     bool // no pause was found in time
		gate     uint32
		take     script
		steps    int // 0: as many as it takes
		wantOver bool
		wantErr  error
		wantGate uint32
	}{
		{name: "nothing comes", take: nothing, steps: 1, wantOver: true, wantGate: GateFast},
		{name: "it is fast already", gate: GateFast, take: nothing, steps: 1, wantOver: true, wantGate: GateFast},
		{name: "something is there", take: func(int, *uint32) error { return nil }, steps: 1, wantGate: GateSlow},
		{name: "a stray comes", take: func(call int, _ *uint32) error {
			if call == 3 {
				return nil
			}
			return unix.EAGAIN
		}, steps: 1, wantGate: GateHold},
		{name: "a program puts it back", take: func(call int, gate *uint32) error {
			if call == 3 {
				atomic.CompareAndSwapUint32(gate, GateHold, GateSlow)
			}
			return unix.EAGAIN
		}, steps: 1, wantGate: GateSlow},
		{name: "programs put it back all the time", take: func(call int, gate *uint32) error {
			atomic.CompareAndSwapUint32(gate, GateHold, GateSlow)
			return unix.EAGAIN
		}, wantOver: true, wantGate: GateFast},
		{name: "something comes all the time, until it is shut", take: func(call int, gate *uint32) error {
			if isShut(atomic.LoadUint32(gate)) {
				return unix.EAGAIN
			}
			return nil
		}, wantOver: true, wantGate: GateFast},
		{name: "it is not shut while frames wait", late: true, take: func(call int, gate *uint32) error {
			switch {
			case call > 1000:
				return unix.EAGAIN
			case isShut(atomic.LoadUint32(gate)):
				return errors.New("shut")
			}
			return nil
		}, wantOver: true, wantGate: GateFast},
		{name: "a program reopens it, once", late: true, take: func(call int, gate *uint32) error {
			if isShut(atomic.LoadUint32(gate)) && call < 4 {
				time.Sleep(2 * firstShut) // as on a busy machine
				if got := readGate(gate); got != GateSlow {
					return fmt.Errorf("gate %d", got)
				}
			}
			return unix.EAGAIN
		}, wantOver: true, wantGate: GateFast},
		{name: "programs reopen it all the time", late: true, take: func(_ int, gate *uint32) error {
			switch g := atomic.LoadUint32(gate); g {
			case GateHold:
				atomic.CompareAndSwapUint32(gate, GateHold, GateSlow)
			case GateShut: // for as long as it takes
			default:
				if isShut(g) {
					atomic.CompareAndSwapUint32(gate, g, GateSlow)
				}
			}
			return unix.EAGAIN
		}, wantOver: true, wantGate: GateFast},
		{name: "frames come through a shut gate", late: true, take: func(int, *uint32) error {
			return nil
		}, wantOver: true, wantErr: errGate, wantGate: GateSlow},
		{name: "closed while it holds", take: func(call int, _ *uint32) error {
			if call > 2 {
				return nic.ErrClosed
			}
			return unix.EAGAIN
		}, wantOver: true, wantErr: nic.ErrClosed, wantGate: GateSlow},
		{name: "closed while it is shut", late: true, take: func(call int, _ *uint32) error {
			if call > 2 {
				return nic.ErrClosed
			}
			return unix.EAGAIN
		}, wantOver: true, wantErr: nic.ErrClosed, wantGate: GateSlow},
	} {
		t.Run(c.name, func(t *testing.T) {
			gate := c.gate
			h := newHandover(&gate, newClock())
			var of *handover
			h.begin(&of)
			if of != h {
				t.Fatal("it has not begun")
			}
			if c.late {
				h.until, h.tries = h.clock.now(), minPauseTries
			}
			began, calls := time.Now(), 0
			take := func() error {
				calls++
				return c.take(calls, &gate)
			}
			over, err := false, error(nil)
			for n := 0; !over && (n < c.steps || c.steps == 0); n++ {
				over, err = h.step(take)
			}
			if over {
				h.end(err)
				if got := <-h.done; got != err {
					t.Errorf("reported %v", got)
				}
			}
			if over != c.wantOver || !errors.Is(err, c.wantErr) || (err == nil) != (c.wantErr == nil) ||
				gate != c.wantGate {
				t.Errorf("over %v, %v, gate %d; want %v, %v, %d", over, err, gate, c.wantOver, c.wantErr, c.wantGate)
			}
			if took := time.Since(began); c.steps == 0 && c.wantErr == nil && !c.late && took < pauseWait {
				t.Errorf("it was shut after %v", took)
			}
		})
	}
}

// It goes by what it finds after its time is over, however long it stood still before.
func TestHandoverReadsOnceMore(t *testing.T) {
	gate := GateSlow
	h := newHandover(&gate, newClock())
	var of *handover
	h.begin(&of)
	calls := 0
	over, err := h.step(func() error {
		switch calls++; calls {
		case 1:
			return unix.EAGAIN
		case 2:
			for began := h.clock.now(); h.clock.now()-began < int64(2*strayTime); {
			}
			return unix.EAGAIN
		}
		return nil // it came while the goroutine stood still
	})
	if over || err != nil || gate != GateHold {
		t.Errorf("over %v, %v, gate %d", over, err, gate)
	}
}

func TestOneHandoverAtATime(t *testing.T) {
	gate := GateSlow
	first, second := newHandover(&gate, newClock()), newHandover(&gate, newClock())
	var of *handover
	first.begin(&of)
	second.begin(&of)
	if err := <-second.done; of != first || !errors.Is(err, unix.EBUSY) {
		t.Errorf("the second: %v", err)
	}
}
