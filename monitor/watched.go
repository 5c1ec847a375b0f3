// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// watched is a member and what is known of it.
type watched struct {
	WatchedMember
	paths []*path // of the targets that are asked

	// admitted: it has answered, or waited for admission_wait, since its link came.
	admitted  bool
	waitsFrom time.Time
	judging   bool      // admission_wait is over, and rounds find out why
	held      string    // why it was down before, and stays so until it answers
	deaf      string    // why it is down because it cannot receive what others ask for
	hits      int       // answers in a row that it received while deaf
	answerAt  time.Time // when it last received an answer, whoever asked
	// answersHeard is how many answers it received since the last round of any target began, whoever asked.
	answersHeard int
	wasUp        time.Time // until then it counts as up, as another process judged

	state  State
	reason string
	since  time.Time

	traffic memberTraffic
	backoff backoff
	probed  probed
}

// asks reports whether m can ask.
func (m *watched) asks() bool { return m.Link && m.MAC != 0 && !m.Quiet }

// path returns m's path to t.
func (m *watched) path(t *target) *path {
	for _, p := range m.paths {
		if p.t == t {
			return p
		}
	}
	return nil
}

// hold keeps m down until it answers what it was not asked before.
func (m *watched) hold(now time.Time, why string) {
	m.admitted, m.judging, m.waitsFrom, m.held = false, false, now, why
}

// linkChanged forgets what was observed by the old link. A member whose link came waits for its first answer if there
// is anybody to ask.
func (w *Watches) linkChanged(now time.Time, m *watched) {
	for _, p := range m.paths {
		p.reset()
		p.nextAsk = now
	}
	m.traffic.reset()
	m.backoff = backoff{}
	m.probed = probed{}
	w.prober.forget(m.ID)
	m.held, m.judging, m.deaf, m.wasUp = "", false, "", time.Time{}
	for _, o := range w.members {
		for _, p := range o.paths {
			p.forgetVia() // a switch chooses anew
		}
	}
	m.admitted, m.waitsFrom = !m.Link || m.MAC == 0 || !w.mustAnswer(m), now
}

// filterTime is how long it takes at most, as a rule, until NICs accept another MAC.
const filterTime = 30 * time.Millisecond

// macChanged handles another address to ask by: what was asked by the old one is answered there. A member that cannot
// ask is not judged.
func (w *Watches) macChanged(now time.Time, m *watched) {
	wait := time.Duration(0)
	if w.cfg.Group {
		wait = filterTime
	}
	for _, p := range m.paths {
		if m.MAC == 0 {
			p.reset()
		}
		p.pending, p.open, p.viaStreak = false, 0, 0
		p.nextAsk = now.Add(wait)
	}
	if m.MAC == 0 {
		m.admitted, m.held, m.deaf, m.judging, m.probed = true, "", "", false, probed{}
	}
}

// mustAnswer reports whether m has somebody to ask before it is used.
func (w *Watches) mustAnswer(m *watched) bool {
	for _, t := range w.targets {
		if !t.foreign {
			return true
		}
	}
	return w.prober.othersHear(m.ID)
}

// admit does what is due of m's admission.
func (w *Watches) admit(now time.Time, m *watched) {
	if m.admitted || !m.Link {
		return
	}
	switch {
	case w.hasAnswered(m), (m.held == "" || w.asksNobody()) && !w.mustAnswer(m):
		m.admitted, m.held, m.judging = true, "", false
	case m.judging:
		w.endAdmission(m)
	case !now.Before(m.waitsFrom.Add(w.cfg.AdmissionWait)):
		m.judging = true
		for _, p := range m.paths {
			if !p.t.silent && p.state == pathNew && w.askable(p.t) {
				w.startRound(now, p.t, m, false, m.Name+" has not answered yet")
			}
		}
		w.prober.judge(now, w, m)
		w.endAdmission(m)
	}
}

// endAdmission admits m once the rounds have ended that find out why it has not answered. If others were answered, it
// is down by then.
func (w *Watches) endAdmission(m *watched) {
	on := w.prober.round.on
	for _, p := range m.paths {
		on = on || p.t.round.on
	}
	if !on {
		m.admitted, m.held, m.judging = true, "", false
	}
	w.stale = true
}

