// SPDX-License-Identifier: MIT

package monitor

// recovered forgets, of a member that is back, what it showed while it was down: a silence that lasted until then is
// not usual, the suspicion was right, and pairs that failed with it work as before. So its next loss is noticed as fast
// as the first.
func (w *Watches) recovered(m *watched) {
	m.backoff = backoff{}
	m.traffic.silence, m.traffic.gap = 0, 0
	if !w.prober.deciding() {
		w.prober.forget(m.ID)
	}
}
