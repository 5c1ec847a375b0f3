// SPDX-License-Identifier: MIT

package lab

import "math/bits"

// tally is a receiver's record of the frames of one flow.
type tally struct {
	seen       []uint64 // bit n is set when sequence number n has arrived
	next       uint64   // highest number so far, plus one
	distinct   uint64
	duplicated uint64
	reordered  uint64 // arrived after a later one (RFC 4737)
	gaps       gaps
}

// seqLimit bounds the memory that a wrong number can allocate; it is hours of traffic.
const seqLimit = 1 << 30

// arrive counts a frame; it returns false for a number that no sender can have reached.
func (t *tally) arrive(seq uint64, at int64) bool {
	if seq >= seqLimit {
		return false
	}
	word, bit := seq/64, uint64(1)<<(seq%64)
	for uint64(len(t.seen)) <= word {
		t.seen = append(t.seen, 0)
	}
	t.gaps.arrive(at)
	if t.seen[word]&bit != 0 {
		t.duplicated++
		return true
	}
	t.seen[word] |= bit
	t.distinct++
	if seq < t.next {
		t.reordered++
	} else {
		t.next = seq + 1
	}
	return true
}

// missing returns the numbers below sent that have not arrived, as spans, at most limit of them.
func (t *tally) missing(sent uint64, limit int) []Span {
	var out []Span
	for n := uint64(0); n < sent; {
		if n/64 < uint64(len(t.seen)) {
			present := t.seen[n/64] >> (n % 64)
			if skip := uint64(bits.TrailingZeros64(^present)); skip > 0 {
				n += min(skip, 64-n%64)
				continue
			}
		}
		if l := len(out); l > 0 && out[l-1].To == n {
			out[l-1].To++
		} else if l == limit {
			break
		} else {
			out = append(out, Span{n, n + 1})
		}
		n++
	}
	return out
}

// Span is sequence numbers From ≤ n < To.
type Span struct{ From, To uint64 }
