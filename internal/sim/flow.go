// SPDX-License-Identifier: MIT

package sim

import (
	"encoding/binary"
	"fmt"
	"time"

	"nicteam/internal/frame"
)

// Flow is traffic from one host to another: UDP at a constant rate, or TCP.
type Flow struct {
	Name string
	Key  FlowKey

	Sent, Got         uint64        // frames of data
	Bytes             uint64        // arrived, headers included
	Double, Reordered uint64        // frames that arrived twice, or after a later one
	Disorders         uint64        // incidents of reordering, of one or more frames each
	Gap               time.Duration // the longest between two arrivals
	Last              time.Duration // when the last one arrived

	w        *World
	from, to *Stack
	size     int // of a frame of data
	there    header
	key      uint64

	marks    uint64 // of frames of data sent
	top      uint64 // the highest that has arrived
	arrival  [markWindow / 64]uint64
	gapFrom  time.Duration
	disorder time.Duration // when order was last lost
	excused  time.Duration // until then reordering is allowed

	calmSent, calmGot uint64 // while a count of calm frames runs
	counting          bool
	calmLate          bool // frames that were counted may still arrive
	calmEnd           time.Duration
	stopped           bool

	tick     *timer // UDP
	interval time.Duration
	burst    uint64 // frames that follow each other closely, then a pause of interval; 0: one
	close    time.Duration
	tcp      *tcp
}

// markWindow is how many of the last frames are checked for duplicates.
const markWindow = 4096

// FlowKey identifies a flow.
type FlowKey struct {
	V6           bool
	TCP          bool
	Sport, Dport uint16
}

// header is the common header of a flow's frames in one direction.
type header struct {
	b    [headerRoom]byte
	n    int
	h    frame.Headers
	from *Stack
	to   *Stack
}

func newHeader(k FlowKey, from, to *Stack, size int) (t header) {
	t.from, t.to = from, to
	l4, proto := 8, byte(frame.ProtoUDP)
	if k.TCP {
		l4, proto = 20, frame.ProtoTCP
	}
	b, at := t.b[:], 14+20
	if k.V6 {
		at = 14 + 40
		binary.BigEndian.PutUint16(b[12:], frame.TypeIPv6)
		b[14], b[20], b[21] = 0x60, proto, 64
		binary.BigEndian.PutUint16(b[18:], uint16(size-at))
		copy(b[22:], from.IP6.AsSlice())
		copy(b[38:], to.IP6.AsSlice())
	} else {
		binary.BigEndian.PutUint16(b[12:], frame.TypeIPv4)
		b[14], b[22], b[23], b[20] = 0x45, 64, proto, 0x40
		binary.BigEndian.PutUint16(b[16:], uint16(size-14))
		copy(b[26:], from.IP4.AsSlice())
		copy(b[30:], to.IP4.AsSlice())
	}
	binary.BigEndian.PutUint16(b[at:], k.Sport)
	binary.BigEndian.PutUint16(b[at+2:], k.Dport)
	if k.TCP {
		b[at+12] = 5 << 4
	} else {
		binary.BigEndian.PutUint16(b[at+4:], uint16(size-at))
	}
	t.n = at + l4
	frame.Parse(b[:t.n], &t.h)
	return t
}

// packet returns a frame with this header.
func (t *header) packet(f *Flow, size int) *Packet {
	p := &Packet{h: t.h, size: max(size, 60), flow: f}
	p.room = t.b
	p.b = p.room[:t.n]
	return p
}

func (w *World) flow(k FlowKey, from, to *Stack, size int) *Flow {
	name := "UDP"
	if k.TCP {
		name = "TCP"
	}
	if k.V6 {
		name += "6"
	}
	f := &Flow{Name: fmt.Sprintf("%s %s:%d→%s:%d", name, from.Name, k.Sport, to.Name, k.Dport), Key: k, w: w,
		from: from, to: to,
		size: size, gapFrom: never, disorder: -time.Hour}
	f.key = uint64(k.Sport)<<16 | uint64(k.Dport)
	f.there = newHeader(k, from, to, size)
	w.flows = append(w.flows, f)
	return f
}

