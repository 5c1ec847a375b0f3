// SPDX-License-Identifier: MIT

package chart

import (
	"math"
	"time"
)

// window maps bins to the columns of a chart. A column is a whole number of bins, counted from the epoch and not from
// the end: a bin stays in its column as time passes, and the picture moves by whole columns without changing its shape.
// Close up, a bin is a whole number of columns.
type window struct {
	end    time.Time
	step   time.Duration
	endBin int64 // number of the bin that starts at end
	per    int64 // bins per column
	wide   int   // columns per bin
	cols   int
}

// longest bounds steps and periods, so that no sum of them overflows.
const longest = 100 * 365 * 24 * time.Hour

func newWindow(d *Data, last time.Duration, cols int) window {
	w := window{end: d.End, step: min(max(d.Step, 0), longest), per: 1, wide: 1, cols: max(cols, 1)}
	if w.step == 0 {
		w.step = time.Second
	}
	w.endBin = d.End.Unix() // seconds suffice to number bins of a second and more
	if w.step >= time.Second {
		w.endBin = floorDiv(w.endBin, int64(w.step/time.Second))
	} else {
		w.endBin = floorDiv(d.End.UnixMilli(), max(int64(w.step/time.Millisecond), 1))
	}
	want := w.binsWanted(d, last)
	if n := int64(w.cols); want >= n {
		w.per = (want + n - 1) / n
	} else {
		w.wide = int(n / want)
	}
	return w
}

// binsWanted returns the number of bins to show.
func (w *window) binsWanted(d *Data, last time.Duration) int64 {
	if last > 0 {
		return max(1, int64((min(last, longest)+w.step-1)/w.step))
	}
	return int64(max(1, d.longestHistory()))
}

// columnNumber returns the number, counted from the epoch, of the column that holds a bin.
func (w *window) columnNumber(bin int64) int64 { return floorDiv(bin, w.per) }

// columnOf returns the left edge of a bin's column; outside of 0 … cols-1 the bin is not shown.
func (w *window) columnOf(bin int64) int {
	back := w.columnNumber(w.endBin-1) - w.columnNumber(bin) + 1
	if back > int64(w.cols) {
		return -1
	}
	return w.cols - int(max(back, -1))*w.wide
}

// columnAt returns the column of a time, -1 if it is not shown. A time after the last bin, within the bin that is not
// complete yet, is in the last column.
func (w *window) columnAt(t time.Time) int {
	bins := w.secondsAfterEnd(t) / w.step.Seconds()
	switch {
	case bins >= 0 && bins <= 2:
		return w.cols - 1
	case bins > 2 || bins < -float64(w.per)*float64(w.cols)-1:
		return -1
	}
	whole := math.Floor(bins)
	x := w.columnOf(w.endBin+int64(whole)) + int((bins-whole)*float64(w.wide))
	if x >= w.cols {
		return -1
	}
	return x
}

// secondsAfterEnd returns the seconds from the end to t. It cannot overflow.
func (w *window) secondsAfterEnd(t time.Time) float64 {
	return float64(t.Unix()) - float64(w.end.Unix()) + float64(t.Nanosecond()-w.end.Nanosecond())/1e9
}

// span returns the time from the left edge to the end.
func (w *window) span() time.Duration {
	var bins int64
	if w.wide > 1 {
		bins = int64(w.cols / w.wide)
	} else {
		first := (w.columnNumber(w.endBin-1) - int64(w.cols) + 1) * w.per
		bins = w.endBin - first
	}
	if s := float64(bins) * w.step.Seconds(); s < longest.Seconds() {
		return time.Duration(bins) * w.step
	}
	return longest
}

// sample is one column of one series in one direction.
type sample struct {
	known     bool
	avg, peak float64
}

// resample returns each column's average of the known bins and the highest of their peaks.
func (w *window) resample(bins []Bin, packets bool) []sample {
	out := make([]sample, w.cols)
	n := int64(0)
	before := int64(math.MinInt64)
	for i := len(bins) - 1; i >= 0; i-- {
		bin := w.endBin - int64(len(bins)-i)
		if g := w.columnNumber(bin); g != before {
			before, n = g, 0
		}
		x := w.columnOf(bin)
		if x < 0 {
			break
		}
		if !bins[i].Known {
			continue
		}
		avg, peak := bins[i].rate(packets)
		n++
		s := &out[x]
		s.known = true
		s.avg += (avg - s.avg) / float64(n)
		s.peak = max(s.peak, peak, s.avg)
		for k := 1; k < w.wide; k++ {
			out[x+k] = *s
		}
	}
	return out
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
