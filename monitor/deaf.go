// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"slices"
	"time"
)

// Where a switch takes the members for one link (xor, round-robin, 802.3ad), the answer to a member arrives by
// whichever member the switch chooses.
//
// A switch that hashes chooses always the same one for a MAC that asks. In a static LAG a member asks by a MAC whose
// answers it receives itself, if it finds one (team/way_back.go): then it is told apart as elsewhere. Of one that finds
// none an answer that stays away is the fault of the one that asks, which cannot send, or of the one by which its
// answers arrived, which cannot receive. The counters decide (deafTo): a member that usually hears something, and has
// heard nothing since, is deaf.
//
// A switch that takes turns returns answers by all of them. Who receives nothing there misses its share of many answers
// (deafToShare), so rounds ask more often until a switch is known to hash. Turns show where two answers arrive at once.

// How long a member is silent that counts as deaf: so many of its usual gaps between two frames, and longer than it was
// lately. One that hears little is not waited for.
const (
	deafGaps = 2 * silenceGaps
	deafWait = 500 * time.Millisecond
)

// Rounds while answers arrive by turns: so many asks at once and times. With two members all of them arrive by the same
// one by chance in one round of 4096.
const (
	burstAsks  = 4
	burstTimes = 3
	// mostAsks is how many asks of all members are sent at once. Of more members each asks less at once, and more
	// often.
	mostAsks = 32
)

// How many answers a member must have missed that receives none: with seven expected there is none by chance in one
// round of a thousand.
const leastMissed = 7

// hashed is how many answers in a row by one member show which one a switch that hashes chooses.
const hashed = 2

// oneLink reports whether the switch takes the members for one link.
func (w *Watches) oneLink() bool { return w.cfg.Group || w.cfg.Aggregated }

// takesTurns reports whether the switch does, for all members: also for one that has just begun to ask by another MAC.
func (w *Watches) takesTurns() bool {
	return slices.ContainsFunc(w.members, func(m *watched) bool {
		return slices.ContainsFunc(m.paths, (*path).takesTurns)
	})
}

// oddAsk is 1 for one of the members. It asks once more than the others: if all asked as often, the answers of a switch
// that takes turns could arrive by the same members each time, as if it hashed.
func (w *Watches) oddAsk(m *watched) int {
	for _, o := range w.members {
		if o.asks() {
			if o == m {
				return 1
			}
			break
		}
	}
	return 0
}

// burst is how many asks each member sends at a time in a round of t.
func (w *Watches) burst(t *target) int {
	if w.cfg.Group {
		for _, m := range w.members {
			if p := m.path(t); p != nil && m.asks() && !p.isSettled() && !p.lastAnswer.IsZero() {
				return max(min(burstAsks, mostAsks/len(w.members)), 2)
			}
		}
	}
	return 1
}

// deafTo returns the member that is deaf because of which m gets no answer from t, nil for none. unsure: it may be one
// that hears too little to tell yet.
func (w *Watches) deafTo(now time.Time, t *target, m *watched) (deaf *watched, unsure bool) {
	p := m.path(t)
	via := w.member(p.via)
	if !w.oneLink() || p.viaStreak < hashed || w.takesTurns() || via == nil || via == m || !via.asks() ||
		!via.traffic.known {
		return nil, false
	}
	if !via.answerAt.Before(t.round.began) || !via.traffic.heard.Before(t.round.began) {
		return nil, false // it hears
	}
	others := false
	for _, o := range w.members {
		others = others || o != via && o.asks() && !o.traffic.heard.Before(t.round.began)
	}
	silent := now.Sub(via.traffic.heard)
	need := max(deafGaps*via.traffic.gap, via.traffic.silence*3/2, leastSilence)
	switch {
	case !others:
		return nil, false
	case silent >= need:
		return via, false
	}
	return nil, now.Sub(t.round.began)+need-silent < deafWait
}

// unsure reports whether it is too early to say who is at fault that some members get no answer.
func (w *Watches) unsure(now time.Time, t *target, silent []*watched) bool {
	for _, m := range silent {
		if _, unsure := w.deafTo(now, t, m); unsure {
			return true
		}
	}
	return false
}

// deafToShare returns the member that received none of the answers of a round, of which its share would have been
// several, while the others received theirs. Where the switch hashes, it is enough for that that others ask by another
// MAC.
func (w *Watches) deafToShare(t *target) *watched {
	if t.round.burst < 2 || !w.takesTurns() {
		return nil
	}
	asks, answers := 0, 0
	for _, m := range w.members {
		if p := m.path(t); p != nil && m.asks() {
			asks += p.roundAsks
			answers += p.roundAnswers
		}
	}
	for _, m := range w.members {
		if !m.asks() || m.answersHeard > 0 {
			continue
		}
		share := w.returned.share(m.ID)
		if float64(asks)*share >= leastMissed && float64(answers) >= float64(asks)*(1-share)*2/3 {
			return m
		}
	}
	return nil
}

// returned has the members by which the last answers arrived.
type returned struct {
	by   [32]int
	n    int // of by that are known
	next int
}

func (r *returned) add(id int) {
	r.by[r.next] = id
	r.next = (r.next + 1) % len(r.by)
	r.n = min(r.n+1, len(r.by))
}

// share returns the part of the last answers that arrived by a member, 0 while there were few.
func (r *returned) share(id int) float64 {
	if r.n < len(r.by)/2 {
		return 0
	}
	n := 0
	for _, by := range r.by[:r.n] {
		if by == id {
			n++
		}
	}
	return float64(n) / float64(r.n)
}

// someDeaf reports whether a member is known to receive nothing.
func (w *Watches) someDeaf() bool {
	return slices.ContainsFunc(w.members, func(m *watched) bool { return m.deaf != "" })
}

// setDeaf makes a member down that cannot receive.
func (m *watched) setDeaf(why string) {
	if m.deaf == "" {
		m.deaf = m.Name + " hears nothing: " + why
	}
	m.hits = 0
}

// whyDeaf says of which answers a member that cannot receive is deaf: those of t to m.
func whyDeaf(t *target, m *watched) string {
	return fmt.Sprintf("answers of %s to %s arrived by it", t, m.Name)
}

// hearsAnswer notes that m received an answer, whoever asked.
func (m *watched) hearsAnswer(now time.Time) {
	m.answerAt = now
	m.answersHeard++
	if m.deaf == "" {
		return
	}
	if m.hits++; m.hits >= needHits {
		m.deaf = ""
		for _, p := range m.paths { // a miss is news again
			p.t.postponed, p.t.quiet = 0, now
		}
	}
}

// WayBack returns by which member answers to another one arrive, and how many in a row did since it asks by its MAC, up
// to 8; 0 for none yet, or if they arrive by turns. A switch may hash the MACs of those that answer, too: answers of
// one target that arrive by the member itself are enough, and until all have answered nothing is known of others.
func (w *Watches) WayBack(id int) (via, answers int) {
	m := w.member(id)
	if m == nil || w.takesTurns() {
		return -1, 0
	}
	via, open := -1, false
	for _, p := range m.paths {
		switch {
		case p.t.foreign:
		case p.viaStreak == 0:
			open = open || !p.t.silent && p.state != pathDown && p.missed == 0
		case p.via == id:
			return id, p.viaStreak
		case via < 0:
			via, answers = p.via, p.viaStreak
		default:
			answers = min(answers, p.viaStreak)
		}
	}
	if open {
		return -1, 0
	}
	return via, answers
}
