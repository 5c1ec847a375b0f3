// SPDX-License-Identifier: MIT

package monitor

import "time"

// Hearing is what a series of samples shows of one member, for a sampler that tells the link watches of some of them
// only: of all that may make the member suspect, and of the others now and then. The zero value has no sample.
type Hearing struct {
	known   bool
	tx, rx  uint64
	at      time.Time     // of the last sample with new frames heard
	sent    uint64        // frames since then
	silence time.Duration // the longest one that ended since the watches were told
	tellAt  time.Duration // the silence that is told next
}

// Sample takes the totals of a member's frames, as in Moved, and reports whether the link watches have to know them at
// once: the member sends and hears nothing, for longer than when they were told last.
func (h *Hearing) Sample(now time.Time, tx, rx uint64, late bool) (news bool) {
	sent, heard := tx-h.tx, rx-h.rx
	if !h.known || late || tx < h.tx || rx < h.rx {
		*h = Hearing{known: true, tx: tx, rx: rx, at: now}
		return false
	}
	h.tx, h.rx = tx, rx
	silent := now.Sub(h.at)
	if heard > 0 {
		if h.sent >= leastSent {
			h.silence = max(h.silence, silent)
		}
		h.at, h.sent, h.tellAt = now, 0, leastSilence
		return false
	}
	h.sent += sent
	if h.sent < leastSent || silent < max(h.tellAt, leastSilence) {
		return false
	}
	h.tellAt = silent + max(toldGap, silent/8)
	return true
}

// toldGap is the least time between two samples of one silence that are told.
const toldGap = 4 * time.Millisecond

// Tell adds to m what the link watches are told of it.
func (h *Hearing) Tell(m *Moved) { m.Heard, m.Sent, m.Silence = h.at, h.sent, h.silence }

// Told notes that they were.
func (h *Hearing) Told() { h.silence = 0 }
