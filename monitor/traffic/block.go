// SPDX-License-Identifier: MIT

package traffic

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"nicteam/internal/frame"
)

const (
	blockLen  = 240      // records of a block
	blockSize = 64 << 10 // bytes of a block
	maxNames  = 256      // names that can be told apart
	maxSpan   = 1 << 45  // ms: a thousand years; more is not a time
)

// block is up to blockLen records, each coded relative to the one before:
//
//	record  gap since the end of the last, duration, [peaks of the team], number of parts, parts
//	part    member minus that of the last part, then for each direction: set of protocols,
//	        [set of those whose bytes and frames have the same peak code],
//	        for each protocol: frames, bytes minus frames × last frame size, [peaks],
//	        and [peaks of the direction]
//
// All are varints except sets of protocols and peaks, which are one byte each. Only the coarse ring has peaks; a record
// of the fine ring is its own peak.
//
// data only grows: who has a copy of a block may read its data without a lock.
type block struct {
	start, end int64
	records    int
	data       []byte
	members    [maxNames / 64]uint64 // set of those that have a part
}

// coder holds what the next record is coded relative to.
type coder struct {
	coarse bool
	end    int64 // of the record before
	size   [][directions][frame.Protocols]uint64
}

// reset prepares for the first record of a block.
func (c *coder) reset(start int64) {
	c.end = start
	clear(c.size)
}

func (c *coder) sizes(member int) *[directions][frame.Protocols]uint64 {
	for len(c.size) <= member {
		c.size = append(c.size, [directions][frame.Protocols]uint64{})
	}
	return &c.size[member]
}

// sizeUnit is the resolution of the last frame size. The product may overflow, in coding and decoding alike: then the
// code only gets longer.
const sizeUnit = 16

func (c *coder) append(b []byte, r *record) []byte {
	b = binary.AppendUvarint(b, uint64(r.start-c.end))
	b = binary.AppendUvarint(b, uint64(r.ms()))
	c.end = r.end
	if c.coarse {
		all := r.moved()
		for d := range all {
			for p := range all[d] {
				b = peakCodeOf(r.peak[d][p], all[d][p], r.ms()).append(b)
			}
			b = peakCodeOf(r.peak[d][sum], all.total(d), r.ms()).append(b)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(r.parts)))
	before := 0
	for i := range r.parts {
		p := &r.parts[i]
		b = binary.AppendUvarint(b, uint64(p.member-before))
		before = p.member
		b = c.appendPart(b, p, r.ms())
	}
	return b
}

func (c *coder) appendPart(b []byte, p *part, ms int64) []byte {
	sizes := c.sizes(p.member)
	for d := range p.moved {
		var set, same byte
		var codes [frame.Protocols]peakCode
		for i, n := range p.moved[d] {
			if n == (Count{}) {
				continue
			}
			set |= 1 << i
			if codes[i] = peakCodeOf(p.peak[d][i], n, ms); codes[i].bytes == codes[i].frames {
				same |= 1 << i
			}
		}
		b = append(b, set)
		if c.coarse && set != 0 {
			b = append(b, same)
		}
		for i, n := range p.moved[d] {
			if set&(1<<i) == 0 {
				continue
			}
			b = binary.AppendUvarint(b, n.Frames)
			b = binary.AppendVarint(b, int64(n.Bytes-n.Frames*sizes[d][i]/sizeUnit))
			if n.Frames > 0 {
				sizes[d][i] = n.Bytes * sizeUnit / n.Frames
			}
			if c.coarse {
				b = append(b, codes[i].bytes)
				if same&(1<<i) == 0 {
					b = append(b, codes[i].frames)
				}
			}
		}
		if c.coarse && several(set) {
			b = peakCodeOf(p.peak[d][sum], p.moved.total(d), ms).append(b)
		}
	}
	return b
}

// several reports whether a set has more than one protocol; with one its peak is that of the direction.
func several(set byte) bool { return set&(set-1) != 0 }

var errCorrupt = errors.New("a record cannot be read")

// reader decodes a block. After the first error all values are zero.
type reader struct {
	coder
	b   []byte
	bad bool
}

// reset starts at the first record of a block.
func (r *reader) reset(b *block, coarse bool) {
	r.coarse, r.b, r.bad = coarse, b.data, false
	r.coder.reset(b.start)
}

func (r *reader) uvarint() uint64 {
	n, l := binary.Uvarint(r.b)
	if l <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[l:]
	return n
}

func (r *reader) varint() int64 {
	n, l := binary.Varint(r.b)
	if l <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[l:]
	return n
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	n := r.b[0]
	r.b = r.b[1:]
	return n
}

