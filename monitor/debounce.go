// SPDX-License-Identifier: MIT

package monitor

import "time"

// Debounce turns the link state of one NIC into a verdict: the state counts only after it has
// lasted for its delay. The zero value has no delays and begins down. A link that flaps cancels
// the delay that runs, so only an unbroken time counts.
type Debounce struct {
	UpDelay, DownDelay time.Duration

	link    bool // as last reported
	verdict bool
	since   time.Time // when link became what it is
	pending bool      // link and verdict differ, a delay runs
}

// Handle returns the verdict at now for a report of the link.
func (d *Debounce) Handle(now time.Time, up bool) bool {
	if up != d.link {
		d.link, d.since = up, now
	}
	return d.update(now)
}

// Tick returns the verdict at now without a report.
func (d *Debounce) Tick(now time.Time) bool { return d.update(now) }

// SkipUpDelay ends an up-delay that runs, because no other member is usable.
func (d *Debounce) SkipUpDelay() bool {
	if d.link {
		d.verdict, d.pending = true, false
	}
	return d.verdict
}

// Up returns the last verdict.
func (d *Debounce) Up() bool { return d.verdict }

// Deadline is when the verdict changes unless the link does first; zero for never. A changed delay takes effect at
// once.
func (d *Debounce) Deadline() time.Time {
	if !d.pending {
		return time.Time{}
	}
	return d.since.Add(d.delay())
}

func (d *Debounce) update(now time.Time) bool {
	d.pending = d.link != d.verdict
	if d.pending && !now.Before(d.since.Add(d.delay())) {
		d.verdict, d.pending = d.link, false
	}
	return d.verdict
}

// delay is that of the link's state.
func (d *Debounce) delay() time.Duration {
	if d.link {
		return d.UpDelay
	}
	return d.DownDelay
}

// DebounceAt is the state of a Debounce at a moment, without its delays.
type DebounceAt struct {
	Link    bool      `json:"link"`
	Verdict bool      `json:"verdict"`
	Since   time.Time `json:"since"`
	Pending bool      `json:"pending"`
}

// At returns the state of d.
func (d *Debounce) At() DebounceAt {
	return DebounceAt{Link: d.link, Verdict: d.verdict, Since: d.since, Pending: d.pending}
}

// Debounce returns a Debounce in that state, without delays.
func (s DebounceAt) Debounce() Debounce {
	return Debounce{link: s.Link, verdict: s.Verdict, since: s.Since, pending: s.Pending}
}
