// SPDX-License-Identifier: MIT

package traffic

import "slices"

// Snapshot is a History at one moment. It does not change.
type Snapshot struct {
	names        []string
	fine, coarse []block
}

// Snapshot copies what may change, which is little: the data of blocks only grows.
func (h *History) Snapshot() *Snapshot {
	s := &Snapshot{names: slices.Clone(h.names), fine: slices.Clone(h.fine.blocks),
		coarse: slices.Clone(h.coarse.blocks)}
	if h.coarsening.end != 0 {
		// The incomplete coarse record is a block of its own.
		b := block{start: h.coarsening.start}
		c := coder{coarse: true}
		c.reset(b.start)
		b.data = c.append(nil, &h.coarsening)
		b.index(&h.coarsening)
		s.coarse = append(s.coarse, b)
	}
	return s
}

// each calls f with each record that overlaps from..to, oldest first, and with the overlap. Coarse records are for
// times before the first fine one. f must not keep them.
func (s *Snapshot) each(from, to int64, f func(r *record, from, to int64)) {
	fineFrom := to
	if len(s.fine) > 0 {
		fineFrom = max(from, min(to, s.fine[0].start))
	}
	var rd reader
	var rec record
	read := func(blocks []block, coarse bool, from, to int64) {
		for i := range blocks {
			b := &blocks[i]
			if b.end <= from || b.start >= to {
				continue
			}
			for rd.reset(b, coarse); rd.next(&rec); {
				if lo, hi := max(rec.start, from), min(rec.end, to); lo < hi {
					f(&rec, lo, hi)
				}
			}
		}
	}
	read(s.coarse, true, from, fineFrom)
	read(s.fine, false, fineFrom, to)
}

// Members returns the names of all members that are known, sorted.
func (s *Snapshot) Members() []string {
	names := slices.Clone(s.names)
	slices.Sort(names)
	return names
}
