package traffic

import "slices"

// ring is the newest records, in the order of time and none over another.
type ring struct {
	coarse bool
	keep   int // records that are kept at least, where they fit in
	budget int // bytes
	blocks []block
	open   bool // the last block takes more
	code   coder
	bytes  int // of the blocks that are not open
	count  int // records
	last   int // bytes of the last record
}

// add appends a record, which does not begin before the last one ended.
func (g *ring) add(r *record) {
	if n := len(g.blocks); g.open && (g.blocks[n-1].full(g.last) || r.start-g.blocks[n-1].end > maxSpan) {
		g.seal()
	}
	if !g.open {
		g.code.coarse = g.coarse
		g.code.begin(r.start)
		g.blocks = append(g.blocks, block{start: r.start, data: make([]byte, 0, blockSize)})
		g.open = true
	}
	b := &g.blocks[len(g.blocks)-1]
	was := len(b.data)
	b.data = g.code.append(b.data, r)
	g.last = len(b.data) - was
	b.note(r)
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

// take appends a sealed block, which does not begin before the last one ended.
func (g *ring) take(b block) {
	g.seal()
	b.data = slices.Clone(b.data) // it is somebody else's
	g.blocks = append(g.blocks, b)
	g.bytes += b.size()
	g.count += b.records
	g.trim()
}

// trim drops the oldest blocks while there are enough younger records, and while what there is does not fit in.
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
		g.blocks = slices.Delete(g.blocks, 0, drop) // clears what it leaves, for the garbage collector
	}
}

// end is when the last record ended, 0 when there is none.
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
		for rd.open(&b, g.coarse); rd.next(&rec) && rec.end <= t; {
			g.add(&rec)
		}
		g.seal()
		return
	}
}

// uses reports whether a record of the member is kept.
func (g *ring) uses(member int) bool {
	return slices.ContainsFunc(g.blocks, func(b block) bool { return b.has(member) })
}
