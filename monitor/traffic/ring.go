// SPDX-License-Identifier: MIT

package traffic

import "slices"

// ring holds the newest records, in order and without overlap.
type ring struct {
	coarse bool
	keep   int // least number of records, where the budget allows
	budget int // bytes
	blocks []block
	open   bool // the last block takes more
	code   coder
	bytes  int // of the blocks that are not open
	count  int // records
	last   int // bytes of the last record
}

// add appends a record, which starts no earlier than the last one ended.
func (g *ring) add(r *record) {
	if n := len(g.blocks); g.open && (g.blocks[n-1].full(g.last) || r.start-g.blocks[n-1].end > maxSpan) {
		g.seal()
	}
	if !g.open {
		g.code.coarse = g.coarse
		g.code.reset(r.start)
		g.blocks = append(g.blocks, block{start: r.start, data: make([]byte, 0, blockSize)})
		g.open = true
	}
	b := &g.blocks[len(g.blocks)-1]
	was := len(b.data)
	b.data = g.code.append(b.data, r)
	g.last = len(b.data) - was
	b.index(r)
	g.count++
	g.trim()
}

func (g *ring) seal() {
	if !g.open {
		return
	}
	b := &g.blocks[len(g.blocks)-1]
	b.seal()
	g.bytes += b.size()
	g.open = false
}

// appendBlock appends a sealed block, which starts no earlier than the last one ended.
func (g *ring) appendBlock(b block) {
	g.seal()
	b.data = slices.Clone(b.data) // borrowed
	g.blocks = append(g.blocks, b)
	g.bytes += b.size()
	g.count += b.records
	g.trim()
}

// trim drops the oldest blocks while the newer ones have enough records, or the budget is exceeded.
func (g *ring) trim() {
	drop := 0
	for last := len(g.blocks) - 1; drop < last; drop++ {
		b := &g.blocks[drop]
		if g.count-b.records < g.keep && g.bytes+g.blocks[last].size() <= g.budget {
			break
		}
		g.count -= b.records
		g.bytes -= b.size()
	}
	if drop > 0 {
		g.blocks = slices.Delete(g.blocks, 0, drop) // clears the rest, for the garbage collector
	}
}

// end is when the last record ended, 0 without records.
func (g *ring) end() int64 {
	if len(g.blocks) == 0 {
		return 0
	}
	return g.blocks[len(g.blocks)-1].end
}

// cut drops all records that end after t.
func (g *ring) cut(t int64) {
	g.seal()
	for n := len(g.blocks); n > 0 && g.blocks[n-1].end > t; n = len(g.blocks) {
		b := g.blocks[n-1]
		g.blocks = slices.Delete(g.blocks, n-1, n)
		g.bytes -= b.size()
		g.count -= b.records
		if b.start >= t {
			continue
		}
		var rd reader
		var rec record
		for rd.reset(&b, g.coarse); rd.next(&rec) && rec.end <= t; {
			g.add(&rec)
		}
		g.seal()
		return
	}
}

// hasMember reports whether there is a record of the member.
func (g *ring) hasMember(member int) bool {
	return slices.ContainsFunc(g.blocks, func(b block) bool { return b.has(member) })
}
