package fastpath

import (
	"sync/atomic"

	"nicteam/modes/spread"
)

// Heard fills h with the totals of what was received.
func (p *Path) Heard(h *spread.RxBytes) {
	p.relay.Heard(h)
	p.mu.Lock()
	defer p.mu.Unlock()
	addHeard(h, &p.heard)
	if p.kernel != nil {
		addHeard(h, p.kernel.heard)
	}
}

// heardBefore keeps what programs that go have counted. The caller holds mu.
func (p *Path) heardBefore(k *kernel) { addHeard(&p.heard, k.heard) }

func addHeard(to, from *spread.RxBytes) {
	for slot := range from {
		to[slot] += atomic.LoadUint64(&from[slot])
	}
}
