// SPDX-License-Identifier: MIT

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
// memory that is shared with programs in the kernel, which read it for each frame. The memory belongs to whoever loads
// the programs; the relay only changes the word.
const (
	GateSlow uint32 = iota // the relay moves: the program lets the frame pass
	// the relay has no frame left: a program sets GateSlow, by compare-and-swap, and lets the frame pass
	GateHold
	GateFast // the program moves the frame
	GateShut // the program drops the frame and counts it
)

// A gate is shut until a time as well (shutUntil): a program that sees a frame later sets GateSlow, by
// compare-and-swap, and lets the frame pass.
const (
	// GateUntil is in a gate that is shut until a time; the rest is that time in units of 1<<GateUnit ns.
	GateUntil uint32 = 1 << 31
	GateUnit         = 14
	// GateLongest is how many units a gate is shut at most.
	GateLongest = 1 << 14
)

func shutUntil(at int64) uint32 { return GateUntil | uint32(at>>GateUnit) }

// How the relay hands a direction over, so that no frame is lost, duplicated or reordered:
//
//  1. Only the goroutine that moves the direction's frames hands it over (Yield, YieldMember), because it alone knows
//     when no frame is left: it has read until there was none, and has passed all that it read to the kernel within the
//     batch.
//  2. It sets GateHold and goes on reading for strayTime. A program may have let a frame pass just before, which is on
//     its way to where the relay reads.
//  3. If a frame comes meanwhile, it moves the frame and starts again. If the gate was GateHold already, the program
//     has set GateSlow, so that the frames behind this one follow it.
//  4. If none comes, it sets GateFast, by compare-and-swap: that fails if a program was faster, and then it starts
//     again. From here on programs move the frames, behind all that the relay has moved.
//  5. Under a load without a pause of strayTime this never succeeds. After pauseWait, once it has read until there was
//     none, it shuts the gate: no frame passes. It moves the frames that are left until none has come for shutTime, and
//     sets GateFast, by compare-and-swap. Frames that come in this moment are lost, and the program counts them. None
//     is reordered. A busy machine may suspend the goroutine just then. So the gate is shut for firstShut: the first
//     frame after that reopens it, and the relay starts again, with twice the time. Only after maxShuts it shuts the
//     gate for as long as it takes.
//
// Regain and RegainMember take a direction back at once: they set GateSlow. Frames that programs transmitted before are
// in the member's queue already, so nothing overtakes them. Frames that programs received may still be on their way to
// the adapter's stack, in the backlog queue of a processor, which the relay's write bypasses. So the member's goroutine
// lets frames wait in its socket for settleTime first.
//
// The relay accesses a gate only within these four calls, and those of gate_ring.go.

const (
	// pauseWait is how long a handover waits for a pause between frames.
	pauseWait = 20 * time.Millisecond
	// minPauseTries are made at least: an overloaded machine may suspend the goroutine for all of pauseWait. It would
	// do so with the gate shut too.
	minPauseTries = 64
	// emptyWait is how much longer it waits until nothing waits where it reads: all that comes while a goroutine moves
	// what waits behind a shut gate is lost, and on a busy machine that is much.
	emptyWait = 80 * time.Millisecond
	// strayTime is longer than a frame takes from a program to where the relay reads it.
	strayTime = 30 * time.Microsecond
	// shutTime without a frame shows that none is left behind a shut gate.
	shutTime = 50 * time.Microsecond
	// firstShut is some times what it takes to see that none is left: 8 frames at 20 000 a second. The last of maxShuts
	// is 205 ms.
	firstShut = 400 * time.Microsecond
	maxShuts  = 10
	// maxShutTime and maxShutBatches are more than all waiting frames take. If frames still come then, the gate does
	// not work.
	maxShutTime, maxShutBatches = 250 * time.Millisecond, 4096
	// settleTime is longer than a frame takes from a program to the adapter's stack.
	settleTime = time.Millisecond
)

// errGate says that frames came through a shut gate.
var errGate = errors.New("frames come through a shut gate")

// handover hands a direction to the programs, by the protocol above. It belongs to the direction's goroutine, which
// calls step until that reports that it is over, and then end.
type handover struct {
	gate  *uint32
	clock clock
	until int64      // of the wait for a pause
	tries int        // to find one
	shuts int        // how often the gate was shut
	done  chan error // gets the result
}

func newHandover(gate *uint32, c clock) *handover {
	return &handover{gate: gate, clock: c, done: make(chan error, 1)}
}

// begin makes h the handover of a goroutine, which has one at a time.
func (h *handover) begin(of **handover) {
	if *of != nil {
		h.done <- unix.EBUSY
		return
	}
	h.until = h.clock.now() + int64(pauseWait)
	*of = h
}

