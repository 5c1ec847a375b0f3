// SPDX-License-Identifier: MIT

package monitor

import (
	"time"

	"nicteam/internal/frame"
)

// Members send probes to each other a hundred times a second while frames move. A data path that can notes them
// instead of delivering each, which would wake this process: of a probe that has arrived nothing is wanted but when.

// mostMembers is how many members a team has at most.
const mostMembers = 64

// HelloFilter says which probes are noted. All others are delivered, those of rounds at once.
type HelloFilter struct {
	Team uint64 // of the probes
	// By the id of the member that receives them: the id of the one that sends them, and one more; 0: none.
	From [mostMembers]uint8
}

// Hellos are the last probes that were noted, by the id of the member that received them.
type Hellos [mostMembers]Hello

// Hello is a probe that arrived.
type Hello struct {
	Seq  uint32 // as in frame.Probe
	Sent int64
	At   time.Time // when it arrived
}

// HelloFilter returns which probes may be noted until the next call of any method. It is borrowed.
func (w *Watches) HelloFilter() *HelloFilter {
	_ = w.Deadline()
	return &w.prober.noted
}

// Heard handles the probe that member id received last, by filter.
func (w *Watches) Heard(now time.Time, filter *HelloFilter, id int, h *Hello) {
	from, to := w.member(int(filter.From[id])-1), w.member(id)
	if from == nil || to == nil || from == to || !to.asks() || filter.Team != w.cfg.Team {
		return
	}
	w.prober.arrived(now, h.At, w, from, to, &frame.Probe{Seq: h.Seq, Sent: h.Sent})
	w.settle(now)
}

// note has probes noted that from sends to to.
func (f *HelloFilter) note(from, to int) {
	if f.From[to] == 0 {
		f.From[to] = uint8(from + 1)
	}
}
