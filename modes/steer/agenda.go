package steer

import "time"

// An item is a thing of the agenda: a pair to be told, or a group to be repaired.
type item int32

func pairItem(i int32) item  { return item(2 * i) }
func groupItem(i int32) item { return item(2*i + 1) }

// pair returns which pair the item is, and false if it is a group.
func (it item) pair() (int32, bool) { return int32(it) / 2, it%2 == 0 }

// group returns which group an item is that is no pair.
func (it item) group() int32 { return int32(it) / 2 }

// agenda is what is to be done when: a binary heap that knows where each item is. Of two at the same time the
// lower item comes first, so the order never depends on anything else.
type agenda struct {
	heap []item
	time []time.Duration // by item
	pos  []int32         // by item: where it is in heap, plus one; 0 nowhere
}

func (a *agenda) has(it item) bool { return int(it) < len(a.pos) && a.pos[it] != 0 }

// first returns what comes first, and when.
func (a *agenda) first() (item, time.Duration, bool) {
	if len(a.heap) == 0 {
		return 0, 0, false
	}
	return a.heap[0], a.time[a.heap[0]], true
}

// set puts an item at a time, wherever it was before.
func (a *agenda) set(it item, at time.Duration) {
	for int(it) >= len(a.pos) {
		a.pos = append(a.pos, 0)
		a.time = append(a.time, 0)
	}
	a.time[it] = at
	if a.pos[it] == 0 {
		a.heap = append(a.heap, it)
		a.pos[it] = int32(len(a.heap))
	}
	a.settle(int(a.pos[it]) - 1)
}

// drop takes an item off.
func (a *agenda) drop(it item) {
	if !a.has(it) {
		return
	}
	i, last := int(a.pos[it])-1, len(a.heap)-1
	a.pos[it] = 0
	moved := a.heap[last]
	a.heap = a.heap[:last]
	if i < last {
		a.put(i, moved)
		a.settle(i)
	}
}

func (a *agenda) put(i int, it item) {
	a.heap[i] = it
	a.pos[it] = int32(i + 1)
}

func (a *agenda) before(x, y item) bool {
	if a.time[x] != a.time[y] {
		return a.time[x] < a.time[y]
	}
	return x < y
}

// settle moves what is at i to where it belongs.
func (a *agenda) settle(i int) {
	it := a.heap[i]
	for i > 0 && a.before(it, a.heap[(i-1)/2]) {
		a.put(i, a.heap[(i-1)/2])
		i = (i - 1) / 2
	}
	for {
		c := 2*i + 1
		if c+1 < len(a.heap) && a.before(a.heap[c+1], a.heap[c]) {
			c++
		}
		if c >= len(a.heap) || !a.before(a.heap[c], it) {
			break
		}
		a.put(i, a.heap[c])
		i = c
	}
	a.put(i, it)
}
