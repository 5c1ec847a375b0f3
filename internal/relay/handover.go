package relay

import (
	"errors"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// pauseTime is how long a handover waits for a pause in what comes.
	pauseTime = 20 * time.Millisecond
	// leastTries are made to find one, for a machine that has too much to do lets the goroutine stand still as long
	// as that. It would do so with the gate shut as well.
	leastTries = 64
	// strayTime is longer than a frame takes from a program to where the relay reads it.
	strayTime = 30 * time.Microsecond
	// shutTime is how long nothing has come through a gate that is shut until there is nothing left.
	shutTime = 50 * time.Microsecond
	// shutMost and shutTakes are more than all that may wait for the relay takes. Who still finds something then has
	// a gate that nobody obeys.
	shutMost, shutTakes = 250 * time.Millisecond, 4096
	// settleTime is longer than what programs have received takes to the adapter's stack.
	settleTime = time.Millisecond
)

// errGate says that frames came through a gate that is shut.
var errGate = errors.New("the gate is not obeyed")

// handover is a direction on its way to the programs. The protocol stands in gate.go. It belongs to the
// direction's goroutine, which calls step until that reports that it is over, and end.
type handover struct {
	gate  *uint32
	clock clock
	until int64      // pauses are waited for
	tries int        // of finding one
	done  chan error // gets what it came to
}

func newHandover(gate *uint32, c clock) *handover {
	return &handover{gate: gate, clock: c, done: make(chan error, 1)}
}

// begin makes it the handover of a goroutine. There can be one at a time.
func (h *handover) begin(of **handover) {
	if *of != nil {
		h.done <- unix.EBUSY
		return
	}
	h.until = h.clock.now() + int64(pauseTime)
	*of = h
}

// end tells what it came to. Where it has failed the relay goes on moving.
func (h *handover) end(err error) {
	if err != nil {
		atomic.StoreUint32(h.gate, GateSlow)
	}
	h.done <- err
}

// step moves what has come, and when there is nothing left tries to hand over. take moves a batch; it returns EAGAIN
// when there was none, and any other error when there never will be.
func (h *handover) step(take func() error) (over bool, err error) {
	switch {
	case atomic.LoadUint32(h.gate) == GateFast:
		return true, nil
	case h.tries >= leastTries && h.clock.now() >= h.until:
		return true, h.shut(take)
	}
	h.tries++
	if over, err = h.hold(take); !over {
		runtime.Gosched() // it waits for nothing, and others have something to do
	}
	return over, err
}

// hold is points 1 to 4.
func (h *handover) hold(take func() error) (over bool, err error) {
	if err := take(); err != unix.EAGAIN {
		return err != nil, err
	}
	atomic.StoreUint32(h.gate, GateHold)
	for until := h.clock.now() + int64(strayTime); ; {
		// The last look is later than until, however long the goroutine stood still.
		late := h.clock.now() >= until
		switch err := take(); {
		case err != unix.EAGAIN:
			return err != nil, err
		case late:
			return atomic.CompareAndSwapUint32(h.gate, GateHold, GateFast), nil
		case atomic.LoadUint32(h.gate) != GateHold:
			return false, nil
		}
	}
}

// shut is point 5.
func (h *handover) shut(take func() error) error {
	atomic.StoreUint32(h.gate, GateShut)
	began := h.clock.now()
	taken := 0
	for until := began + int64(shutTime); ; {
		now := h.clock.now()
		switch err := take(); {
		case err == nil:
			if taken++; taken > shutTakes && now-began > int64(shutMost) {
				return errGate
			}
			until = h.clock.now() + int64(shutTime)
		case err != unix.EAGAIN:
			return err
		case now >= until:
			atomic.StoreUint32(h.gate, GateFast)
			return nil
		}
	}
}
