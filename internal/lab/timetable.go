package lab

import "time"

// lateness up to here is the timer's and the scheduler's; the sender makes up for it by sending the
// frames due. Anything later moves the timetable.
const lateness = 500 * time.Microsecond

// schedule says when the next frame is due, all in nanoseconds.
type schedule struct{ due, period int64 }

// sent takes the frame that was due as sent now, and returns the time that the timetable was moved by, if it was.
func (t *schedule) sent(now int64) (missed Interval) {
	if now-t.due > lateness.Nanoseconds() {
		missed = Interval{t.due, now}
		t.due = now
	}
	t.due += t.period
	return missed
}