// hasAnswered reports whether m has answered whatever answers others, and something at all.
func (w *Watches) hasAnswered(m *watched) bool {
	need := 0
	if m.held != "" {
		need = needHits
	}
	any, all := false, true
	for _, v := range w.watches {
		for _, t := range v.targets {
			p := m.path(t)
			if p == nil {
				continue
			}
			if p.state == pathUp && p.hits >= need {
				any = true
				continue
			}
			for _, o := range w.members {
				if op := o.path(t); v.wants.Every && o != m && op != nil && o.asks() && op.answering() {
					all = false
				}
			}
		}
	}
	if w.prober.deciding() && m.probed.bothWays() {
		any = true
	}
	return any && all
}

// update follows what is known of all members.
func (w *Watches) update(now time.Time) {
	w.stale, w.newsAt = true, now
	for _, m := range w.members {
		w.admit(now, m)
		state, reason := w.judge(now, m)
		if state != m.state {
			m.state, m.since = state, now
		}
		m.reason = reason
	}
	w.warnings = w.warn()
}

// judge returns m's state by its paths.
func (w *Watches) judge(now time.Time, m *watched) (State, string) {
	if !m.Link {
		return Unknown, ""
	}
	if !m.admitted {
		if m.held != "" {
			return Down, m.held
		}
		return Waiting, w.whyWaiting(m)
	}
	satisfied, why, up := false, m.deaf, false
	for _, v := range w.watches {
		state, reason := w.watchState(&v, m)
		switch state {
		case Down:
			if why == "" {
				why = reason
			}
		case Up:
			satisfied = true
			up = up || !v.wants.Always
		}
	}
	if why != "" && !(w.cfg.Any && satisfied) {
		return Down, why
	}
	if cause := w.suspicionOf(m); cause != "" {
		return Suspect, cause
	}
	if up || now.Before(m.wasUp) {
		return Up, ""
	}
	return Unknown, w.whyUnknown(m)
}

// watchState is what one watch says about m.
func (w *Watches) watchState(v *watch, m *watched) (State, string) {
	if v.wants.Always {
		return Up, ""
	}
	up, why := false, ""
	for _, t := range v.targets {
		switch p := m.path(t); {
		case p == nil:
		case p.state == pathUp:
			up = true
		case p.state == pathDown && why == "":
			why = p.why
		}
	}
	if v.wants.Probe == ProbeDecides {
		switch state, reason := w.prober.state(w, m); state {
		case Up:
			up = true
		case Down:
			why = reason
		}
	}
	switch {
	case why != "" && (v.wants.Every || !up):
		return Down, why
	case up:
		return Up, ""
	}
	return Unknown, ""
}

// suspicionOf says why m is suspect, "" if it is not.
func (w *Watches) suspicionOf(m *watched) string {
	for _, t := range w.targets {
		if t.round.on && t.round.isFor(m.ID) && !m.judging {
			return t.round.cause
		}
	}
	if r := &w.prober.round; r.on && slices.Contains(r.suspects, m.ID) {
		return r.cause
	}
	return ""
}

// whyWaiting says what a member waits for.
func (w *Watches) whyWaiting(m *watched) string {
	var all []string
	for _, t := range w.targets {
		if p := m.path(t); p != nil && p.state != pathUp && !t.foreign {
			all = append(all, t.String())
		}
	}
	if len(all) == 0 {
		return "waits until another member hears it"
	}
	return fmt.Sprintf("waits for the first answer by %s from %s", m.Name, strings.Join(all, " and "))
}

// whyUnknown says why nothing is known of a member.
func (w *Watches) whyUnknown(m *watched) string {
	if m.MAC == 0 {
		return ""
	}
	asked := 0
	for _, t := range w.targets {
		if t.silent && !t.foreign {
			return t.String() + " answers by no member"
		}
		if !t.foreign {
			asked++
		}
	}
	if asked == 0 && w.prober.deciding() {
		return w.prober.whyUnknown(w, m)
	}
	return ""
}
