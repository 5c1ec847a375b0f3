// SPDX-License-Identifier: MIT

package tchook

// When the NICs are given back, the programs that isolated them let everything pass already (Open). Detaching those
// takes a grace period a NIC, one after the other, under the kernel's configuration lock: it goes on while the rest of
// the host is put back. A process that dies meanwhile leaves what is attached to the next one, as at any other moment.

// detachLater detaches an opened program after those before it. AwaitDetached waits for it.
func (h *Hooks) detachLater(l *tcxLink) {
	before, done := h.detaching, make(chan struct{})
	h.detaching = done
	go func() {
		defer close(done)
		if before != nil {
			<-before
		}
		l.end()
	}()
}

// AwaitDetached returns when all programs are detached whose end was asked for.
func (h *Hooks) AwaitDetached() {
	if h.detaching != nil {
		<-h.detaching
		h.detaching = nil
	}
}
