// SPDX-License-Identifier: MIT

package relay

import (
	"sync/atomic"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

// tally counts one direction of one member during a batch. It belongs to one goroutine.
type tally struct {
	moved  [frame.Protocols]frame.Count
	drops  [team.Drops]uint64
	errors uint64
	other  uint64 // transmit: resent; receive: flooded
	// unicast frames of moved
	unicast uint64
	charge  uint64 // transmit: truesize of what was moved; not added to the totals
}

// count counts a frame, or what was joined to one, that was moved.
func (l *tally) count(f *frameMeta) {
	c := &l.moved[f.protocol]
	c.Frames += uint64(f.frames)
	c.Bytes += uint64(f.bytes)
	if f.unicast {
		l.unicast += uint64(f.frames)
	}
}

// uncount takes back what count has counted.
func (l *tally) uncount(f *frameMeta) {
	c := &l.moved[f.protocol]
	c.Frames -= uint64(f.frames)
	c.Bytes -= uint64(f.bytes)
	if f.unicast {
		l.unicast -= uint64(f.frames)
	}
}

// bytes returns the bytes moved.
func (l *tally) bytes() (n uint64) {
	for p := range l.moved {
		n += l.moved[p].Bytes
	}
	return n
}

// totals are sums of tallies. Goroutines add with atomics once a batch.
type totals struct {
	moved  [frame.Protocols]struct{ bytes, frames atomic.Uint64 }
	drops  [team.Drops]atomic.Uint64
	errors atomic.Uint64
	other  atomic.Uint64
	// unicast frames, of team.Moved: never reset
	unicast atomic.Uint64
	_       [64]byte
}

// add adds l and empties it.
func (t *totals) add(l *tally) {
	for p := range l.moved {
		if c := &l.moved[p]; c.Frames != 0 {
			t.moved[p].bytes.Add(c.Bytes)
			t.moved[p].frames.Add(c.Frames)
			*c = frame.Count{}
		}
	}
	for d := range l.drops {
		if n := l.drops[d]; n != 0 {
			t.drops[d].Add(n)
			l.drops[d] = 0
		}
	}
	if l.errors != 0 {
		t.errors.Add(l.errors)
		l.errors = 0
	}
	if l.other != 0 {
		t.other.Add(l.other)
		l.other = 0
	}
	if l.unicast != 0 {
		t.unicast.Add(l.unicast)
		l.unicast = 0
	}
}

func (t *totals) reset() {
	for p := range t.moved {
		t.moved[p].bytes.Store(0)
		t.moved[p].frames.Store(0)
	}
	for d := range t.drops {
		t.drops[d].Store(0)
	}
	t.errors.Store(0)
	t.other.Store(0)
}

func (t *totals) read(moved *[frame.Protocols]frame.Count, drops *[team.Drops]uint64) {
	for p := range t.moved {
		moved[p] = frame.Count{Bytes: t.moved[p].bytes.Load(), Frames: t.moved[p].frames.Load()}
	}
	for d := range t.drops {
		drops[d] = t.drops[d].Load()
	}
}

// account counts one member id. It outlives the member.
type account struct {
	rx, tx    totals
	segmented uint64 // of closed sockets; the relay's mutex guards it
	name      string // of the NIC counted here
}

// Moved fills m with the totals of unicast frames.
func (r *Relay) Moved(m *team.Moved) {
	for id := range r.accounts {
		a := &r.accounts[id]
		m[id].TX, m[id].RX = a.tx.unicast.Load(), a.rx.unicast.Load()
	}
}

// RxBytes fills h with the totals of what was received.
func (r *Relay) RxBytes(h *spread.RxBytes) {
	for class := range r.rxBytes {
		h[class] = atomic.LoadUint64(&r.rxBytes[class])
	}
}
