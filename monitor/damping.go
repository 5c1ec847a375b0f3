// SPDX-License-Identifier: MIT

package monitor

import "time"

// Damping keeps a member that fails again and again out of use for a while. The zero value is that of a member that
// never failed. A member that is no longer wanted damped is given a new one.
type Damping struct{}

// Failed notes that the member was lost at now, whether it is damped or not.
func (d *Damping) Failed(now time.Time) {}

// Until is when the member may be used again; zero: it is not damped.
func (d *Damping) Until(now time.Time) time.Time { return time.Time{} }

// Failures is how often the member was lost in the last minute.
func (d *Damping) Failures(now time.Time) int { return 0 }

// Undamp ends a wait. What was noted is forgotten.
func (d *Damping) Undamp() { *d = Damping{} }

// DampingAt is the state of a Damping at a moment.
type DampingAt struct {
	Lost  []time.Time   `json:"lost,omitempty"` // the oldest first
	Wait  time.Duration `json:"wait,omitzero"`  // the last one's length
	Until time.Time     `json:"until,omitzero"`
}

// At returns the state of d.
func (d *Damping) At() DampingAt { return DampingAt{} }

// Damping returns a Damping in that state.
func (s DampingAt) Damping() Damping { return Damping{} }
