// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Times of rounds.
const (
	// fastStep is the shortest time between two asks of a round that a suspicion began: three of them, and a suspicion
	// within 20 ms, are a verdict within 45 ms.
	fastStep = 8 * time.Millisecond
	// slowStep is that of a round that a miss began, at most: nothing urges, and a queue in front of the NIC that is a
	// tenth of a second long passes for no loss.
	slowStep = 100 * time.Millisecond
	// longStep bounds a step, however long answers take.
	longStep = 250 * time.Millisecond
	// lateLimit is how late a Tick may be: beyond, this process stood still, and whoever did not answer may have.
	lateLimit = 10 * time.Millisecond
	// maxVoids ends a round of a process that stands still again and again.
	maxVoids = 5
	// leastBackoff and mostBackoff are the times between two rounds that decided nothing.
	leastBackoff = time.Second
	mostBackoff  = 10 * time.Second
)

// round asks one target by all members at the same times, so that they can be compared.
type round struct {
	on       bool
	fast     bool
	cause    string // in words
	suspects []int  // ids of members for whose sake it is, sorted
	asks     int    // so far
	want     int    // asks until it is judged
	burst    int    // asks of a member at a time
	voids    int
	moved    bool // another MAC was adopted
	step     time.Duration
	due      time.Time // of the next ask, or of the end
	began    time.Time
	lastAsk  time.Time
}

func (r *round) isFor(id int) bool { return slices.Contains(r.suspects, id) }

// startRound asks t by all members because of a suspicion against m. A round that runs is made faster if need be.
func (w *Watches) startRound(now time.Time, t *target, m *watched, fast bool, cause string) {
	r := &t.round
	if r.on {
		if !r.isFor(m.ID) {
			r.suspects = append(r.suspects, m.ID)
			slices.Sort(r.suspects)
		}
		if r.fast || !fast {
			return
		}
	} else {
		*r = round{on: true, suspects: []int{m.ID}}
	}
	r.fast, r.cause = fast, cause
	w.beginAsks(now, t)
}

// beginAsks lets a round begin with its first ask.
func (w *Watches) beginAsks(now time.Time, t *target) {
	r := &t.round
	r.asks, r.want, r.began = 0, w.cfg.Misses, now
	if r.burst = w.burst(t); r.burst > 1 {
		r.want = max(r.want, (burstTimes*burstAsks+r.burst-1)/r.burst)
	}
	r.step = fastStep
	for _, m := range w.members {
		m.answersHeard = 0
		if p := m.path(t); p != nil && m.asks() {
			r.step = max(r.step, p.step())
			p.roundAsks, p.roundAnswers, p.roundOwn = 0, 0, 0
		}
	}
	if !r.fast {
		r.step = max(r.step, min(w.cfg.Interval/8, slowStep))
	}
	r.step = min(r.step, max(min(w.cfg.Interval, longStep), fastStep))
	w.askAll(now, t)
}

// askAll sends one ask of a round by every member, or a burst. Members ask by turns: if some answers are dropped
// because too many come at once, by the target, the switch or this host's data path, each member loses a few of its
// own. With another one first each time, the answers of a switch that takes turns arrive by another member each time,
// too.
func (w *Watches) askAll(now time.Time, t *target) {
	r := &t.round
	for i := range r.burst + 1 {
		for k := range w.members {
			m := w.members[(k+i)%len(w.members)]
			n := r.burst
			if n > 1 {
				n += w.oddAsk(m)
			}
			if p := m.path(t); i < n && p != nil && m.asks() {
				p.roundAsks++
				// In turn: a MAC that has moved to another host answers no unicast, and some switches limit broadcasts.
				w.ask(now, p, r.asks%2 == 1 && i == 0)
			}
		}
	}
	r.asks++
	r.lastAsk, r.due = now, now.Add(r.step)
}

// runRound does what is due in the round of t.
func (w *Watches) runRound(now time.Time, t *target) {
	r := &t.round
	switch {
	case !r.on || now.Before(r.due):
	case now.Sub(r.due) > lateLimit:
		w.voidRound(now, t)
	case r.asks < r.want:
		w.askAll(now, t)
	default:
		w.judgeRound(now, t)
	}
}

// voidRound begins a round anew: this process stood still.
func (w *Watches) voidRound(now time.Time, t *target) {
	r := &t.round
	if r.voids++; r.voids > maxVoids {
		w.endRound(now, t)
		w.postpone(now, t)
		return
	}
	w.beginAsks(now, t)
}

