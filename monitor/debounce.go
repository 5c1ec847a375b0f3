package monitor

import "time"

// Debounce turns the link state of one NIC into a verdict: the state counts only after it has
// lasted for its delay. The zero value has no delays and begins down. A link that flaps cancels
// the delay that runs, so only an unbroken time counts.
type Debounce struct {
	UpDelay, DownDelay time.Duration

	link    bool // as last told
	verdict bool
	since   time.Time // when link became what it is
	running bool      // link and verdict differ, a delay runs
}

// Handle takes in the link state as it is at now and returns the verdict. Told the same state
// again it only looks at the clock.
func (d *Debounce) Handle(now time.Time, up bool) bool {
	if up != d.link {
		d.link, d.since = up, now
	}
	return d.settle(now)
}

// Tick returns the verdict at now without news of the link.
func (d *Debounce) Tick(now time.Time) bool { return d.settle(now) }

// Hurry ends an up-delay that runs: the link is up and there is no other to use.
func (d *Debounce) Hurry() bool {
	if d.link {
		d.verdict, d.running = true, false
	}
	return d.verdict
}

// Up returns the verdict as last given.
func (d *Debounce) Up() bool { return d.verdict }

// Deadline is when the verdict changes unless the link does first; zero for never. A delay that
// is changed counts at once.
func (d *Debounce) Deadline() time.Time {
	if !d.running {
		return time.Time{}
	}
	return d.since.Add(d.delay())
}

func (d *Debounce) settle(now time.Time) bool {
	d.running = d.link != d.verdict
	if d.running && !now.Before(d.since.Add(d.delay())) {
		d.verdict, d.running = d.link, false
	}
	return d.verdict
}

// delay is the one that applies to the state of the link.
func (d *Debounce) delay() time.Duration {
	if d.link {
		return d.UpDelay
	}
	return d.DownDelay
}
