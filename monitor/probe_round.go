// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"slices"
	"time"
)

// startRound lets all members send to all others because of a suspicion against m.
func (p *prober) startRound(now time.Time, w *Watches, m *watched, fast bool, cause string) {
	r := &p.round
	switch {
	case w.askers() < 2, !r.on && !fast && now.Before(r.quiet):
		return
	case r.on:
		if !slices.Contains(r.suspects, m.ID) {
			r.suspects = append(r.suspects, m.ID)
		}
		if r.fast || !fast {
			return
		}
	default:
		*r = probeRound{on: true, suspects: []int{m.ID}, quiet: r.quiet}
	}
	r.fast, r.cause = fast, cause
	p.beginRound(now, w)
	if w.askers() == 2 && !p.foreign.silent {
		w.startRound(now, p.foreign, m, fast, cause)
	}
}

// eachPair calls f for each pair of a round.
func (p *prober) eachPair(w *Watches, f func(pr *pair, from, to *watched)) {
	n := len(w.members)
	for i, from := range w.members {
		peers := 0
		for d := 1; d < n && from.asks() && peers < mostPeers; d++ {
			if to := w.members[(i+d)%n]; to.asks() {
				f(p.pair(from.ID, to.ID), from, to)
				peers++
			}
		}
	}
}

func (p *prober) beginRound(now time.Time, w *Watches) {
	r := &p.round
	r.asks, r.step, r.began = 0, fastStep, now
	p.eachPair(w, func(pr *pair, _, _ *watched) {
		pr.roundFrom, pr.roundHeard = pr.seq, 0
		r.step = max(r.step, min(2*pr.delay, mostDelay))
	})
	if !r.fast {
		r.step = max(r.step, min(w.cfg.Interval/8, slowStep))
	}
	p.sendRound(now, w)
}

func (p *prober) sendRound(now time.Time, w *Watches) {
	p.eachPair(w, func(pr *pair, from, to *watched) { p.hello(now, w, pr, from, to) })
	p.round.asks++
	p.round.due = now.Add(p.round.step)
}

// runRound does what is due in a round.
func (p *prober) runRound(now time.Time, w *Watches) {
	r := &p.round
	switch {
	case !r.on || now.Before(r.due):
	case now.Sub(r.due) > lateLimit:
		if r.voids++; r.voids > maxVoids {
			p.endRound(now, w)
			r.quiet = now.Add(leastBackoff)
			return
		}
		p.beginRound(now, w)
	case r.asks < w.cfg.Misses:
		p.sendRound(now, w)
	default:
		p.judgeRound(now, w)
	}
}

// tally is what a round has shown of a member.
type tally struct{ heardBy, hears int }

func (p *prober) tally(w *Watches) map[*watched]*tally {
	t := map[*watched]*tally{}
	for _, m := range w.members {
		if m.asks() {
			t[m] = &tally{}
		}
	}
	p.eachPair(w, func(pr *pair, from, to *watched) {
		if pr.roundHeard > 0 {
			t[from].heardBy++
			t[to].hears++
		}
	})
	return t
}

// clearRound ends a round early once all its suspects are heard and hear.
func (p *prober) clearRound(now time.Time, w *Watches) {
	if !p.round.on {
		return
	}
	t := p.tally(w)
	for _, id := range p.round.suspects {
		if m := w.member(id); m != nil && m.asks() && (t[m].heardBy == 0 || t[m].hears == 0) {
			return
		}
	}
	for _, id := range p.round.suspects {
		if m := w.member(id); m != nil && p.round.fast {
			m.backoff.cleared(now)
		}
	}
	p.endRound(now, w)
}

// judgeRound ends a round: whom nobody hears cannot send, and who hears nobody cannot receive, if two others hear each
// other to the end.
func (p *prober) judgeRound(now time.Time, w *Watches) {
	t := p.tally(w)
	works := func(without *watched) (a, b *watched) {
		p.eachPair(w, func(pr *pair, from, to *watched) {
			if from != without && to != without && pr.roundHeard >= w.cfg.Misses-1 && pr.heard == pr.seq && a == nil {
				a, b = from, to
			}
		})
		return a, b
	}
	asks := p.round.asks
	p.endRound(now, w)
	first, _ := works(nil)
	p.broken = first == nil
	if len(t) == 2 {
		for _, m := range t {
			p.broken = p.broken || m.heardBy == 0
		}
	}
	for _, m := range w.members {
		if !m.asks() || m.probed.down != "" || t[m].heardBy > 0 && t[m].hears > 0 {
			continue
		}
		a, b := works(m)
		if a == nil {
			m.backoff.cleared(now)
			p.round.quiet = now.Add(leastBackoff)
			continue
		}
		what := m.Name + " neither sends nor receives: no probe passes"
		switch {
		case t[m].hears > 0:
			what = "nobody hears " + m.Name
		case t[m].heardBy > 0:
			what = m.Name + " hears nobody"
		}
		m.probed.down = fmt.Sprintf("%s (%d of %d probes), %s hears %s", what, asks, asks, b.Name, a.Name)
		m.probed.heards, m.probed.hears = 0, 0
	}
}

func (p *prober) endRound(now time.Time, w *Watches) {
	p.round = probeRound{quiet: p.round.quiet}
	w.stale = true
}

// judge begins a round for a member that waits for admission.
func (p *prober) judge(now time.Time, w *Watches, m *watched) {
	if p.deciding() && p.othersHear(m.ID) {
		p.startRound(now, w, m, true, m.Name+" is not heard yet")
	}
}

// stoodStill forgets probes that are under way, and begins a round anew.
func (p *prober) stoodStill(now time.Time, w *Watches) {
	p.eachPair(w, func(pr *pair, _, _ *watched) { pr.open = time.Time{} })
	if p.round.on {
		if p.round.voids++; p.round.voids > maxVoids {
			p.endRound(now, w)
			p.round.quiet = now.Add(leastBackoff)
			return
		}
		p.beginRound(now, w)
	}
}

// nextDue tells at what is due next, and send what is to be sent. What arrives before that may be noted.
func (p *prober) nextDue(w *Watches, at, send func(time.Time)) {
	p.noted = HelloFilter{Team: w.cfg.Team}
	if p.use == ProbeNone {
		return
	}
	if p.round.on {
		at(p.round.due)
		return
	}
	p.ring(w, func(pr *pair, from, to *watched) {
		d := p.period(w, pr, from, to)
		if !pr.open.IsZero() {
			at(pr.missedAt(d))
		}
		if pr.doubt {
			at(pr.backoff.until)
		}
		if d > 0 {
			p.noted.note(from.ID, to.ID)
			send(pr.dueAt(d))
		}
	})
}