// clearRound ends a round early once all its suspects have received an answer themselves. Where the switch takes turns,
// an ask that is missed is as well the fault of any other member: all have to receive one.
func (w *Watches) clearRound(now time.Time, t *target) {
	r := &t.round
	if w.takesTurns() && slices.ContainsFunc(w.members, func(m *watched) bool {
		return m.asks() && m.answersHeard == 0
	}) {
		return
	}
	for _, id := range r.suspects {
		if m := w.member(id); m != nil && m.asks() {
			if p := m.path(t); p != nil && p.roundOwn == 0 {
				return
			}
		}
	}
	for _, id := range r.suspects {
		if m := w.member(id); m != nil && r.fast {
			m.backoff.cleared(now)
		}
	}
	t.postponed = 0
	w.endRound(now, t)
}

// judgeRound ends a round by its answers. Who got none is down if the target answered another member at the same time:
// as late as the last ask, and before.
func (w *Watches) judgeRound(now time.Time, t *target) {
	r := &t.round
	if w.adoptOther(now, t) {
		w.beginAsks(now, t)
		return
	}
	var silent, witnesses []*watched
	partly := false
	for _, m := range w.members {
		p := m.path(t)
		if p == nil || !m.asks() || p.roundAsks < w.cfg.Misses {
			continue
		}
		switch {
		case p.roundAnswers == 0:
			silent = append(silent, m)
		case p.roundAnswers >= w.cfg.Misses-1 && !p.lastAnswer.Before(r.lastAsk):
			witnesses = append(witnesses, m)
		default:
			partly = true
		}
	}
	if m := w.deafToShare(t); m != nil {
		m.setDeaf("no answer of " + t.String() + " arrives by it, whoever asks")
		w.endRound(now, t)
		w.postpone(now, t)
		return
	}
	switch {
	case len(silent) == 0:
		t.postponed = 0
		for _, id := range r.suspects {
			if m := w.member(id); m != nil && r.fast {
				m.backoff.cleared(now) // its answers arrive by others, or some are lost
			}
		}
		w.endRound(now, t)
	case len(witnesses) > 0 && w.unsure(now, t, silent):
		r.want++
		w.askAll(now, t)
		r.due = now.Add(max(r.step, slowStep/4))
	case len(witnesses) > 0:
		t.postponed = 0
		for _, m := range silent {
			if via, _ := w.deafTo(now, t, m); via != nil {
				via.setDeaf(whyDeaf(t, m))
				defer w.postpone(now, t)
				continue
			}
			w.blame(now, t, m, witnesses[0])
		}
		w.endRound(now, t)
	case partly && r.want < 2*w.cfg.Misses:
		// It answered somebody, but not to the end: it may have gone, or come, meanwhile.
		r.want++
		w.askAll(now, t)
	default:
		if !partly {
			w.setSilent(now, t, true)
		}
		for _, id := range r.suspects {
			if m := w.member(id); m != nil {
				m.backoff.cleared(now)
			}
		}
		w.endRound(now, t)
		w.postpone(now, t)
	}
}

// blame makes m down, which got no answer from t while the witness did.
func (w *Watches) blame(now time.Time, t *target, m, witness *watched) {
	p := m.path(t)
	if p.state != pathDown {
		p.state, p.hits = pathDown, 0
		p.why = fmt.Sprintf("%s does not answer by %s (%d of %d asks), it does by %s", t, m.Name, p.roundAsks,
			p.roundAsks, witness.Name)
		if p.other != 0 {
			p.why = fmt.Sprintf("%s is not the same by %s (%v) as by %s (%v): %s is on another network", t, m.Name,
				p.other, witness.Name, t.mac, m.Name)
		}
	}
}

// endRound returns to asking now and then.
func (w *Watches) endRound(now time.Time, t *target) {
	t.round = round{}
	t.quiet = now
	n := len(w.members)
	for i, m := range w.members {
		if p := m.path(t); p != nil && m.asks() {
			p.pending = false
			p.nextAsk = now.Add(w.cfg.Interval * time.Duration(i+1) / time.Duration(n))
			if p.state == pathDown {
				p.nextAsk = now.Add(w.downInterval())
			}
		}
	}
	w.stale = true
}

// postpone lets no miss of t begin a round for a while, twice as long each time.
func (w *Watches) postpone(now time.Time, t *target) {
	t.postponed = min(max(2*t.postponed, leastBackoff), mostBackoff)
	t.quiet = now.Add(t.postponed)
	if t.silent {
		t.retry = t.quiet
	}
}

// downInterval is the time between two asks by a member that is down.
func (w *Watches) downInterval() time.Duration { return min(w.cfg.Interval, time.Second) / downShare }

// names lists members: "eth0, eth1 and eth2".
func names(ms []*watched) string {
	var all []string
	for _, m := range ms {
		all = append(all, m.Name)
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " and " + all[len(all)-1]
}