// next decodes a record; false at the end of the block and on an error.
func (r *reader) next(to *record) bool {
	if len(r.b) == 0 {
		return false
	}
	gap, ms := r.uvarint(), r.uvarint()
	if gap > maxSpan || ms > maxSpan || ms == 0 {
		r.bad = true
		return false
	}
	start := r.end + int64(gap)
	to.reset(start, start+int64(ms))
	r.end = to.end
	var codes [directions][frame.Protocols + 1]peakCode
	if r.coarse {
		for d := range codes {
			for p := range codes[d] {
				codes[d][p] = r.peakCode()
			}
		}
	}
	parts := r.uvarint()
	member := uint64(0)
	for i := range parts {
		step := r.uvarint()
		if member += step; r.bad || step >= maxNames || member >= maxNames || i > 0 && step == 0 {
			r.bad = true
			return false
		}
		to.parts = append(to.parts, part{member: int(member)})
		r.part(&to.parts[len(to.parts)-1], to.ms())
	}
	all := to.moved()
	if !r.coarse {
		to.peak = all.rates(to.ms())
		return !r.bad
	}
	for d := range all {
		for p := range all[d] {
			to.peak[d][p] = codes[d][p].decode(all[d][p], to.ms())
		}
		to.peak[d][sum] = codes[d][sum].decode(all.total(d), to.ms())
	}
	return !r.bad
}

func (r *reader) part(p *part, ms int64) {
	sizes := r.sizes(p.member)
	for d := range p.moved {
		set, same := r.byte(), byte(0)
		if r.coarse && set != 0 {
			same = r.byte()
		}
		if (set|same)>>frame.Protocols != 0 {
			r.bad = true
			return
		}
		for i := range p.moved[d] {
			if set&(1<<i) == 0 {
				continue
			}
			n := &p.moved[d][i]
			n.Frames = r.uvarint()
			n.Bytes = uint64(r.varint()) + n.Frames*sizes[d][i]/sizeUnit
			if n.Frames > 0 {
				sizes[d][i] = n.Bytes * sizeUnit / n.Frames
			}
			if r.coarse {
				code := r.byte()
				codes := peakCode{code, code}
				if same&(1<<i) == 0 {
					codes.frames = r.byte()
				}
				p.peak[d][i] = codes.decode(*n, ms)
				p.peak[d][sum] = p.peak[d][i]
			}
		}
		if r.coarse && several(set) {
			p.peak[d][sum] = r.peakCode().decode(p.moved.total(d), ms)
		}
	}
	if !r.coarse {
		p.peak = p.moved.rates(ms)
	}
}

// peakCode is the ratio of the busiest second to the average, for bytes and for frames: peakSpan to the power of
// code/255.
type peakCode struct{ bytes, frames byte }

// peakSpan exceeds the number of shortest readings in a coarse record. A step of the code is 1.4 %, so a peak is exact
// to 0.7 %.
const peakSpan = 32

var peakFactor = func() (t [256]float64) {
	for i := range t {
		t[i] = math.Pow(peakSpan, float64(i)/255)
	}
	return t
}()

func peakCodeOf(peak, moved Count, ms int64) peakCode {
	return peakCode{codePeak(peak.Bytes, moved.Bytes, ms), codePeak(peak.Frames, moved.Frames, ms)}
}

func (c peakCode) append(b []byte) []byte { return append(b, c.bytes, c.frames) }

func codePeak(peak, moved uint64, ms int64) byte {
	if moved == 0 || peak == 0 {
		return 0
	}
	ratio := float64(peak) * float64(ms) / (float64(moved) * 1000)
	code := math.Round(255 * math.Log(ratio) / math.Log(peakSpan))
	return byte(min(max(code, 0), 255))
}

func (r *reader) peakCode() peakCode { return peakCode{r.byte(), r.byte()} }

func (c peakCode) decode(moved Count, ms int64) Count {
	return Count{decodePeak(c.bytes, moved.Bytes, ms), decodePeak(c.frames, moved.Frames, ms)}
}

func decodePeak(code byte, moved uint64, ms int64) uint64 {
	if moved == 0 {
		return 0
	}
	peak := math.Round(float64(moved) * 1000 / float64(ms) * peakFactor[code])
	if peak >= math.MaxInt64 {
		return math.MaxInt64
	}
	return max(uint64(peak), perSecond(moved, ms)) // never below the average
}

// check decodes a block from a file and fills in what follows from its records.
func (b *block) check(coarse bool, names int) error {
	var r reader
	var rec record
	r.reset(b, coarse)
	b.records, b.members, b.end = 0, [maxNames / 64]uint64{}, b.start
	for r.next(&rec) {
		if b.records == 0 && rec.start != b.start {
			return errCorrupt
		}
		for i := range rec.parts {
			if rec.parts[i].member >= names {
				return errCorrupt
			}
		}
		b.index(&rec)
	}
	if r.bad || b.records == 0 || b.records > blockLen {
		return errCorrupt
	}
	return nil
}

// index adds the newest record to the fields that describe the block.
func (b *block) index(r *record) {
	b.records++
	b.end = r.end
	for i := range r.parts {
		m := r.parts[i].member
		b.members[m/64] |= 1 << (m % 64)
	}
}

func (b *block) has(member int) bool { return b.members[member/64]&(1<<(member%64)) != 0 }

// size is the memory of a block in bytes.
func (b *block) size() int { return cap(b.data) + 96 }

// full reports whether the next record goes into a new block; last is the size of the last record.
func (b *block) full(last int) bool {
	return b.records == blockLen || cap(b.data)-len(b.data) < last+last/4
}

// seal frees unused capacity where that is worth a copy. Nothing is appended later.
func (b *block) seal() {
	if cap(b.data)-len(b.data) > blockSize/16 {
		b.data = slices.Clone(b.data)
	}
}
