// SPDX-License-Identifier: MIT

package lacp

import (
	"fmt"
	"slices"
	"time"
	"unsafe"

	"nicteam/internal/frame"
)

// plug is a port of one of the world's systems.
type plug struct{ system, port int }

// cable joins two ports. It has a carrier at both ends or at none; what goes by it from one end to the other is a way.
type cable struct {
	ends [2]plug
	cut  bool
	ways [2]way // from ends[0], from ends[1]
}

// way is one direction of a cable. Frames arrive in the order they were sent in, if they do.
type way struct {
	waits [][]byte // not yet delivered
	dead  bool     // loses all, and neither end has lost its carrier
	lost  bool     // the last that was sent did not arrive, so its sender's state is not known at the other end
}

// wayCapacity is how many frames a way holds; what is sent on top is lost.
const wayCapacity = 2

// world is some systems and the cables between them at a moment.
type world struct {
	now     time.Time
	systems []*System
	cables  []cable
	faults  int // how many more may happen
}

// plan is what a world is made from.
type plan struct {
	systems []Config
	offsets []time.Duration // when each system begins
	cables  [][2]plug
	speeds  map[plug]uint64 // other than 1 Gbit/s
}

// event is something that can happen in a world.
type event struct {
	kind  eventKind
	which int // cable<<1 | way, system, or cable
}

type eventKind uint8

const (
	deliver eventKind = iota // the first frame of a way
	wait                     // for the next timer, while frames are under way if there are any
	lose                     // the first frame of a way
	restart                  // a system, with its memory
	reset                    // a system, without
	leave                    // a system says farewell and begins anew
	carrier                  // of a cable goes or comes
	mute                     // a way dies or comes alive again
)

func (e event) String() string {
	return fmt.Sprint([...]string{"deliver ", "wait ", "lose ", "restart ", "reset ", "leave ", "carrier ",
		"mute "}[e.kind], e.which)
}

// fault reports whether an event is something that does not happen to a network in good order.
func (w *world) fault(e event) bool {
	return e.kind > wait || e.kind == wait && !w.quiet()
}

// begin makes a world and has its systems begin.
func (p *plan) begin() *world {
	w := &world{now: time.Unix(1_000_000, 0)}
	for _, c := range p.cables {
		w.cables = append(w.cables, cable{ends: c})
	}
	for i := range p.systems {
		w.systems = append(w.systems, New(p.systems[i], nil))
	}
	began := w.now
	for i := range p.systems {
		if len(p.offsets) > i {
			w.now = began.Add(p.offsets[i])
		}
		w.send(i, w.systems[i].Configure(w.now, p.systems[i], p.ports(w, i)))
	}
	return w
}

// ports are a system's as they are now.
func (p *plan) ports(w *world, system int) (ports []PortConfig) {
	for i := range w.cables {
		for _, e := range w.cables[i].ends {
			if e.system != system {
				continue
			}
			speed := uint64(1e9)
			if s := p.speeds[e]; s != 0 {
				speed = s
			}
			ports = append(ports, PortConfig{ID: e.port, Name: [...]string{"eth1", "eth2", "eth3"}[e.port],
				MAC:    p.systems[system].System.MAC + frame.MAC(e.port),
				Number: uint16(e.port) + 1, Priority: 255, Up: !w.cables[i].cut, SpeedBps: speed})
		}
	}
	return ports
}

func (w *world) clone() *world {
	c := *w
	c.systems = make([]*System, len(w.systems))
	for i, s := range w.systems {
		c.systems[i] = s.clone()
	}
	c.cables = slices.Clone(w.cables)
	for i := range c.cables {
		for j := range c.cables[i].ways {
			c.cables[i].ways[j].waits = slices.Clone(c.cables[i].ways[j].waits)
		}
	}
	return &c
}

// key is what the state of the world is known by.
func (w *world) key(buf []byte) (uint64, []byte) {
	b := append(buf[:0], byte(w.faults))
	for _, s := range w.systems {
		b = writeSystem(b, unsafe.Pointer(s), w.now)
	}
	for i := range w.cables {
		b = append(b, octet(w.cables[i].cut))
		for j := range w.cables[i].ways {
			y := &w.cables[i].ways[j]
			b = append(b, octet(y.dead), octet(y.lost), byte(len(y.waits)))
			for _, f := range y.waits {
				b = append(b, f[:60]...)
			}
		}
	}
	return digest(b), b
}

