// SPDX-License-Identifier: MIT

package monitor

import "time"

// A queue in front of a NIC that fills at once is longer than a round takes: the asks of the member wait behind it, and
// those of others do not. So no round is judged while asks of a member without an answer have not left it.

const (
	// unsentFor is how long a sample of what has not left counts: until the next one.
	unsentFor = 2 * 5 * time.Millisecond
	// mostUnsent bounds how long a round waits for a queue: what has not moved by then is no queue.
	mostUnsent = time.Second
)

// unsent reports whether asks of m have not left its NIC yet, or so short a time ago that their answers may be on the
// way.
func (m *watched) unsent(now time.Time, step time.Duration) bool {
	at := m.traffic.unsentAt
	return !at.IsZero() && now.Sub(at) < unsentFor+step
}

// Judging reports whether a round runs: then [Moved.Unsent] is wanted.
func (w *Watches) Judging() bool {
	for _, t := range w.targets {
		if t.round.on {
			return true
		}
	}
	return w.prober.round.on
}

// holdRound puts off the end of t's round while asks have not left. After that all members ask once more, since the
// target may have gone meanwhile.
func (w *Watches) holdRound(now time.Time, t *target) {
	r := &t.round
	switch {
	case !r.on, r.asks < r.want:
		t.held = false
		return
	case now.Before(r.due), now.Sub(r.due) > lateLimit:
		return
	}
	if now.Sub(r.began) < mostUnsent {
		for _, m := range w.members {
			if p := m.path(t); p != nil && m.asks() && p.roundAnswers == 0 && m.unsent(now, r.step) {
				t.held = true
				r.due = now.Add(fastStep)
				w.stale = true
				return
			}
		}
	}
	if t.held {
		t.held = false
		r.want++
	}
}

// holdRound is that of rounds of probes.
func (p *prober) holdRound(now time.Time, w *Watches) {
	r := &p.round
	if !r.on || r.asks < w.cfg.Misses || now.Before(r.due) || now.Sub(r.due) > lateLimit ||
		now.Sub(r.began) >= mostUnsent {
		return
	}
	for m, t := range p.tally(w) {
		if t.heardBy == 0 && m.unsent(now, r.step) {
			r.due = now.Add(fastStep)
			w.stale = true
			return
		}
	}
}