// UDP starts a flow of datagrams in frames of size bytes, one per interval.
func (w *World) UDP(from, to *Stack, k FlowKey, size int, interval time.Duration) *Flow {
	f := w.flow(k, from, to, size)
	f.interval = interval
	f.tick = newTimer(&w.clock, f.datagram)
	f.tick.set(w.now + w.between(0, interval))
	return f
}

// datagram sends one.
func (f *Flow) datagram() {
	if f.stopped {
		return
	}
	f.transmit(f.there.packet(f, f.size))
	if f.burst > 0 && f.marks%f.burst != 0 {
		f.tick.set(f.w.now + f.close)
		return
	}
	f.tick.set(f.w.now + f.interval)
}

// Burst makes a UDP flow send a number of frames back to back before each pause.
func (f *Flow) Burst(frames uint64, close time.Duration) { f.burst, f.close = frames, close }

// Pace changes a UDP flow's rate.
func (f *Flow) Pace(interval time.Duration) { f.interval = interval }

// pause stops a UDP flow for a while.
func (f *Flow) pause(on bool) {
	if on {
		f.tick.stop()
	} else if !f.stopped && !f.tick.armed() {
		f.tick.set(f.w.now + f.w.between(0, f.interval))
	}
}

// Stop ends the flow; frames under way arrive.
func (f *Flow) Stop() { f.stopped = true }

// transmit sends a frame of data.
func (f *Flow) transmit(p *Packet) {
	f.marks++
	p.mark = f.marks
	p.sent = f.w.now
	f.Sent++
	if f.counting {
		f.calmSent++
	}
	f.pass(&f.there, p)
}

// pass hands a frame to its sender's stack.
func (f *Flow) pass(t *header, p *Packet) {
	to := t.to.Address(f.Key.V6)
	if mac, ok := t.from.resolve(to, p); ok {
		t.from.send(p, mac)
	}
}

// arrived processes a frame of the flow, or an acknowledgement.
func (f *Flow) arrived(p *Packet) {
	if p.back {
		f.tcp.acknowledged(p)
		return
	}
	if !f.note(p) {
		return
	}
	if f.tcp != nil {
		f.tcp.received(p)
	}
}

// note counts a frame that has arrived, and reports whether it is the first time.
func (f *Flow) note(p *Packet) bool {
	now := f.w.now
	word, bit := &f.arrival[p.mark/64%(markWindow/64)], uint64(1)<<(p.mark%64)
	switch {
	case p.mark > f.top:
		for m := max(f.top, p.mark-min(p.mark, markWindow)) + 1; m <= p.mark; m++ {
			f.arrival[m/64%(markWindow/64)] &^= 1 << (m % 64)
		}
		f.top = p.mark
	case f.top-p.mark >= markWindow:
	case *word&bit != 0:
		f.Double++
		f.doubled(p)
		return false
	default:
		f.Reordered++
		if now-f.disorder > 20*time.Millisecond {
			f.Disorders++
		}
		f.disorder = now
		f.overtaken(p)
	}
	*word |= bit
	f.Got++
	f.Bytes += uint64(p.size)
	if (f.counting || f.calmLate && p.sent <= f.calmEnd) && f.w.wasCalm(p.sent) {
		f.calmGot++
	}
	if f.gapFrom != never {
		f.Gap = max(f.Gap, now-f.gapFrom)
	}
	f.gapFrom, f.Last = now, now
	return true
}

// Restart resets the counts of gaps, losses and the rest.
func (f *Flow) Restart() {
	f.Sent, f.Got, f.Bytes, f.Double, f.Reordered, f.Disorders, f.Gap, f.gapFrom = 0, 0, 0, 0, 0, 0, 0, f.w.now
}
