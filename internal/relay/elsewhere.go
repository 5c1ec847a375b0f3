package relay

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

// Sightings are the stations behind the adapter that frames have come in from lately. It belongs to one goroutine, and
// keeps a flood of forged ones from costing more than looking.
type Sightings struct {
	began    int64 // ns
	stations [64]frame.Station
	n        int
}

// sightingsEvery is how often a station is worth a look, and so many in that time.
const sightingsEvery = time.Second

// New reports whether s is worth a look at now, ns of any clock.
func (l *Sightings) New(now int64, s frame.Station) bool {
	if now-l.began >= int64(sightingsEvery) || l.n == 0 {
		l.began, l.n = now, 0
	}
	for _, known := range l.stations[:l.n] {
		if known == s {
			return false
		}
	}
	if l.n == len(l.stations) {
		return false
	}
	l.stations[l.n] = s
	l.n++
	return true
}

// elsewhereTakes are more than all that may wait in the adapter's queue takes.
const elsewhereTakes = 128

// confirmAfter is how long whoever is here has to say so. After a standstill of the machine frames that came back are
// as old as that took, and whoever goes on sending does so in a moment.
const confirmAfter = 50 * time.Millisecond

// Elsewhere takes in that a frame has come from s, a station of the Plan in force, and the adapter has not sent from it
// for ElsewhereAfter. Whoever the adapter sends from in the next moment is here.
func (r *Relay) Elsewhere(s frame.Station) {
	time.AfterFunc(confirmAfter, func() { r.confirm(s) })
}

// confirm tells that a station is elsewhere unless it is here. The transmitter first takes what the adapter has sent
// meanwhile.
func (r *Relay) confirm(s frame.Station) {
	t := r.tx
	_, _ = t.errands.post(func() { // a relay that is about to be closed tells nobody
		for range elsewhereTakes {
			if t.take() != nil {
				break
			}
		}
		now := r.clock.now()
		if also := r.also.Load(); r.guests.since(now, s) < ElsewhereAfter || also != nil && (*also)(s) {
			return
		}
		r.news.tell(team.Control{Kind: team.ControlElsewhere, Member: -1, Station: s})
	}, t.queue.Wake)
}

// AlsoSent says who else knows whom the adapter has sent from, f: whether it has from a station within ElsewhereAfter.
// It is called by the transmitter's goroutine and must not wait; nil: nobody does.
func (r *Relay) AlsoSent(f func(frame.Station) bool) {
	if f == nil {
		r.also.Store(nil)
		return
	}
	r.also.Store(&f)
}

// NoteSent takes in when the adapter has last sent from stations, at moments of CLOCK_MONOTONIC, by programs.
func (r *Relay) NoteSent(sent map[frame.Station]int64) {
	_ = r.Do(func(_ *spread.Picker, now int64) {
		for s, at := range sent {
			if time.Duration(now-at) < r.guests.since(now, s) {
				r.guests.note(at, s)
			}
		}
	})
}
