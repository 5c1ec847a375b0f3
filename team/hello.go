// SPDX-License-Identifier: MIT

package team

import "nicteam/modes/spread"

// Heard are probes between members that the data path has noted; it is borrowed until Handle returns.
type Heard struct {
	Filter *HelloFilter // by which they were
	IDs    []int        // of members that received some
	Hellos *Hellos
}

func (Heard) isInput() {}

var _ [spread.MaxMembers]struct{} = [len(Hellos{})]struct{}{}

// hellos are the probes that the data path notes.
type hellos struct {
	filter HelloFilter
	last   Hellos
	heard  [spread.MaxMembers]uint32 // the number of the last one handled, by member
	ids    []int
}

// noteHellos has those probes noted that the link watches want from now on.
func (t *Team) noteHellos() {
	f := t.loop.watches.HelloFilter()
	if *f == t.hellos.filter {
		return
	}
	was := t.hellos.filter
	t.hellos.filter = *f
	t.o.Datapath.NoteHellos(&t.hellos.filter)
	t.hear(&was)
}

// hear handles probes that were noted by a filter since it last did.
func (t *Team) hear(f *HelloFilter) {
	h := &t.hellos
	if *f == (HelloFilter{Team: f.Team}) {
		return
	}
	t.o.Datapath.Hellos(&h.last)
	h.ids = h.ids[:0]
	for id, from := range f.From {
		if seq := h.last[id].Seq; from != 0 && seq != h.heard[id] {
			h.heard[id] = seq
			h.ids = append(h.ids, id)
		}
	}
	if len(h.ids) > 0 {
		t.handleRequest(request{in: Heard{Filter: f, IDs: h.ids, Hellos: &h.last}})
	}
}

// hear tells the link watches of probes.
func (l *Loop) hear(in Heard) {
	for _, id := range in.IDs {
		l.watches.Heard(l.now, in.Filter, id, &in.Hellos[id])
	}
}
