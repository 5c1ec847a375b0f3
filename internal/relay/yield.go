package relay

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// Yield hands transmission over, as gate.go tells: on success gate is GateFast, else GateSlow and the relay goes on. What
// programs let pass nevertheless the relay goes on to transmit, but it does not measure what members carry, nor say when slots
// begin to go over.
func (r *Relay) Yield(gate *uint32) error {
	h := newHandover(gate, r.clock)
	err := r.Do(func(*spread.Picker, int64) { h.begin(&r.tx.handover) })
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
	if err := r.Do(func(*spread.Picker, int64) { r.tx.yielded = false }); err != nil {
		return fmt.Errorf("take transmission back: %w", err)
	}
	return nil
}

// YieldMember hands over what member id receives, as Yield does what is transmitted.
func (r *Relay) YieldMember(id int, gate *uint32) error {
	h := newHandover(gate, r.clock)
	m, err := r.ask(id, func(m *member) { h.begin(&m.handover) })
	if err == nil {
		err = <-h.done
	}
	if err != nil {
		return fmt.Errorf("hand over what %s receives: %w", m, err)
	}
	return nil
}

// Ended reports whether an error of YieldMember says that the member's NIC is gone, or is closed: nothing comes by it any more.
func Ended(err error) bool { return errors.Is(err, nic.ErrClosed) || errors.Is(err, nic.ErrGone) }

// RegainMember takes back what member id receives. On error, which there is when the member has left, gate is GateSlow as
// well.
func (r *Relay) RegainMember(id int, gate *uint32) error {
	m, err := r.ask(id, func(*member) {
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

// Listen has the socket filter with descriptor fd decide what member id's socket takes in; fd < 0: everything again.
func (r *Relay) Listen(id int, fd int) error {
	m := r.member(id)
	if m == nil {
		return fmt.Errorf("set socket filter of member %d: %w", id, ErrNoMember)
	}
	if err := m.socket.SetSocketFilter(fd); err != nil {
		return err
	}
	m.ear.programs.Store(fd >= 0)
	r.filters.due()
	return nil
}

// ask has f run by member id's goroutine between two batches.
func (r *Relay) ask(id int, f func(m *member)) (name string, err error) {
	name = fmt.Sprintf("member %d", id)
	m := r.member(id)
	if m == nil {
		return name, ErrNoMember
	}
	if !m.errands.do(func() { f(m) }, m.socket.Wake) {
		return name, nic.ErrClosed
	}
	return name, nil
}
