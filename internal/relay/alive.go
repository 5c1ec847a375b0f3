// SPDX-License-Identifier: MIT

package relay

// Alive returns when the transmitter and the goroutine of each member have come between two batches, so all of them
// move frames or wait for some. It does not return while one of them hangs.
func (r *Relay) Alive() error {
	var waits []<-chan bool
	for m := range r.joined {
		// A member whose NIC is gone has no goroutine any more, and needs none.
		if done, ok := m.between.post(func() {}, m.socket.Wake); ok {
			waits = append(waits, done)
		}
	}
	done, ok := r.tx.between.post(func() {}, r.tx.queue.Wake)
	if !ok {
		return errNoTransmitter
	}
	for _, member := range waits {
		<-member
	}
	if !<-done {
		return errNoTransmitter
	}
	return nil
}