func octet(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// events are all that can happen.
func (w *world) events(kinds []eventKind) (all []event) {
	for i := range w.cables {
		for j := range w.cables[i].ways {
			if len(w.cables[i].ways[j].waits) > 0 {
				all = append(all, event{deliver, i<<1 | j})
			}
		}
	}
	all = append(all, event{wait, 0})
	for _, k := range kinds {
		n := len(w.systems)
		switch k {
		case lose:
			for i := range w.cables {
				for j := range w.cables[i].ways {
					if len(w.cables[i].ways[j].waits) > 0 {
						all = append(all, event{lose, i<<1 | j})
					}
				}
			}
			continue
		case carrier:
			n = len(w.cables)
		case mute:
			n = 2 * len(w.cables)
		}
		for i := range n {
			all = append(all, event{k, i})
		}
	}
	return all
}

// apply has an event happen.
func (p *plan) apply(w *world, e event) {
	switch e.kind {
	case deliver:
		c, from := &w.cables[e.which>>1], e.which&1
		f := c.ways[from].take()
		to := c.ends[1-from]
		w.send(to.system, w.systems[to.system].Receive(w.now, to.port, f))
	case lose:
		y := &w.cables[e.which>>1].ways[e.which&1]
		y.take()
		y.lost = len(y.waits) == 0
	case wait:
		w.wait()
	case restart:
		m := w.systems[e.which].Memory()
		p.anew(w, e.which, &m)
	case reset:
		p.anew(w, e.which, nil)
	case leave:
		w.send(e.which, w.systems[e.which].Leave(w.now))
		p.anew(w, e.which, nil)
	case carrier:
		c := &w.cables[e.which]
		c.cut = !c.cut
		for i := range c.ways {
			c.ways[i] = way{dead: c.ways[i].dead}
		}
		for _, at := range c.ends {
			w.send(at.system, w.systems[at.system].Configure(w.now, p.systems[at.system], p.ports(w, at.system)))
		}
	case mute:
		y := &w.cables[e.which>>1].ways[e.which&1]
		y.dead = !y.dead
	}
}

// works reports whether frames go by a cable both ways.
func (c *cable) works() bool { return !c.cut && !c.ways[0].dead && !c.ways[1].dead }

func (y *way) take() []byte {
	f := y.waits[0]
	y.waits = y.waits[1:]
	return f
}

// anew has another system take the place of one.
func (p *plan) anew(w *world, system int, m *Memory) {
	for i := range w.cables {
		for j, at := range w.cables[i].ends {
			if at.system == system {
				w.cables[i].ways[j].lost = true // unless it says so at once, nobody knows that it is another one
			}
		}
	}
	w.systems[system] = New(p.systems[system], m)
	w.send(system, w.systems[system].Configure(w.now, p.systems[system], p.ports(w, system)))
}

// send puts what a system sends on its ways.
func (w *world) send(system int, out Out) {
	for _, s := range out.Send {
		for i := range w.cables {
			for j, at := range w.cables[i].ends {
				if at != (plug{system, s.Port}) || w.cables[i].cut {
					continue
				}
				y := &w.cables[i].ways[j]
				if y.lost = y.dead || len(y.waits) == wayCapacity; !y.lost {
					y.waits = append(y.waits, s.Frame)
				}
			}
		}
	}
}

// wait lets time pass until the next timer, if there is one.
func (w *world) wait() {
	next := w.due()
	if next.IsZero() {
		return
	}
	if next.After(w.now) {
		w.now = next
	}
	for i, s := range w.systems {
		if d := s.Deadline(); !d.IsZero() && !d.After(w.now) {
			w.send(i, s.Tick(w.now))
		}
	}
}

// due is when the next timer is, zero never.
func (w *world) due() (next time.Time) {
	for _, s := range w.systems {
		if d := s.Deadline(); !d.IsZero() && (next.IsZero() || d.Before(next)) {
			next = d
		}
	}
	return next
}

// quiet reports whether nothing is under way.
func (w *world) quiet() bool {
	for i := range w.cables {
		for j := range w.cables[i].ways {
			if len(w.cables[i].ways[j].waits) > 0 {
				return false
			}
		}
	}
	return true
}

// next is what happens to a network in good order: frames arrive before any time passes.
func (w *world) next() event {
	for i := range w.cables {
		for j := range w.cables[i].ways {
			if len(w.cables[i].ways[j].waits) > 0 {
				return event{deliver, i<<1 | j}
			}
		}
	}
	return event{wait, 0}
}

// clone returns an independent copy.
func (s *System) clone() *System {
	c := *s
	c.ports = slices.Clone(s.ports)
	return &c
}
