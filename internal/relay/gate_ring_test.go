// SPDX-License-Identifier: MIT

package relay

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"nicteam/internal/nic"
)

// ringWorld is what gate_ring.go describes, step by step: processors that pass frames for the relay to filter and
// program, the goroutine that reads them, and the one that changes the gate.
type ringWorld struct {
	gate     uint32
	hooked   bool // the socket listens
	socket   []int
	ring     []int
	order    nic.RingOrder
	read     []int
	inTask   bool // the reading goroutine does something else
	cpus     []ringCPU
	carefree bool // nothing waits for frames

	yield  func(func() bool) bool // of the goroutine that changes the gate
	passed int                    // its steps
}

// ringCPU passes frames one after the other.
type ringCPU struct {
	first, next, end int // frames; next is the present one
	phase            int
	note             uint32
	verdict          bool
}

var errStopped = errors.New("the test is over")

// pause lets others run until may.
func (w *ringWorld) pause(may func() bool) error {
	if !w.yield(may) {
		return errStopped
	}
	w.passed++
	return nil
}

func always() bool { return true }

// frames pauses until the frames that are on a processor now are through.
func (w *ringWorld) waitForReceived() error {
	if w.carefree {
		return w.pause(always)
	}
	var until []int
	for _, c := range w.cpus {
		if c.phase > 0 {
			until = append(until, c.next+1)
		} else {
			until = append(until, c.next)
		}
	}
	return w.pause(func() bool {
		for i, c := range w.cpus {
			if c.next < until[i] {
				return false
			}
		}
		return true
	})
}

func (w *ringWorld) settle() { _ = w.waitForReceived() }

func (w *ringWorld) readRing(order nic.RingOrder, f func()) error {
	if err := w.pause(always); err != nil {
		return err
	}
	w.inTask = true
	if w.order == nic.RingLast && order != nic.RingLast {
		w.read, w.socket = append(w.read, w.socket...), nil
	}
	f()
	w.order, w.inTask = order, false
	return nil
}

func (w *ringWorld) stopListening() error {
	err := w.pause(always)
	w.hooked = false
	return err
}

func (w *ringWorld) listen() error {
	if err := w.pause(always); err != nil {
		return err
	}
	w.hooked = true
	return w.waitForReceived()
}

// step does the next step of a processor, as relay_filter and receive of bpf/fastpath.c do.
func (w *ringWorld) step(c *ringCPU) {
	c.phase++
	switch c.phase {
	case 1: // the kernel looks for sockets
		if !w.hooked {
			c.phase = 3
		}
	case 2: // the filter
		c.note = w.gate
		c.verdict = w.gate < GateRing
	case 3: // the kernel obeys it
		if c.verdict {
			w.socket = append(w.socket, c.next)
		}
	case 4: // the program
		gate := c.note
		if w.gate == GateAlone {
			gate = GateAlone
		}
		c.verdict = gate >= GateRing
	case 5:
		if c.verdict {
			w.ring = append(w.ring, c.next)
		}
		c.next, c.phase = c.next+1, 0
	}
}

// readOne reads a frame as nic.Socket does, and reports whether there is one.
func (w *ringWorld) readOne(really bool) bool {
	from := []*[]int{&w.socket}
	switch w.order {
	case nic.RingFirst:
		from = []*[]int{&w.ring, &w.socket}
	case nic.RingLast:
		from = []*[]int{&w.socket, &w.ring}
	}
	for _, q := range from {
		if len(*q) > 0 && !w.inTask {
			if really {
				w.read, *q = append(w.read, (*q)[0]), (*q)[1:]
			}
			return true
		}
	}
	return false
}

// fault is what is wrong with what was read, "" for nothing. over: no more will come.
func (w *ringWorld) fault(over bool) string {
	total := 0
	for _, c := range w.cpus {
		last := c.first - 1
		for _, f := range w.read {
			if f < c.first || f >= c.end {
				continue
			}
			if f <= last {
				return fmt.Sprintf("frame %d comes again or too late", f)
			}
			last = f
		}
		total += c.end - c.first
	}
	if over && len(w.read) != total {
		return fmt.Sprintf("%d frames of %d", len(w.read), total)
	}
	return ""
}

// play makes the world of these choices, and returns which it has then. over: there is none.
func play(cpus, frames int, carefree bool, choices []byte) (w *ringWorld, may []byte, key string) {
	w = &ringWorld{gate: GateFast, hooked: true, carefree: carefree}
	for i := range cpus {
		w.cpus = append(w.cpus, ringCPU{first: i * frames, next: i * frames, end: (i + 1) * frames, note: GateFast})
	}
	next, stop := iter.Pull(func(yield func(func() bool) bool) {
		w.yield = yield
		if w.pause(always) == nil {
			_ = leaveSocket(w, &w.gate)
		}
		if w.pause(always) == nil {
			_ = enterSocket(w, &w.gate)
		}
		// The handover of gate.go finds a moment in which nothing waits.
		if w.pause(func() bool { return !w.readOne(false) }) == nil {
			atomic.CompareAndSwapUint32(&w.gate, GateSlow, GateFast)
			_ = leaveSocket(w, &w.gate)
		}
	})
	defer stop()
	condition, more := next()
	const control, reader = 'c', 'r'
	for i := 0; ; i++ {
		may = may[:0]
		if more && condition() {
			may = append(may, control)
		}
		if w.readOne(false) {
			may = append(may, reader)
		}
		for n, c := range w.cpus {
			if c.next < c.end {
				may = append(may, byte(n))
			}
		}
		if i == len(choices) {
			key = fmt.Sprint(w.gate, w.hooked, w.socket, w.ring, w.order, w.read, w.inTask, w.cpus, w.passed)
			return w, may, key
		}
		switch choice := choices[i]; choice {
		case control:
			condition, more = next()
		case reader:
			w.readOne(true)
		default:
			w.step(&w.cpus[choice])
		}
	}
}

// playAll plays all that may happen, and returns what is wrong with one of them.
func playAll(cpus, frames int, carefree bool) (fault string, worlds int) {
	seen := map[string]bool{}
	for todo := [][]byte{nil}; len(todo) > 0; {
		choices := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		w, may, key := play(cpus, frames, carefree, choices)
		if seen[key] {
			continue
		}
		seen[key] = true
		if f := w.fault(len(may) == 0); f != "" {
			return fmt.Sprintf("%s: after %q", f, choices), len(seen)
		}
		for _, c := range may {
			todo = append(todo, append(slices.Clone(choices), c))
		}
	}
	return "", len(seen)
}

// Wherever frames are while the socket leaves and enters, each comes once, and in its processor's order.
func TestLeaveAndEnterSocketInEachOrder(t *testing.T) {
	for _, c := range []struct{ cpus, frames int }{{1, 3}, {2, 1}} {
		fault, worlds := playAll(c.cpus, c.frames, false)
		t.Logf("%d frames on each of %d processors: %d states", c.frames, c.cpus, worlds)
		if fault != "" {
			t.Errorf("%d frames on each of %d processors: %s", c.frames, c.cpus, fault)
		}
		if fault, _ := playAll(c.cpus, c.frames, true); fault == "" {
			t.Errorf("%d frames on each of %d processors: nothing is lost without waiting for frames", c.frames, c.cpus)
		}
	}
}
