// SPDX-License-Identifier: MIT

package monitor

import (
	"slices"
	"time"
)

// Times of damping.
const (
	dampingWindow = time.Minute      // dampingLosses in it begin a wait
	dampingLosses = 3                //
	leastDamping  = 5 * time.Second  // the first wait, doubled for each that follows …
	mostDamping   = 5 * time.Minute  // … up to this
	dampingForget = 10 * time.Minute // without a loss
	maxLosses     = 32               // that are remembered
)

// Damping keeps a member that is lost again and again out of use for a while. The zero value is that of a member that
// was never lost. A loss during a wait begins it anew, but makes it no longer: so a link that flaps fast is used again
// as soon as it has been quiet for the wait, however often it flapped.
type Damping struct {
	lost  []time.Time   // in the last minute, the oldest first
	wait  time.Duration // the last one's length
	until time.Time
}

// Failed notes that the member was lost at now, whether it is damped or not.
func (d *Damping) Failed(now time.Time) {
	if n := len(d.lost); n > 0 && now.Sub(d.lost[n-1]) >= dampingForget {
		d.wait, d.lost = 0, nil
	}
	if len(d.lost) == maxLosses {
		d.lost = slices.Delete(d.lost, 0, 1)
	}
	d.lost = append(d.lost, now)
	switch {
	case now.Before(d.until):
	case d.Failures(now) < dampingLosses:
		return
	default:
		d.wait = min(max(2*d.wait, leastDamping), mostDamping)
	}
	d.until = now.Add(d.wait)
}

// Until is when the member may be used again; zero: it is not damped.
func (d *Damping) Until(now time.Time) time.Time {
	if !now.Before(d.until) {
		return time.Time{}
	}
	return d.until
}

// Failures is how often the member was lost in the last minute, [maxLosses] at most.
func (d *Damping) Failures(now time.Time) (n int) {
	for _, t := range d.lost {
		if now.Sub(t) < dampingWindow {
			n++
		}
	}
	return n
}

// Undamp ends a wait. What was noted is forgotten.
func (d *Damping) Undamp() { *d = Damping{} }

// DampingAt is the state of a Damping at a moment.
type DampingAt struct {
	Lost  []time.Time   `json:"lost,omitempty"` // the oldest first
	Wait  time.Duration `json:"wait,omitzero"`  // the last one's length
	Until time.Time     `json:"until,omitzero"`
}

// At returns the state of d.
func (d *Damping) At() DampingAt {
	return DampingAt{Lost: slices.Clone(d.lost), Wait: d.wait, Until: d.until}
}

// Damping returns a Damping in that state.
func (s DampingAt) Damping() Damping {
	return Damping{lost: slices.Clone(s.Lost), wait: min(max(s.Wait, 0), mostDamping), until: s.Until}
}
