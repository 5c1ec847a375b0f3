package steer

import (
	"iter"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// maxPairs bounds the table of pairs.
const maxPairs = 4096

// maxNames is how many addresses of a host are remembered.
const maxNames = 4

// pair is a host and the address of ours that it talks to: one entry of the host's cache.
//
// A host is known by its addresses and by its MAC. Most have several addresses, above all in IPv6, and ask now
// from this one and now from that one; teams have several MACs, and answer with this one and that one. What has
// an address or else the MAC of a pair is that pair.
type pair struct {
	groupKey
	mac     frame.MAC    // the last it used
	to      netip.Addr   // the same
	address netip.Addr   // to show: a link-local one only if it has no other
	names   []netip.Addr // at most maxNames, the one met first in front
	used    bool
	busy    bool // which of the two orders it is in
	member  int
	slot    uint16 // of Heard

	group, place int32 // where it is among its address's pairs
	next, prev   int32 // in the order of being seen, -1 at the ends

	since  time.Duration // member has been its member
	seen   time.Duration // it last asked, answered or sent
	heard  time.Duration // it last sent something
	rests  time.Duration // until then only a dead member makes it move
	bps    uint64        // that it sends
	reckon float64       // bit/s that it counts for
	fresh  int           // measurements that still say too little of it

	told  time.Duration // last
	tolds uint64
	again bool // to be told once more, a while after
}

// nameKey and macKey are what a pair is known by.
type (
	nameKey struct {
		groupKey
		peer netip.Addr
	}
	macKey struct {
		groupKey
		mac frame.MAC
	}
)

// groupKey is an address of ours.
type groupKey struct {
	vlan uint16
	ours netip.Addr
}

// group are the pairs of one of our addresses.
type group struct {
	groupKey
	pairs []int32
	mac   frame.MAC // which our last frame to all said
}

// one reports whether an address is one host's.
func one(a netip.Addr) bool { return a.IsValid() && !a.IsUnspecified() && !a.IsMulticast() }

// pairs is the table of pairs. Each keeps its index as long as it is in, and nothing walks a map, so what
// happens depends on the events alone.
type pairs struct {
	slab  []pair
	free  []int32
	count int
	names map[nameKey]int32
	macs  map[macKey]int32

	groups     []group
	freeGroups []int32
	groupKeys  map[groupKey]int32

	idle, busy order // by when they were seen; busy are those that sent something in the last minute
}

func (ps *pairs) at(i int32) *pair { return &ps.slab[i] }

func (ps *pairs) len() int { return ps.count }

// all yields the index of each pair; the one at hand may be removed.
func (ps *pairs) all() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i := range ps.slab {
			if ps.slab[i].used && !yield(int32(i)) {
				return
			}
		}
	}
}

// find returns the index of the pair that a host with that address and MAC is, -1 if it is not known.
func (ps *pairs) find(g groupKey, peer netip.Addr, mac frame.MAC) int32 {
	if i, ok := ps.names[nameKey{g, peer}]; ok {
		return i
	}
	if i, ok := ps.macs[macKey{g, mac}]; ok {
		return i
	}
	return -1
}

// findGroup returns the index of an address of ours, -1 if nobody talks to it.
func (ps *pairs) findGroup(k groupKey) int32 {
	if g, ok := ps.groupKeys[k]; ok {
		return g
	}
	return -1
}

// add makes a pair, which was seen at t, and returns its index. There must be room.
func (ps *pairs) add(k groupKey, t time.Duration) int32 {
	if ps.names == nil {
		ps.names = map[nameKey]int32{}
		ps.macs = map[macKey]int32{}
		ps.groupKeys = map[groupKey]int32{}
		ps.idle, ps.busy = order{-1, -1}, order{-1, -1}
	}
	var i int32
	if n := len(ps.free); n > 0 {
		i, ps.free = ps.free[n-1], ps.free[:n-1]
	} else {
		i = int32(len(ps.slab))
		ps.slab = append(ps.slab, pair{})
	}
	ps.count++
	g := ps.joinGroup(k, i)
	ps.slab[i] = pair{groupKey: k, used: true, member: -1, group: g, place: int32(len(ps.groups[g].pairs) - 1),
		next: -1, prev: -1, seen: t, names: ps.slab[i].names[:0]}
	ps.idle.push(ps, i)
	return i
}

