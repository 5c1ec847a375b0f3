package relay

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// A gate says who moves the frames of a direction: of transmission, or of what one member receives. It is a word in
// memory that programs in the kernel share, and each frame that they see is dealt with as it says at that moment.
// Whoever makes the programs owns the memory; the relay only changes the word.
const (
	GateSlow uint32 = iota // the relay moves: the program lets the frame pass
	GateHold               // the relay has nothing left: a program makes it GateSlow, by compare-and-swap, and lets the frame pass
	GateFast               // the program moves the frame
	GateShut               // the program drops the frame and counts it
)

// How a direction is handed over, so that no frame is lost, doubled, or overtaken by a later one:
//
//  1. Only the goroutine of the relay that moves the direction's frames hands it over (Yield, YieldMember), for it
//     alone knows when there is nothing left: it has read until there was no more, and all that it read has been
//     given to the kernel, which it is in one go with reading.
//  2. It then makes the gate GateHold and goes on reading for strayTime. A frame may have been let pass just before, and
//     be on its way between the program and what the relay reads from.
//  3. If a frame came meanwhile, it moves that and begins anew. Where the gate was GateHold already the program
//     has made it GateSlow, so that the frame is followed by those behind it.
//  4. If none did, it makes the gate GateFast, by compare-and-swap: that fails if a program was quicker, and
//     then it begins anew. From here on programs move what comes, behind all that the relay has moved.
//  5. A load that makes no pause of strayTime never lets it come so far. After pauseWait it makes the gate GateShut:
//     nothing passes then. It moves what is still there until nothing has come for shutTime, and makes the gate
//     GateFast. What comes in this moment is lost, and counted by the program. No order is lost.
//
// Gates are taken back by Regain and RegainMember, at once: the gate is made GateSlow. What programs have
// transmitted before is in the member's queue then, so nothing overtakes it. What they have received may still be on its way
// to the adapter's stack, in the queue of the processor that it came in on, whereas the relay's write passes
// by that queue. So the member's goroutine lets what comes wait in its socket for settleTime first.
//
// The relay does not touch a gate's memory but in these four calls.

const (
	// pauseWait is how long a handover waits for a pause in what comes.
	pauseWait = 20 * time.Millisecond
	// minPauseTries are made to find one, for a machine that has too much to do lets the goroutine stand still as long
	// as that. It would do so with the gate shut as well.
	minPauseTries = 64
	// strayTime is longer than a frame takes from a program to where the relay reads it.
	strayTime = 30 * time.Microsecond
	// shutTime is how long nothing has come through a gate that is shut until there is nothing left.
	shutTime = 50 * time.Microsecond
	// maxShutTime and maxShutBatches are more than all that may wait for the relay takes. Who still finds something then has
	// a gate that nobody obeys.
	maxShutTime, maxShutBatches = 250 * time.Millisecond, 4096
	// settleTime is longer than what programs have received takes to the adapter's stack.
	settleTime = time.Millisecond
)

// errGate says that frames came through a gate that is shut.
var errGate = errors.New("the gate is not obeyed")

// handover is a direction on its way to the programs. The protocol is above. It belongs to the
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
	h.until = h.clock.now() + int64(pauseWait)
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
	case h.tries >= minPauseTries && h.clock.now() >= h.until:
		return true, h.shutGate(take)
	}
	h.tries++
	if over, err = h.tryPause(take); !over {
		runtime.Gosched() // it waits for nothing, and others have something to do
	}
	return over, err
}

// tryPause is points 1 to 4.
func (h *handover) tryPause(take func() error) (over bool, err error) {
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

// shutGate is point 5.
func (h *handover) shutGate(take func() error) error {
	atomic.StoreUint32(h.gate, GateShut)
	began := h.clock.now()
	taken := 0
	for until := began + int64(shutTime); ; {
		now := h.clock.now()
		switch err := take(); {
		case err == nil:
			if taken++; taken > maxShutBatches && now-began > int64(maxShutTime) {
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

// Yield hands transmission over, as described above: on success gate is GateFast, else GateSlow and the relay goes on. What
// programs let pass nevertheless the relay goes on to transmit, but it does not measure what members carry, nor say when slots
// begin to go over.
func (r *Relay) Yield(gate *uint32) error {
	h := newHandover(gate, r.clock)
	err := r.DoWithPicker(func(*spread.Picker, int64) { h.begin(&r.tx.handover) })
	if err == nil {
		err = <-h.done
	}
	if err != nil {
		return fmt.Errorf("hand over transmission: %w", err)
	}
	return nil
}

// Regain takes transmission back. On error, which there is only when the relay is closed, gate is GateSlow as well.
func (r *Relay) Regain(gate *uint32) error {
	atomic.StoreUint32(gate, GateSlow)
	if err := r.DoWithPicker(func(*spread.Picker, int64) { r.tx.yielded = false }); err != nil {
		return fmt.Errorf("take transmission back: %w", err)
	}
	return nil
}

// YieldMember hands over what member id receives, as Yield does what is transmitted.
func (r *Relay) YieldMember(id int, gate *uint32) error {
	h := newHandover(gate, r.clock)
	m, err := r.doInMember(id, func(m *member) { h.begin(&m.handover) })
	if err == nil {
		err = <-h.done
	}
	if err != nil {
		return fmt.Errorf("hand over what %s receives: %w", m, err)
	}
	return nil
}

// IsGone reports whether an error of YieldMember says that the member's NIC is gone, or is closed: nothing comes by it any more.
func IsGone(err error) bool { return errors.Is(err, nic.ErrClosed) || errors.Is(err, nic.ErrGone) }

// RegainMember takes back what member id receives. On error, which there is when the member has left, gate is GateSlow as
// well.
func (r *Relay) RegainMember(id int, gate *uint32) error {
	m, err := r.doInMember(id, func(*member) {
		atomic.StoreUint32(gate, GateSlow)
		time.Sleep(settleTime)
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nic.ErrClosed):
		err = nil // with its NIC, by which nothing comes any more
	default:
		err = fmt.Errorf("take back what %s receives: %w", m, err)
	}
	atomic.StoreUint32(gate, GateSlow)
	return err
}

// SetSocketFilter has the socket filter with descriptor fd decide what member id's socket takes in; fd < 0: everything again.
func (r *Relay) SetSocketFilter(id int, fd int) error {
	m := r.member(id)
	if m == nil {
		return fmt.Errorf("set socket filter of member %d: %w", id, ErrNoMember)
	}
	if err := m.socket.SetSocketFilter(fd); err != nil {
		return err
	}
	m.slow.filtered.Store(fd >= 0)
	r.filters.schedule()
	return nil
}

// doInMember has f run by member id's goroutine between two batches.
func (r *Relay) doInMember(id int, f func(m *member)) (name string, err error) {
	name = fmt.Sprintf("member %d", id)
	m := r.member(id)
	if m == nil {
		return name, ErrNoMember
	}
	if !m.between.do(func() { f(m) }, m.socket.Wake) {
		return name, nic.ErrClosed
	}
	return name, nil
}
