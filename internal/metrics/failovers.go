// SPDX-License-Identifier: MIT

package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"nicteam/internal/api"
)

// bounds are the buckets of the histogram, in seconds. A failover takes some tenths of a millisecond, on a busy machine
// up to a second.
var bounds = [...]float64{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1}

// Failovers counts losses of members that carried traffic, and how long their traffic took to move. The zero value is
// ready to use.
type Failovers struct {
	mu      sync.Mutex
	count   uint64
	seconds float64
	within  [len(bounds)]uint64 // how many took at most bounds[i]
	last    api.Event           // the last event counted
}

// Count counts the next event of the team if it is a failover. single: one member carries all traffic, so only its loss
// is a failover. One loss makes several events and counts once.
func (f *Failovers) Count(e api.Event, single bool) {
	if e.Took <= 0 || e.Event != "active-changed" && (single || e.Event != "member-down") {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e.Time.Equal(f.last.Time) && e.Took == f.last.Took {
		return
	}
	f.last = e
	took := time.Duration(e.Took).Seconds()
	f.count++
	f.seconds += took
	for i, b := range bounds {
		if took <= b {
			f.within[i]++
		}
	}
}

// Follow counts the failovers of a team until its events end.
func (f *Failovers) Follow(events <-chan api.Event, of Source) {
	for e := range events {
		single := false
		if st := of.Status(); st != nil {
			single = st.Mode == "active-backup" || !st.Balance
		}
		f.Count(e, single)
	}
}

func (f *Failovers) collect(out sender) {
	if f == nil {
		f = &Failovers{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	within := make(map[float64]uint64, len(bounds))
	for i, b := range bounds {
		within[b] = f.within[i]
	}
	out.counter(failoversDesc, f.count)
	out.to <- prometheus.MustNewConstHistogram(durationDesc, f.count, f.seconds, within, out.team)
}
