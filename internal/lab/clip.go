package lab

import "time"

// GapAfter returns the longest gap of all flows as one in a span of time, of which each counts from the
// span's begin to its end at most: what an event cost that happened at from.
func (r *Running) GapAfter(from, to time.Time) Gap {
	still := r.standstills()
	span := Interval{from.UnixNano(), to.UnixNano()}
	end := min(r.lastSend.Load(), span.To)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all.clipped(span, still, end)
}

// clipped is worst of what of the gaps lies within a span.
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
