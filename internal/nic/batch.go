// SPDX-License-Identifier: MIT

package nic

import (
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// batch is room for received frames: 2 MiB. Each frame has a buffer of its own, with the virtio header at bufferStart.
// A Socket has one only while it has frames: a team may have very many NICs, and hardly more of them have frames in
// hand at a time than there are processors. So its memory grows with what moves, not with its members, and the buffers
// that are used next are the ones in the cache.
type batch struct {
	msgs    []message
	iovs    []unix.Iovec
	buffers []byte
	control []byte
}

func newBatch() *batch {
	b := &batch{
		msgs:    make([]message, ReceiveBatch),
		iovs:    make([]unix.Iovec, ReceiveBatch),
		buffers: newBuffers(),
		control: make([]byte, ReceiveBatch*controlLen),
	}
	for i := range b.msgs {
		m := &b.msgs[i]
		b.iovs[i].Base = &b.buffers[i*bufferLen+bufferStart]
		b.iovs[i].SetLen(bufferLen - bufferStart)
		m.Iov = &b.iovs[i]
		m.SetIovlen(1)
		m.Control = &b.control[i*controlLen]
		m.SetControllen(controlLen)
	}
	return b
}

// newBuffers returns memory beside that of the garbage collector, which would clear all of it, so that all would be
// resident, and count it as in use, so that it would collect later. Of this there is as much as frames have touched.
func newBuffers() []byte {
	const size = ReceiveBatch * bufferLen
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil { // as where the runtime gets none
		panic(fmt.Errorf("make room for frames: %w", err))
	}
	return b
}

// free ends a batch, whose frames nobody uses any more.
func (b *batch) free() { _ = unix.Munmap(b.buffers) }

// reset makes the first n messages ready for the next call: the kernel has overwritten their lengths.
func (b *batch) reset(n int) {
	for i := range n {
		b.msgs[i].SetControllen(controlLen)
	}
}

// batches are the rooms that nobody uses, for all sockets of the process. The one that was used last is the next. Those
// beyond max are freed: receivers may be held up with frames in hand, so that more of them have one than is usual.
type batches struct {
	mu   sync.Mutex
	free []*batch
	max  int
}

var freeBatches = batches{max: runtime.GOMAXPROCS(0) + 2}

func (f *batches) take() *batch {
	f.mu.Lock()
	n := len(f.free)
	if n == 0 {
		f.mu.Unlock()
		return newBatch()
	}
	b := f.free[n-1]
	f.free[n-1] = nil
	f.free = f.free[:n-1]
	f.mu.Unlock()
	return b
}

func (f *batches) put(b *batch) {
	f.mu.Lock()
	keep := len(f.free) < f.max
	if keep {
		f.free = append(f.free, b)
	}
	f.mu.Unlock()
	if !keep {
		b.free()
	}
}
