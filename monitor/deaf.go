// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"time"
)

// Where a switch takes the members for one link (xor, round-robin), the answer to a member arrives by whichever member
// the switch chooses for its MAC, and always by the same one. An answer that stays away is then the fault of the one
// that asks, which cannot send, or of the one by which its answers arrive, which cannot receive. The counters decide: a
// member that usually hears something, and has heard nothing since, is deaf.

// How long a member is silent that counts as deaf: so many of its usual gaps between two frames, and longer than it was
// lately. One that hears little is not waited for.
const (
	deafGaps = 2 * silenceGaps
	deafWait = 500 * time.Millisecond
)

// deafTo returns the member that is deaf because of which m gets no answer from t, nil for none. unsure: it may be one
// that hears too little to tell yet.
func (w *Watches) deafTo(now time.Time, t *target, m *watched) (deaf *watched, unsure bool) {
	via := w.member(m.path(t).via)
	if via == nil || via == m || !via.asks() || !via.traffic.known {
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

// setDeaf makes via down, by which the answers to m used to arrive.
func (w *Watches) setDeaf(t *target, m, via *watched) {
	if via.deaf == "" {
		via.deaf = fmt.Sprintf("%s hears nothing: answers of %s to %s arrived by it", via.Name, t, m.Name)
	}
	via.hits = 0
}

// hearsAnswer notes that m received an answer, whoever asked.
func (m *watched) hearsAnswer(now time.Time) {
	m.answerAt = now
	if m.deaf == "" {
		return
	}
	if m.hits++; m.hits >= needHits {
		m.deaf = ""
	}
}
