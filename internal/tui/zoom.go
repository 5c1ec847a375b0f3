package tui

import "time"

// periods are those that + and - go through.
var periods = []time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute,
	30 * time.Minute,
	time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour}

// steps are the lengths that columns may have.
var steps = []time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	time.Minute, 2 * time.Minute, 5 * time.Minute}

// enough columns for a wide screen, which has two dots a cell.
const enough = 500

// zoom is the next shorter period, or with out the next longer one.
func zoom(last time.Duration, out bool) time.Duration {
	next := last
	for _, p := range periods {
		if out && p > last {
			return p
		}
		if !out && p < last {
			next = p
		}
	}
	return next
}

// stepFor is the shortest column that does not make too many of a period.
func stepFor(last time.Duration) time.Duration {
	for _, s := range steps {
		if last <= enough*s {
			return s
		}
	}
	return steps[len(steps)-1]
}
