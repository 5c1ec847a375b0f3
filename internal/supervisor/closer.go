// SPDX-License-Identifier: MIT

package supervisor

import (
	"sync"

	"golang.org/x/sys/unix"
)

// A Closer closes descriptors while its owner goes on. At the last descriptor of a packet socket or of a tcx link the
// kernel waits some milliseconds for all CPUs, and those who wait at the same time wait for the same moment. The zero
// value is ready; one goroutine calls its methods.
type Closer struct {
	all   sync.WaitGroup
	slots chan struct{}
}

// closeAtOnce bounds how many close(2) run at a time: each has a thread.
const closeAtOnce = 32

// Close closes fd. It waits only while many others are being closed.
func (c *Closer) Close(fd int) {
	if c.slots == nil {
		c.slots = make(chan struct{}, closeAtOnce)
	}
	c.slots <- struct{}{}
	c.all.Go(func() {
		_ = unix.Close(fd)
		<-c.slots
	})
}

// Wait returns when all is closed.
func (c *Closer) Wait() { c.all.Wait() }
