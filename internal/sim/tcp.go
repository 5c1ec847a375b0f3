// SPDX-License-Identifier: MIT

package sim

import "time"

const (
	segmentSize = 1514
	ackSize     = 66
	ackEvery    = 2 // segments
	ackDelay    = 40 * time.Millisecond
	firstWindow = 10
	// lateBy is the number of later frames after which a frame counts as lost. RFC 9002 has 3; Linux adapts to the
	// reordering it observes, and so does this.
	lateBy    = 3
	lateByMax = 300
	rtoLeast  = 200 * time.Millisecond
	rtoMost   = 2 * time.Second
	// windowMost is the receive window in segments.
	windowMost = 2000
)

// tcp is the congestion control of a flow: additive increase, multiplicative decrease, clocked by acknowledgements.
// Loss detection is QUIC's (RFC 9002): each transmission has its own mark, and is lost when later ones have arrived.
type tcp struct {
	f     *Flow
	again header // of acknowledgements

	// of the sender
	limit    uint32 // segments to send, 0 no end
	next     uint32 // segment never sent so far
	repeat   []uint32
	acked    uint32        // all segments before this one have arrived
	out      []outstanding // by mark, a ring in effect: out[0] is the oldest
	base     uint64        // mark of out[0]
	flying   int
	window   float64
	slow     float64 // slow start ends here
	recover  uint64  // losses up to this mark are one event
	late     uint64
	rtt      time.Duration
	backoff  int
	timer    *timer
	Reduced  int
	Timeouts int

	// of the receiver
	upTo    uint32
	beyond  map[uint32]bool
	marks   [ackEvery]uint64
	nMarks  int
	delayed *timer
}

type outstanding struct {
	seq    uint32
	state  uint8 // 0 in flight, 1 arrived, 2 counted as lost
	sentAt time.Duration
}

// TCP starts a flow of a number of segments, 0 for an endless one.
func (w *World) TCP(from, to *Stack, k FlowKey, segments int) *Flow {
	k.TCP = true
	f := w.flow(k, from, to, segmentSize)
	back := k
	back.Sport, back.Dport = k.Dport, k.Sport
	t := &tcp{f: f, limit: uint32(segments), base: 1, window: firstWindow, slow: windowMost, late: lateBy,
		beyond: map[uint32]bool{}}
	t.again = newHeader(back, to, from, ackSize)
	t.timer = newTimer(&w.clock, t.timeout)
	t.delayed = newTimer(&w.clock, t.acknowledge)
	f.tcp = t
	w.at(w.now+w.between(0, time.Millisecond), t.push)
	return f
}

// Done reports whether everything has arrived.
func (f *Flow) Done() bool { return f.tcp != nil && f.tcp.limit > 0 && f.tcp.upTo >= f.tcp.limit }

// push sends segments up to the window.
func (t *tcp) push() {
	for !t.f.stopped && t.flying < int(t.window) {
		var seq uint32
		switch {
		case len(t.repeat) > 0:
			seq = t.repeat[0]
			t.repeat = t.repeat[1:]
			if seq < t.acked {
				continue
			}
			t.f.from.Resent++
		case t.limit == 0 || t.next < t.limit:
			seq = t.next
			t.next++
		default:
			return
		}
		p := t.f.there.packet(t.f, segmentSize)
		p.seq = seq
		t.out = append(t.out, outstanding{seq: seq, sentAt: t.f.w.now})
		t.flying++
		if !t.timer.armed() {
			t.arm()
		}
		t.f.transmit(p)
	}
}

func (t *tcp) arm() {
	t.timer.set(t.f.w.now + min(max(rtoLeast, 2*t.rtt)<<min(t.backoff, 6), rtoMost))
}

// timeout counts all segments in flight as lost.
func (t *tcp) timeout() {
	if t.flying == 0 || t.f.stopped {
		return
	}
	t.Timeouts++
	t.backoff++
	for i := range t.out {
		if o := &t.out[i]; o.state == 0 {
			o.state = 2
			t.repeat = append(t.repeat, o.seq)
		}
	}
	t.flying = 0
	t.slow, t.window = max(2, t.window/2), 1
	t.recover = t.f.marks
	t.forget()
	t.arm()
	t.push()
}

// acknowledged processes an acknowledgement.
func (t *tcp) acknowledged(p *Packet) {
	f := t.f
	var most uint64
	fresh := 0
	t.acked = max(t.acked, p.upTo)
	for _, mark := range p.acks[:p.nAcks] {
		if mark < t.base || mark-t.base >= uint64(len(t.out)) {
			continue
		}
		o := &t.out[mark-t.base]
		switch o.state {
		case 0:
			fresh++
			t.flying--
			t.rtt += (f.w.now - o.sentAt - t.rtt) / 8
		case 2: // late, not lost
			if f.marks-mark < lateByMax {
				t.late = min(max(t.late, 2*t.late), lateByMax)
			}
		}
		o.state = 1
		most = max(most, mark)
	}
	for i := range t.out { // an earlier acknowledgement may be lost; this one is cumulative
		if o := &t.out[i]; o.seq < p.upTo && o.state == 0 {
			o.state = 1
			fresh++
			t.flying--
		} else if o.seq >= p.upTo {
			break
		}
	}
	if fresh > 0 {
		t.backoff = 0
		f.from.confirm(t.again.from.Address(f.Key.V6))
		if t.window < t.slow {
			t.window += float64(fresh)
		} else {
			t.window += float64(fresh) / t.window
		}
		t.window = min(t.window, windowMost)
	}
	lost := false
	for i := 0; i < len(t.out) && t.base+uint64(i)+t.late <= most; i++ {
		o := &t.out[i]
		if o.state != 0 {
			continue
		}
		o.state = 2
		t.flying--
		t.repeat = append(t.repeat, o.seq)
		if t.base+uint64(i) > t.recover {
			lost = true
		}
	}
	if lost {
		t.Reduced++
		t.window = max(2, t.window*0.7)
		t.slow = t.window
		t.recover = f.marks
	}
	t.forget()
	if t.flying == 0 && len(t.repeat) == 0 {
		t.timer.stop()
	} else if fresh > 0 {
		t.arm()
	}
	t.push()
}

// forget drops the oldest transmissions that are acknowledged or lost.
func (t *tcp) forget() {
	n := 0
	for n < len(t.out) && t.out[n].state != 0 && (t.out[n].state == 1 || uint64(len(t.out)-n) > lateByMax) {
		n++
	}
	t.out = t.out[n:]
	t.base += uint64(n)
}

// received processes a segment.
func (t *tcp) received(p *Packet) {
	inOrder := p.seq == t.upTo
	if p.seq >= t.upTo {
		t.beyond[p.seq] = true
	}
	for t.beyond[t.upTo] {
		delete(t.beyond, t.upTo)
		t.upTo++
	}
	t.marks[t.nMarks] = p.mark
	t.nMarks++
	if t.nMarks == ackEvery || !inOrder || len(t.beyond) > 0 {
		t.acknowledge()
	} else {
		t.delayed.set(t.f.w.now + ackDelay)
	}
}

// acknowledge sends an acknowledgement.
func (t *tcp) acknowledge() {
	if t.nMarks == 0 {
		return
	}
	p := t.again.packet(t.f, ackSize)
	p.back, p.acks, p.nAcks, p.upTo = true, t.marks, t.nMarks, t.upTo
	t.nMarks = 0
	t.delayed.stop()
	t.f.pass(&t.again, p)
}
