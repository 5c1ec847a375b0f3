package traffic

import "slices"

// Snapshot is a History as it was at one moment. It does not change.
type Snapshot struct {
	names        []string
	fine, coarse []block
}

// Snapshot copies what may change, which is little.
func (h *History) Snapshot() *Snapshot {
	s := &Snapshot{names: slices.Clone(h.names), fine: slices.Clone(h.fine.blocks), coarse: slices.Clone(h.coarse.blocks)}
	if h.gathered.end != 0 {
		// What is being gathered is a block of its own.
		b := block{start: h.gathered.start}
		c := coder{coarse: true}
		c.begin(b.start)
		b.data = c.append(nil, &h.gathered)
		b.note(&h.gathered)
		s.coarse = append(s.coarse, b)
	}
	return s
}

// each calls f with all records that touch from..to, the oldest first, and with the part of from..to that each is for: coarse
// records are for times of which there are no fine ones any more. f must not keep them.
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
			for rd.open(b, coarse); rd.next(&rec); {
				if lo, hi := max(rec.start, from), min(rec.end, to); lo < hi {
					f(&rec, lo, hi)
				}
			}
		}
	}
	read(s.coarse, true, from, fineFrom)
	read(s.fine, false, fineFrom, to)
}

// Members are the names of all of whom something is known, sorted.
func (s *Snapshot) Members() []string {
	names := slices.Clone(s.names)
	slices.Sort(names)
	return names
}
