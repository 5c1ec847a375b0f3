// SPDX-License-Identifier: MIT

package relay

import (
	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// A relay that is held moves no frame: they wait in the adapter's queue and in the members' sockets, which the process
// before this one may have left and the next one may go on with. Its goroutines still run functions for others between
// the batches that they do not move.

// poke ends the wait of a goroutine that is held.
type poke chan struct{}

func newPoke() poke { return make(poke, 1) }

// now makes wait return, or the next one.
func (p poke) now() {
	select {
	case p <- struct{}{}:
	default:
	}
}

func (p poke) wait() { <-p }

// release ends the hold of Options.Hold. The caller holds mu.
func (r *Relay) release() {
	if r.stopped || !r.held.Swap(false) {
		return
	}
	r.tx.poke.now()
	for m := range r.joined {
		m.poke.now()
	}
}

// Stop moves no more frames, for good, and returns once each frame that was read has been passed on. The adapter, the
// sockets and what is on the NICs stay as they are, so that a next process can go on with them: after Stop this process
// ends, without Close.
func (r *Relay) Stop() {
	r.mu.Lock()
	r.stopped = true
	r.held.Store(true)
	r.mu.Unlock()
	// Goroutines that are gone, or members that are, move nothing either.
	_ = r.DoWithPicker(func(*spread.Picker, int64) {})
	for m := range r.joined {
		_, _ = r.doInMember(m.id, func(*member) {})
	}
}

// AdoptPicker makes the Picker go on with the state of the process before, of which rule and distributing are of the
// Plan in force. yielded: programs transmit by it, as after Yield.
func (r *Relay) AdoptPicker(s *spread.TxState, rule spread.Rule, distributing spread.MemberSet, yielded bool) error {
	return r.DoWithPicker(func(p *spread.Picker, _ int64) {
		p.Adopt(s, rule, distributing)
		r.tx.yielded = yielded
	})
}

// DropInherited closes the sockets and rings that the process before left and no member has. No member joins meanwhile.
func (r *Relay) DropInherited() {
	for _, name := range r.store.Names() {
		_, isSocket := descriptors.Index(name, descriptors.Socket)
		_, isFilter := descriptors.Index(name, descriptors.Groups)
		_, isRing := descriptors.Index(name, descriptors.Ring)
		if !isSocket && !isFilter && !isRing {
			continue
		}
		if fd, ok := r.store.Take(name); ok {
			_ = unix.Close(fd)
			_ = r.store.Remove(name)
		}
	}
}

// openSocket opens a NIC's socket: that of the process before, if it left one that is usable.
func (r *Relay) openSocket(o nic.Options) (*nic.Socket, error) {
	fd, ok := o.Store.Take(descriptors.Of(descriptors.Socket, o.Index))
	if !ok {
		return nic.Open(o)
	}
	filter, ok := o.Store.Take(descriptors.Of(descriptors.Groups, o.Index))
	if !ok {
		filter = -1
	}
	s, err := nic.Adopt(fd, filter, o)
	if err == nil {
		return s, nil
	}
	r.log.Warn("the socket that the process before left is not usable: frames in it are lost", "member", o.Name,
		"err", err)
	return nic.Open(o)
}
