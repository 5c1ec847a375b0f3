package relay

import (
	"sync/atomic"

	"nicteam/modes/spread"
)

// hearing is where a member's goroutine counts by spread.RxClass. The caller holds the relay's mutex.
func (a *account) hearing() *spread.RxBytes {
	if a.heard == nil {
		a.heard = new(spread.RxBytes)
	}
	return a.heard
}

// Heard fills h with the totals of what was received.
func (r *Relay) Heard(h *spread.RxBytes) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*h = spread.RxBytes{}
	for id := range r.accounts {
		if from := r.accounts[id].heard; from != nil {
			for slot := range from {
				h[slot] += atomic.LoadUint64(&from[slot])
			}
		}
	}
}
