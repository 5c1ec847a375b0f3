// SPDX-License-Identifier: MIT

package fastpath

import (
	"sync/atomic"

	"nicteam/team"
)

// NoteHellos implements team.Datapath.
func (p *Path) NoteHellos(f *team.HelloFilter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hellos = *f
	if p.kernel != nil {
		p.kernel.noteHellos(f)
	}
}

// noteHellos has programs note probes (bpf/hello.h).
func (k *kernel) noteHellos(f *team.HelloFilter) {
	c := k.control
	if c.HelloTeam != f.Team {
		c.HelloFrom = [len(c.HelloFrom)]uint8{} // meanwhile programs pass them on
	}
	atomic.StoreUint64(&c.HelloTeam, f.Team)
	c.HelloFrom = f.From
}

// forgetHellos forgets what was noted for the process before.
func (k *kernel) forgetHellos() {
	c := k.control
	c.HelloFrom = [len(c.HelloFrom)]uint8{}
	for id := range c.Hellos {
		h := &c.Hellos[id]
		h.At, h.Sent, h.Seq = 0, 0, 0
	}
}

// Hellos implements team.Datapath.
func (p *Path) Hellos(h *team.Hellos) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil {
		*h = team.Hellos{}
		return
	}
	for id, from := range p.hellos.From {
		if n := &p.kernel.control.Hellos[id]; from != 0 {
			h[id].Seq = atomic.LoadUint32(&n.Seq) // first: programs write it last
			h[id].Sent, h[id].At = int64(n.Sent), p.relay.TimeOf(int64(n.At))
		}
	}
}
