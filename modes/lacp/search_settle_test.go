// SPDX-License-Identifier: MIT

package lacp

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// settling finds out what becomes of a world in which nothing goes wrong any more. It is then a machine without a
// choice that must come back to a state it was in before: what happens on that circle happens for ever. So it is known
// of each state how long it takes until nothing changes any more, and not only that nothing happened while somebody was
// looking.
type settling struct {
	plan   *plan
	agreed func(*world) bool // is what the world must come to
	known  map[uint64]time.Duration
	buf    []byte
	steps  int
}

// step is one on the way of a world.
type step struct {
	key  uint64
	took time.Duration
	bad  bool // there is no agreement after it, or a Mux changed
}

// content is how long a world is without agreement that never is.
const content = time.Duration(-1)

// maxSteps is by far more than any world takes until it is in a state for the second time.
const maxSteps = 50000

// heal gives back all carriers and ways and reports whether one was missing.
func (p *plan) heal(w *world) (any bool) {
	for i := range w.cables {
		if w.cables[i].cut {
			p.apply(w, event{carrier, i})
			any = true
		}
		for j := range w.cables[i].ways {
			any = any || w.cables[i].ways[j].dead
			w.cables[i].ways[j].dead = false
		}
	}
	return any
}

// settle returns how long the world, which it uses up, is without agreement or changes its mind, content where it
// does neither. The error tells of a state that must not be.
func (s *settling) settle(w *world) (time.Duration, error) {
	w.faults = 0
	var path []step
	at := map[uint64]int{}
	last := content
	for {
		var key uint64
		key, s.buf = w.key(s.buf)
		if d, ok := s.known[key]; ok {
			last = d
			break
		}
		if i, ok := at[key]; ok {
			for _, p := range path[i:] {
				if p.bad {
					return 0, fmt.Errorf("it goes on for ever, %v and %d steps a turn:\n%s", total(path[i:]),
						len(path)-i, w)
				}
			}
			break
		}
		if len(path) == maxSteps {
			return 0, fmt.Errorf("after %v it was in no state twice:\n%s", total(path), w)
		}
		at[key] = len(path)
		muxes, began := w.muxes(), w.now
		s.plan.apply(w, w.next())
		s.steps++
		st := step{key: key, took: w.now.Sub(began), bad: muxes != w.muxes()}
		if w.rests() {
			if err := w.safe(); err != nil {
				return 0, fmt.Errorf("%w after %v without faults:\n%s", err, total(path)+st.took, w)
			}
			st.bad = st.bad || !s.agreed(w)
		}
		path = append(path, st)
	}
	for _, p := range slices.Backward(path) {
		switch {
		case last >= 0:
			last += p.took
		case p.bad:
			last = p.took
		}
		s.known[p.key] = last
	}
	return last, nil
}

func total(path []step) (d time.Duration) {
	for i := range path {
		d += path[i].took
	}
	return d
}

// rests reports whether nothing happens before time passes.
func (w *world) rests() bool {
	next := w.due()
	return w.quiet() && (next.IsZero() || next.After(w.now))
}

// safe reports what is wrong in a world at rest: who distributes knows, unless what would have told it was lost, that
// the other end collects.
func (w *world) safe() error {
	for i := range w.cables {
		c := &w.cables[i]
		for j, from := range c.ends {
			to := c.ends[1-j]
			if c.cut || c.ways[1-j].lost || w.held(to) {
				continue
			}
			if w.mux(from) == MuxDistributing && w.mux(to) < MuxCollecting {
				return fmt.Errorf("system %d distributes by its port %d, system %d does not collect", from.system,
					from.port, to.system)
			}
		}
	}
	return nil
}

// together reports whether both ends of each cable distribute, or neither does, and those of one at least.
func (w *world) together() bool {
	usable, used := false, false
	for i := range w.cables {
		a, b := w.mux(w.cables[i].ends[0]) == MuxDistributing, w.mux(w.cables[i].ends[1]) == MuxDistributing
		if a != b {
			return false
		}
		used = used || a
		usable = usable || w.cables[i].works()
	}
	return used == usable
}

// all reports whether both ends of each cable distribute that works, and none of the others.
func (w *world) all() bool {
	for i := range w.cables {
		for _, e := range w.cables[i].ends {
			if (w.mux(e) == MuxDistributing) != w.cables[i].works() {
				return false
			}
		}
	}
	return true
}

// muxes are the states of all Muxes.
func (w *world) muxes() (all [6]Mux) {
	for i := range w.cables {
		for j, e := range w.cables[i].ends {
			all[2*i+j] = w.mux(e)
		}
	}
	return all
}

func (w *world) String() string {
	var out strings.Builder
	for i := range w.cables {
		for j, e := range w.cables[i].ends {
			st := w.systems[e.system].Status()
			for _, p := range st.Ports {
				if p.ID == e.port {
					out.WriteString(fmt.Sprintf(
						"  system %d port %d: %v %v %v, aggregator %d of %d, actor %v, partner %v %v; "+
							"%d under way, lost %v; %s\n", e.system, e.port, p.Receive, p.Selected, p.Mux,
						p.Aggregator, st.Active, p.Actor.State.Names(), p.Partner.System.MAC, p.Partner.State.Names(),
						len(w.cables[i].ways[j].waits), w.cables[i].ways[j].lost, p.Why))
				}
			}
		}
	}
	return out.String()
}
