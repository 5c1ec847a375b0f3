// SPDX-License-Identifier: MIT

package lab

import (
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A stream of batches is for many frames a second on few processors, beside what is tested. Its sender wakes once a
// batch, its receiver once in napTime. They have the priority of what is tested, which they would keep from running
// else. The sender stays on one processor, because the frames of a cable wait in the queue of the processor that sent
// them.

// maxBatch bounds a batch: a queue of the kernel for 1000 frames must have room for it.
const maxBatch = 256

// napTime is how long a receiver lets frames come together. Its socket has room for a second of them.
const napTime = 2 * time.Millisecond

// volleyLateness is what a sender of batches makes up for, at twice its pace. A lateness beyond it moves the schedule.
const volleyLateness = 100 * time.Millisecond

// volley is a batch of frames in memory that is written to again and again.
type volley struct {
	payloads []byte
	size     int
	messages []message
}

func newVolley(size, n int, fill func(payload []byte)) *volley {
	v := &volley{payloads: make([]byte, n*size), size: size, messages: make([]message, n)}
	vectors := make([]unix.Iovec, n)
	for i := range n {
		vectors[i].Base = &v.payloads[i*size]
		vectors[i].SetLen(size)
		v.messages[i].header.Iov = &vectors[i]
		v.messages[i].header.SetIovlen(1)
		fill(v.payload(i))
	}
	return v
}

func (v *volley) payload(i int) []byte { return v.payloads[i*v.size:][:v.size] }

// send sends the batch by a socket, and returns how many of it were accepted.
func (v *volley) send(fd int) (n int, err error) {
	for {
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&v.messages[0])),
			uintptr(len(v.messages)), 0, 0, 0)
		switch errno {
		case 0:
			return int(sent), nil
		case unix.EINTR, unix.ECONNREFUSED: // the latter is of an earlier frame
		default:
			return 0, errno
		}
	}
}

// sendVolleys is the sender's thread of a stream of batches.
func (r *Running) sendVolleys() {
	defer close(r.senderDone)
	runtime.LockOSThread() // and ends with the goroutine: it is not as others
	exactTimers()
	keepProcessor()
	fill := newSeededReader(uint64(r.run))
	v := newVolley(r.s.Size, r.s.Batch, func(b []byte) { fill.Read(b) })
	r.warmUp(v.payload(0))
	period := int64(time.Second) * int64(r.s.Batch) / int64(r.s.Rate)
	due := nanotime()
	r.begin(due)
	for flow := 0; !r.stop.Load(); flow = (flow + 1) % r.s.Flows {
		now := nanotime()
		if now < due {
			sleepUntil(due)
			now = nanotime()
		}
		if now-due > volleyLateness.Nanoseconds() {
			r.lateMu.Lock()
			r.late = append(r.late, Interval{due, now})
			r.lateMu.Unlock()
			due = now
		}
		r.sendVolley(v, flow, now)
		due = max(due+period, now+period/2)
	}
}

// keepProcessor keeps the calling thread on the processor that it runs on.
func keepProcessor() {
	var cpu uint32
	if _, _, errno := unix.Syscall(unix.SYS_GETCPU, uintptr(unsafe.Pointer(&cpu)), 0, 0); errno != 0 {
		return
	}
	var one unix.CPUSet
	one.Set(int(cpu))
	_ = unix.SchedSetaffinity(0, &one)
}

// sendVolley sends the next frames of a flow.
func (r *Running) sendVolley(v *volley, flow int, now int64) {
	seq := &r.sent[flow]
	first := seq.Load()
	for i := range v.messages {
		mark{run: r.run, flow: uint32(flow), seq: first + uint64(i), sent: now}.put(v.payload(i))
	}
	n, err := v.send(r.out[flow])
	if err != nil || n < len(v.messages) {
		r.refused.Add(uint64(len(v.messages) - n))
	}
	if n > 0 {
		seq.Add(uint64(n))
		r.lastSend.Store(now)
	}
}

// nap lets frames come together in the receiver's socket once that is empty.
func (r *Running) nap() {
	if r.s.Batch > 1 && r.drained {
		sleepUntil(nanotime() + napTime.Nanoseconds())
	}
}