// end delivers the result. After an error the relay goes on moving frames.
func (h *handover) end(err error) {
	if err != nil {
		atomic.StoreUint32(h.gate, GateSlow)
	}
	h.done <- err
}

// step moves frames, and tries to hand over when none is left. take moves a batch; it returns EAGAIN if there was none,
// and any other error if there will be no more.
func (h *handover) step(take func() error) (over bool, err error) {
	switch {
	case ByPrograms(atomic.LoadUint32(h.gate)):
		return true, nil
	case h.tries >= minPauseTries && h.clock.now() >= h.until:
		switch err := take(); {
		case err == unix.EAGAIN, err == nil && h.clock.now() >= h.until+int64(emptyWait):
			return h.shutGate(take)
		default:
			return err != nil, err
		}
	}
	h.tries++
	if over, err = h.tryPause(take); !over {
		runtime.Gosched() // step never blocks: let others run
	}
	return over, err
}

// tryPause does points 1 to 4.
func (h *handover) tryPause(take func() error) (over bool, err error) {
	if err := take(); err != unix.EAGAIN {
		return err != nil, err
	}
	atomic.StoreUint32(h.gate, GateHold)
	for until := h.clock.now() + int64(strayTime); ; {
		// The last read is after until, however long the goroutine was suspended.
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

// shutGate does point 5.
func (h *handover) shutGate(take func() error) (over bool, err error) {
	began := h.clock.now()
	shut := GateShut
	if h.shuts < maxShuts {
		shut = shutUntil(began + int64(firstShut)<<h.shuts)
	}
	h.shuts++
	atomic.StoreUint32(h.gate, shut)
	taken := 0
	for until := began + int64(shutTime); ; {
		now := h.clock.now()
		switch err := take(); {
		case err == nil:
			if taken++; taken > maxShutBatches && now-began > int64(maxShutTime) {
				return true, errGate
			}
			until = h.clock.now() + int64(shutTime)
		case err != unix.EAGAIN:
			return true, err
		case now >= until && atomic.CompareAndSwapUint32(h.gate, shut, GateFast):
			return true, nil
		}
		if atomic.LoadUint32(h.gate) != shut { // a program has reopened it
			h.until, h.tries = h.clock.now()+int64(pauseWait), 0
			return false, nil
		}
	}
}

// Yield hands transmission over: on success gate is GateFast, else GateSlow and the relay goes on. The relay still
// transmits the frames that programs let pass, but no longer measures what members carry, nor starts slot migrations.
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

// Regain takes transmission back: gate is GateSlow, even on the error that the relay is closed.
func (r *Relay) Regain(gate *uint32) error {
	atomic.StoreUint32(gate, GateSlow)
	if err := r.DoWithPicker(func(*spread.Picker, int64) { r.tx.yielded = false }); err != nil {
		return fmt.Errorf("take transmission back: %w", err)
	}
	return nil
}

// YieldMember hands over what member id receives, as Yield hands over transmission.
func (r *Relay) YieldMember(id int, gate *uint32) error {
	h := newHandover(gate, r.clock)
	m, err := r.doInMember(id, func(m *member) { h.begin(&m.handover) })
	if err == nil {
		err = <-h.done
	}
	if err != nil {
		return fmt.Errorf("hand over reception of %s: %w", m, err)
	}
	return nil
}

// IsGone reports whether an error of YieldMember or LeaveSocket says that the member's NIC is gone or its socket
// closed: it receives nothing any more.
func IsGone(err error) bool {
	return errors.Is(err, nic.ErrClosed) || errors.Is(err, nic.ErrGone) || errors.Is(err, unix.ENODEV)
}

// RegainMember takes back what member id receives: gate is GateSlow, even on the error that the member has left.
func (r *Relay) RegainMember(id int, gate *uint32) error {
	err := error(ErrNoMember)
	if m := r.member(id); m != nil {
		err = enterSocket(memberListener{r: r, m: m}, gate)
	}
	switch {
	case err == nil:
		return nil
	case IsGone(err):
		err = nil // the NIC is gone and receives nothing any more
	default:
		err = fmt.Errorf("take back reception of member %d: %w", id, err)
	}
	atomic.StoreUint32(gate, GateSlow)
	return err
}

// SetSocketFilter attaches the socket filter with descriptor fd to member id's socket; fd < 0 detaches it.
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

// doInMember runs f on member id's goroutine between two batches. It returns a name of the member for errors.
func (r *Relay) doInMember(id int, f func(m *member)) (name string, err error) {
	name = fmt.Sprintf("member %d", id)
	m := r.member(id)
	if m == nil {
		return name, ErrNoMember
	}
	if !m.between.do(func() { f(m) }, m.wake) {
		return name, nic.ErrClosed
	}
	return name, nil
}
