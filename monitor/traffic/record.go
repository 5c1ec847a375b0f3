// SPDX-License-Identifier: MIT

package traffic

import "slices"

// record is what moved in a period. Times are milliseconds since 1970.
type record struct {
	start, end int64
	peak       peaks  // of the team
	parts      []part // of members that carried something, by member
}

// part is a member's part of a record.
type part struct {
	member int // index of its name
	moved  counts
	peak   peaks
}

func (r *record) ms() int64 { return r.end - r.start }

// moved is what the team carried.
func (r *record) moved() (c counts) {
	for i := range r.parts {
		c.add(&r.parts[i].moved)
	}
	return c
}

// reset empties r and keeps its memory.
func (r *record) reset(start, end int64) {
	r.start, r.end, r.peak, r.parts = start, end, peaks{}, r.parts[:0]
}

// memberPart returns the part of a member, and adds it.
func (r *record) memberPart(member int) *part {
	i, found := slices.BinarySearchFunc(r.parts, member, func(p part, m int) int { return p.member - m })
	if !found {
		r.parts = slices.Insert(r.parts, i, part{member: member})
	}
	return &r.parts[i]
}

// append adds the record that follows.
func (r *record) append(o *record) {
	r.end = o.end
	r.peak.raise(&o.peak)
	for i := range o.parts {
		p := r.memberPart(o.parts[i].member)
		p.moved.add(&o.parts[i].moved)
		p.peak.raise(&o.parts[i].peak)
	}
}