// meet takes in by which address and MAC a host was met.
func (ps *pairs) meet(i int32, peer netip.Addr, mac frame.MAC) {
	p := &ps.slab[i]
	p.to = peer
	if !p.address.IsValid() || p.address.IsLinkLocalUnicast() || !peer.IsLinkLocalUnicast() {
		p.address = peer
	}
	if !slices.Contains(p.names, peer) {
		if len(p.names) == maxNames {
			delete(ps.names, nameKey{p.groupKey, p.names[0]})
			p.names = slices.Delete(p.names, 0, 1)
		}
		p.names = append(p.names, peer)
		ps.names[nameKey{p.groupKey, peer}] = i
	}
	if p.mac == mac {
		return
	}
	ps.unlearn(i, p)
	p.mac = mac
	p.slot = uint16(spread.RxClassOf(mac, p.ours.AsSlice()))
	// A MAC that is another pair's stays that one's: whoever forges an answer moves nobody else by it.
	if _, ok := ps.macs[macKey{p.groupKey, mac}]; !ok {
		ps.macs[macKey{p.groupKey, mac}] = i
	}
}

// unlearn gives up a pair's MAC.
func (ps *pairs) unlearn(i int32, p *pair) {
	if k := (macKey{p.groupKey, p.mac}); p.mac != 0 && ps.macs[k] == i {
		delete(ps.macs, k)
	}
}

// remove takes a pair out, and returns the group that went with it, -1 if others are left in it.
func (ps *pairs) remove(i int32) int32 {
	p := &ps.slab[i]
	ps.order(p).cut(ps, i)
	for _, peer := range p.names {
		delete(ps.names, nameKey{p.groupKey, peer})
	}
	ps.unlearn(i, p)
	gone := ps.leaveGroup(p.group, p.place)
	*p = pair{names: p.names[:0]}
	ps.count--
	ps.free = append(ps.free, i)
	return gone
}

// touch notes that a pair was seen at t.
func (ps *pairs) touch(i int32, t time.Duration) {
	p := &ps.slab[i]
	p.seen = t
	o := ps.order(p)
	o.cut(ps, i)
	o.push(ps, i)
}

// sort puts a pair into the order where it belongs by what it sent until t.
func (ps *pairs) sort(i int32, t time.Duration) {
	p := &ps.slab[i]
	if busy := p.heard > 0 && t-p.heard < pairBusy; busy != p.busy {
		ps.order(p).cut(ps, i)
		p.busy = busy
		ps.order(p).push(ps, i)
	}
}

func (ps *pairs) order(p *pair) *order {
	if p.busy {
		return &ps.busy
	}
	return &ps.idle
}

func (ps *pairs) joinGroup(k groupKey, i int32) int32 {
	g := ps.findGroup(k)
	if g < 0 {
		if n := len(ps.freeGroups); n > 0 {
			g, ps.freeGroups = ps.freeGroups[n-1], ps.freeGroups[:n-1]
		} else {
			g = int32(len(ps.groups))
			ps.groups = append(ps.groups, group{})
		}
		ps.groups[g] = group{groupKey: k}
		ps.groupKeys[k] = g
	}
	ps.groups[g].pairs = append(ps.groups[g].pairs, i)
	return g
}

func (ps *pairs) leaveGroup(g, place int32) int32 {
	gr := &ps.groups[g]
	last := len(gr.pairs) - 1
	gr.pairs[place] = gr.pairs[last]
	ps.slab[gr.pairs[place]].place = place
	gr.pairs = gr.pairs[:last]
	if last > 0 {
		return -1
	}
	delete(ps.groupKeys, gr.groupKey)
	*gr = group{}
	ps.freeGroups = append(ps.freeGroups, g)
	return g
}

// order is a list of pairs through their next and prev, the one seen last in front.
type order struct{ head, tail int32 }

func (o *order) push(ps *pairs, i int32) {
	p := &ps.slab[i]
	p.prev, p.next = -1, o.head
	if o.head >= 0 {
		ps.slab[o.head].prev = i
	} else {
		o.tail = i
	}
	o.head = i
}

func (o *order) cut(ps *pairs, i int32) {
	p := &ps.slab[i]
	if p.prev >= 0 {
		ps.slab[p.prev].next = p.next
	} else {
		o.head = p.next
	}
	if p.next >= 0 {
		ps.slab[p.next].prev = p.prev
	} else {
		o.tail = p.prev
	}
}

// Members are the members that peers were told.
func (s *Balancer) Members() (set spread.MemberSet) {
	for i := range s.pairs.all() {
		set = set.With(s.pairs.at(i).member)
	}
	return set
}
