// SPDX-License-Identifier: MIT

package lacp

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var depth = flag.Int("depth", 0, "how many events the searches go deep, 0 as many as are quick")

// underRace has the searches go less deep, and fewer: the race detector makes them some ten times as slow, and has
// nothing to find in what one goroutine does.
var underRace bool

// search goes through all that can happen, breadth first.
type search struct {
	plan   plan
	kinds  []eventKind // besides deliver and wait
	faults int         // that happen at most
	depth  int         // events
	least  int         // states that are met at that depth at least
	agreed func(*world) bool
	bound  time.Duration // within which there is agreement
}

// origin is where a state was met first.
type origin struct {
	from  uint64
	event event
}

// node is a state to go on from.
type node struct {
	key uint64
	w   *world
}

var allFaults = []eventKind{lose, restart, reset, leave, carrier, mute}

func TestSearch(t *testing.T) {
	a := Config{System: SystemID{Priority: 65535, MAC: 0x020000000010}}
	b := Config{System: SystemID{Priority: 65535, MAC: 0x020000000020}}
	c := Config{System: SystemID{Priority: 65535, MAC: 0x020000000030}}
	fast := func(c Config) Config { c.Fast = true; return c }
	passive := func(c Config) Config { c.Passive = true; return c }
	most := func(c Config) Config { c.Select = Bandwidth; return c }
	two := [][2]plug{{{0, 0}, {1, 0}}, {{0, 1}, {1, 1}}}
	later := []time.Duration{0, 400 * time.Millisecond}
	// Twice what one end needs to find out that it is not heard, and to begin anew.
	const short, long = 4 * 3 * time.Second, 4 * 90 * time.Second

	for i, c := range []struct {
		name string
		search
	}{
		{"fast and fast", search{plan: plan{systems: []Config{fast(a), fast(b)}, offsets: later, cables: two},
			kinds: allFaults, faults: 2, depth: 4, least: 5000, agreed: (*world).all, bound: short}},
		{"fast and slow", search{plan: plan{systems: []Config{fast(a), b}, offsets: later, cables: two},
			kinds: allFaults, faults: 2, depth: 4, least: 5000, agreed: (*world).all, bound: long}},
		{"slow and slow", search{plan: plan{systems: []Config{a, b}, cables: two},
			kinds: allFaults, faults: 2, depth: 4, least: 5000, agreed: (*world).all, bound: long}},
		{"active and passive", search{plan: plan{systems: []Config{fast(a), passive(fast(b))}, offsets: later,
			cables: two},
			kinds: allFaults, faults: 2, depth: 4, least: 5000, agreed: (*world).all, bound: short}},
		{"two partners", search{plan: plan{systems: []Config{fast(a), fast(b), fast(c)},
			cables: [][2]plug{{{0, 0}, {1, 0}}, {{0, 1}, {2, 0}}}},
			kinds: allFaults, faults: 2, depth: 4, least: 5000, agreed: (*world).together, bound: short}},
		{"two speeds", search{plan: plan{systems: []Config{fast(a), fast(b)}, offsets: later, cables: two,
			speeds: map[plug]uint64{{0, 0}: 1e10, {1, 0}: 1e10}}, kinds: allFaults, faults: 2, depth: 4, least: 5000,
			agreed: (*world).together, bound: short}},
		{"two speeds, each prefers another",
			search{plan: plan{systems: []Config{fast(a), fast(b)}, offsets: later, cables: two,
				speeds: map[plug]uint64{{0, 0}: 1e10, {1, 1}: 1e10}}, kinds: allFaults, faults: 2, depth: 4,
				least: 5000, agreed: (*world).together, bound: short}},
		{"two speeds, bandwidth", search{plan: plan{systems: []Config{most(fast(a)), most(fast(b))}, offsets: later,
			cables: two,
			speeds: map[plug]uint64{{0, 0}: 1e10, {1, 0}: 1e10}}, kinds: allFaults, faults: 2, depth: 4, least: 5000,
			agreed: (*world).together, bound: short}},
		{"two speeds, bandwidth, each prefers another",
			search{plan: plan{systems: []Config{most(fast(a)), most(fast(b))}, offsets: later, cables: two,
				speeds: map[plug]uint64{{0, 0}: 1e10, {1, 1}: 1e10}}, kinds: allFaults, faults: 2, depth: 4,
				least: 5000, agreed: (*world).together, bound: short}},
	} {
		if underRace && i >= 3 {
			break
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func (s *search) run(t *testing.T) {
	deep, least := s.depth, s.least
	if *depth > 0 {
		deep = *depth
	} else if underRace {
		deep, least = 1, 0
	}
	seen := map[uint64]origin{}
	settling := settling{plan: &s.plan, agreed: s.agreed, known: map[uint64]time.Duration{}}
	var worst time.Duration
	var worstKey uint64
	// met takes in a state and says whether it is new.
	met := func(w *world, o origin) (node, bool) {
		key, _ := w.key(nil)
		if _, ok := seen[key]; ok {
			return node{}, false
		}
		seen[key] = o
		healed := w.clone()
		as := []*world{w.clone()}
		if s.plan.heal(healed) {
			as = append(as, healed)
		}
		for _, c := range as {
			took, err := settling.settle(c)
			if err != nil {
				t.Fatalf("%v\nafter %s:\n%s", err, trace(seen, key), w)
			}
			if took > worst {
				worst, worstKey = took, key
			}
		}
		return node{key, w}, true
	}

	var level []node
	for i, w := range s.roots(t) {
		if n, ok := met(w, origin{event: event{deliver, -1 - i}}); ok {
			level = append(level, n)
		}
	}
	for d := range deep {
		if len(level) == 0 {
			t.Logf("nothing new at depth %d", d)
		}
		var below []node
		for _, n := range level {
			for _, e := range n.w.events(s.kinds) {
				fault := n.w.fault(e)
				if fault && n.w.faults == 0 {
					continue
				}
				w := n.w.clone()
				if fault {
					w.faults--
				}
				s.plan.apply(w, e)
				if n, ok := met(w, origin{n.key, e}); ok {
					below = append(below, n)
				}
			}
		}
		level = below
	}
	t.Logf("depth %d: %d states, %d more until all was settled, in %d steps; agreement within %v", deep, len(seen),
		len(settling.known), settling.steps, worst)
	if len(seen) < least {
		t.Errorf("%d states, want %d at least", len(seen), least)
	}
	if worst > s.bound {
		t.Errorf("agreement within %v, want %v, after %s", worst, s.bound, trace(seen, worstKey))
	}
}

// roots are the worlds to begin with: one that begins itself, and one in which all is agreed.
func (s *search) roots(t *testing.T) []*world {
	cold, warm := s.plan.begin(), s.plan.begin()
	until := warm.now.Add(2 * s.bound)
	for warm.now.Before(until) {
		s.plan.apply(warm, warm.next())
	}
	if !s.agreed(warm) {
		t.Fatalf("no agreement without a fault:\n%s", warm)
	}
	cold.faults, warm.faults = s.faults, s.faults
	return []*world{cold, warm}
}

// trace tells how a state came about.
func trace(seen map[uint64]origin, key uint64) string {
	var events []string
	for {
		o := seen[key]
		if o.event.which < 0 {
			events = append(events, [...]string{"the beginning", "agreement"}[-1-o.event.which])
			break
		}
		events = append(events, o.event.String())
		key = o.from
	}
	slices.Reverse(events)
	return fmt.Sprint(strings.Join(events, ", "))
}
