// SPDX-License-Identifier: MIT

package chart

import (
	"slices"
	"time"
)

// timeSteps are the distances between labels of the time axis, and the labels' formats.
var timeSteps = []struct {
	step   time.Duration
	format string
}{
	{time.Second, time.TimeOnly}, {2 * time.Second, time.TimeOnly}, {5 * time.Second, time.TimeOnly},
	{10 * time.Second, time.TimeOnly}, {15 * time.Second, time.TimeOnly}, {30 * time.Second, time.TimeOnly},
	{time.Minute, "15:04"}, {2 * time.Minute, "15:04"}, {5 * time.Minute, "15:04"}, {10 * time.Minute, "15:04"},
	{15 * time.Minute, "15:04"}, {30 * time.Minute, "15:04"}, {time.Hour, "15:04"}, {2 * time.Hour, "15:04"},
	{3 * time.Hour, "15:04"}, {6 * time.Hour, "15:04"}, {12 * time.Hour, "02 15:04"},
	{day, "Jan 02"}, {2 * day, "Jan 02"},
	{7 * day, "Jan 02"}, {14 * day, "Jan 02"}, {28 * day, "Jan 02"}, {91 * day, "2006-01"}, {365 * day, "2006"},
	{1825 * day, "2006"}, {3650 * day, "2006"}, {18250 * day, "2006"}, {36500 * day, "2006"},
}

const day = 24 * time.Hour

// timeMark is a label of the time axis.
type timeMark struct {
	at     time.Time
	column int
	text   string
}

// timeMarks returns labels that are at least their own length and four characters apart. cell is the width of a
// character in columns.
func (w *window) timeMarks(cell float64) []timeMark {
	perColumn := w.step.Seconds() * float64(w.per) / float64(w.wide)
	for _, s := range timeSteps {
		apart := s.step.Seconds() / perColumn
		if apart < cell*float64(len(s.format)+4) {
			continue
		}
		var all []timeMark
		t := alignDown(w.end, s.step)
		for range w.cols {
			x := w.columnAt(t)
			if x < 0 {
				break
			}
			all = append(all, timeMark{t, x, t.Format(s.format)})
			t = t.Add(-s.step)
		}
		return all
	}
	return nil
}

// alignDown returns the last multiple of step before t by the wall clock of t's location.
func alignDown(t time.Time, step time.Duration) time.Time {
	_, zone := t.Zone()
	s := int64(step / time.Second)
	wall := t.Unix() + int64(zone)
	return time.Unix(floorDiv(wall, s)*s-int64(zone), 0).In(t.Location())
}

// eventsShown returns the events within the window, newest first.
func (w *window) eventsShown(d *Data) []*Event {
	var shown []*Event
	for i := range d.Events {
		if w.columnAt(d.Events[i].At) >= 0 {
			shown = append(shown, &d.Events[i])
		}
	}
	slices.SortStableFunc(shown, func(a, b *Event) int { return b.At.Compare(a.At) })
	return shown
}
