// SPDX-License-Identifier: MIT

package lab

import (
	"fmt"
	"time"
)

// Gap is the longest time without an arrival.
type Gap struct {
	Length time.Duration
	Net    time.Duration // the longest, less the standstills of the machine in it
	At     time.Time     // when the one of Net began
}

// String returns both figures.
func (g Gap) String() string {
	return fmt.Sprintf("%v (%v with standstill)", g.Net.Round(10*time.Microsecond), g.Length.Round(10*time.Microsecond))
}

func (g *Gap) consider(i Interval, standstills []Interval) {
	g.Length = max(g.Length, duration(i.length()))
	if net := duration(i.length() - i.overlap(standstills)); net > g.Net {
		g.Net, g.At = net, time.Unix(0, i.From)
	}
}

func (g *Gap) merge(o Gap) {
	g.Length = max(g.Length, o.Length)
	if o.Net > g.Net {
		g.Net, g.At = o.Net, o.At
	}
}

// gapFloor is the shortest interval between arrivals that is kept with its time.
const gapFloor = 200_000

// gaps keeps the intervals between one arrival and the next.
type gaps struct {
	last    int64
	long    []Interval // those over gapFloor, in order
	longest Interval   // of the others
}

func (g *gaps) arrive(at int64) {
	if g.last != 0 {
		switch i := (Interval{g.last, at}); {
		case i.length() > gapFloor:
			g.long = append(g.long, i)
		case i.length() > g.longest.length():
			g.longest = i
		}
	}
	// A frame stamped on another CPU may be slightly older, which is no gap.
	g.last = max(g.last, at)
}

// worst returns the longest gap that overlaps a span. Standstills are a union. The time from the last arrival to end
// counts, so traffic that did not resume is a gap.
func (g *gaps) worst(within Interval, standstills []Interval, end int64) Gap {
	var out Gap
	touches := func(i Interval) bool { return i.To >= within.From && i.From <= within.To }
	if touches(g.longest) {
		out.consider(g.longest, standstills)
	}
	for _, i := range g.long {
		if touches(i) {
			out.consider(i, standstills)
		}
	}
	if open := (Interval{g.last, end}); open.length() > 0 && touches(open) {
		out.consider(open, standstills)
	}
	return out
}

// GapAfter returns the longest gap of all flows together, clipped to a span of time: the cost of an event at from.
func (r *Running) GapAfter(from, to time.Time) Gap {
	still := r.standstills()
	span := Interval{from.UnixNano(), to.UnixNano()}
	end := min(r.lastSend.Load(), span.To)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.clipped(span, still, end)
}

// clipped is worst of the gaps clipped to a span.
func (g *gaps) clipped(within Interval, standstills []Interval, end int64) Gap {
	var out Gap
	consider := func(i Interval) {
		if i = (Interval{max(i.From, within.From), min(i.To, within.To)}); i.length() > 0 {
			out.consider(i, standstills)
		}
	}
	consider(g.longest)
	for _, i := range g.long {
		consider(i)
	}
	consider(Interval{g.last, end})
	return out
}
