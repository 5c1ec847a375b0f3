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

// deafTo returns the member that is deaf because of which m gets no answer from t, nil for none.
func (w *Watches) deafTo(now time.Time, t *target, m *watched) *watched {
	via := w.member(m.path(t).via)
	if via == nil || via == m || !via.asks() || !via.traffic.known {
		return nil
	}
	if !via.answerAt.Before(t.round.began) {
		return nil // it hears what others ask for, or it itself
	}
	silent := now.Sub(via.traffic.heard)
	if !via.traffic.heard.Before(t.round.began) || silent < silenceGaps*via.traffic.gap || silent < leastSilence {
		return nil
	}
	for _, o := range w.members {
		if o != via && o.asks() && !o.traffic.heard.Before(t.round.began) {
			return via
		}
	}
	return nil
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
