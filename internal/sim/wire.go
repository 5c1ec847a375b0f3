// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"time"
)

// Line says what a wire is like.
type Line struct {
	Rate  uint64        // bit/s; 0: 1 Gbit/s
	Delay time.Duration // from end to end; 0: 5 µs
	Queue int           // of its backlog, bytes at either end; 0: 256 KiB
}

func (l Line) withDefaults() Line {
	if l.Rate == 0 {
		l.Rate = 1e9
	}
	if l.Delay == 0 {
		l.Delay = 5 * time.Microsecond
	}
	if l.Queue == 0 {
		l.Queue = 256 << 10
	}
	return l
}

// Wire is a cable between two ends, full duplex.
type Wire struct {
	Ends [2]*End
	w    *World
	up   bool
}

// End is one end of a wire, and the direction in which it sends.
type End struct {
	Line
	Loss   float64 // share of its frames that is lost, 0 to 1
	Silent bool    // all its frames are lost while the carrier stays

	name    string
	wire    *Wire
	far     *End
	take    func(*Packet) // receives arriving frames
	carrier func()        // called when the carrier changes

	busy    time.Duration // end of the current transmission
	flights []flight      // a ring of frames in flight
	head, n int
	arrive  func()
	planned bool
	sent    uint64        // bytes
	dropped uint64        // frames
	hurt    time.Duration // when the wire was last not whole in this direction; 0: never
}

// flight is a frame in flight.
type flight struct {
	at time.Duration
	p  *Packet
}

func (w *World) end(name string) *End { return &End{name: name} }

// Cable connects two ends that have none.
func (w *World) Cable(a, b *End, l Line) *Wire {
	c := &Wire{Ends: [2]*End{a, b}, w: w, up: true}
	for i, e := range c.Ends {
		if e.wire != nil {
			panic(fmt.Sprintf("sim: %s has a wire", e.name))
		}
		e.Line, e.wire, e.far = l.withDefaults(), c, c.Ends[1-i]
		e.arrive = e.arrived
	}
	w.wires = append(w.wires, c)
	a.carrier()
	b.carrier()
	return c
}

// Set cuts the cable, or plugs it in again; both ends see the carrier change.
func (c *Wire) Set(up bool) {
	if c.up == up {
		return
	}
	c.up = up
	word := "cut"
	if up {
		word = "plugged in"
	}
	c.w.Tell("cable %s–%s is %s", c.Ends[0].name, c.Ends[1].name, word)
	for _, e := range c.Ends {
		e.hurt = c.w.now
		if !up { // frames in flight are lost
			for ; e.n > 0; e.n-- {
				e.flights[e.head].p = nil
				e.head = (e.head + 1) % len(e.flights)
			}
			e.busy = c.w.now
		}
		e.carrier()
	}
}

// Up reports whether there is a carrier.
func (e *End) Up() bool { return e.wire != nil && e.wire.up }

// waiting returns the bytes queued.
func (e *End) waiting() int {
	if e.wire == nil || e.busy <= e.wire.w.now {
		return 0
	}
	return int(uint64(e.busy-e.wire.w.now) * (e.Rate / 1000) / 8_000_000)
}

// send puts a frame on the wire, and returns false if its queue is full. Frames without a carrier are lost.
func (e *End) send(p *Packet) bool {
	if !e.Up() {
		return true
	}
	w := e.wire.w
	if e.busy > w.now && !isPDU(p) && e.full(e.waiting()+p.size) {
		e.dropped++
		return false
	}
	e.sent += uint64(p.size)
	if isPDU(p) {
		e.urgent(p)
		return true
	}
	e.busy = max(e.busy, w.now) + time.Duration(uint64(p.size)*8_000_000_000/e.Rate)
	if e.lost() {
		return true
	}
	if e.n == len(e.flights) {
		e.grow()
	}
	e.flights[(e.head+e.n)%len(e.flights)] = flight{e.busy + e.Delay, p}
	e.n++
	e.plan()
	return true
}

// urgent sends a frame ahead of all queued ones.
func (e *End) urgent(p *Packet) {
	w, c := e.wire.w, e.wire
	if e.lost() {
		return
	}
	w.After(time.Duration(uint64(p.size)*8_000_000_000/e.Rate)+e.Delay, func() {
		if e.wire == c && c.up {
			e.far.take(p)
		}
	})
}

// lost draws whether a frame is lost.
func (e *End) lost() bool { return e.Silent || e.Loss > 0 && e.wire.w.rng.Float64() < e.Loss }

// whole returns the time since which no frame from e is lost; never: some are.
func (e *End) whole() time.Duration {
	if !e.Up() || e.Silent || e.Loss > 0 {
		return never
	}
	return e.hurt
}

// full reports whether the queue refuses another frame, beyond half its length at random. With exact time, a queue
// that refuses only when full could always refuse the same flow.
func (e *End) full(waiting int) bool {
	if waiting <= e.Queue/2 {
		return false
	}
	return waiting > e.Queue || e.wire.w.rng.IntN(10*e.Queue) < 2*waiting-e.Queue
}

func (e *End) grow() {
	next := make([]flight, max(16, 2*len(e.flights)))
	for i := range e.n {
		next[i] = e.flights[(e.head+i)%len(e.flights)]
	}
	e.flights, e.head = next, 0
}

// plan schedules the arrival of the first frame in flight: one event per direction.
func (e *End) plan() {
	if !e.planned && e.n > 0 {
		e.planned = true
		e.wire.w.at(e.flights[e.head].at, e.arrive)
	}
}

func (e *End) arrived() {
	e.planned = false
	if e.n > 0 && e.flights[e.head].at <= e.wire.w.now {
		f := &e.flights[e.head]
		p := f.p
		f.p = nil
		e.head = (e.head + 1) % len(e.flights)
		e.n--
		e.far.take(p)
	}
	e.plan()
}
