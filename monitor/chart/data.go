// SPDX-License-Identifier: MIT

package chart

import (
	"math"
	"time"
)

// Bin is the traffic of one series in one direction during one step. The zero value is a gap.
type Bin struct {
	Known               bool
	Bytes, Frames       float64 // average a second
	MaxBytes, MaxFrames float64 // highest one-second rate within the bin; at least the average is assumed
}

// Series is the history of one line of a chart, oldest bin first. The last bin of both directions ends at Data.End.
type Series struct {
	Name    string
	In, Out []Bin
}

// Member is a NIC of the team with its history.
type Member struct {
	Series
	State    string  // a word or two: "up", "link down", "standby"
	Up       bool    // usable
	Doubtful bool    // used, but it may not work
	Link     float64 // bits a second in one direction, 0 for unknown

	Watched bool          // RTT and Loss are known
	RTT     time.Duration // to what link watches ask, 0 for unknown
	Loss    float64       // share of asks without an answer, 0 to 1
}

// Event is marked on the time axis.
type Event struct {
	At    time.Time
	Text  string
	Label string // for a place with little room, such as the mark in a picture; Text if empty
}

// Data is what to draw. The package never changes it.
type Data struct {
	Name string        // what is shown: "team0 · elb · 2/2 up"
	End  time.Time     // end of the last bin; its location is that of the time axis
	Step time.Duration // length of a bin, 1 s for 0

	// Total has its own peaks: the peak of a sum is not the sum of peaks. Without bins it is computed from the layers,
	// and its peaks are lower bounds.
	Total     Series
	Members   []Member
	Protocols []Series
	Events    []Event
	Notes     []string // below the members, the most important first
}

// maxValue bounds every number, so that no sum or ratio overflows.
const maxValue = 1e18

// drawable maps any float to a number that can be drawn: 0 for NaN and negative ones, at most maxValue.
func drawable(v float64) float64 {
	switch {
	case math.IsNaN(v) || v <= 0:
		return 0
	case v > maxValue:
		return maxValue
	}
	return v
}

// rate returns the average and the peak of a bin in bits or packets a second.
func (b Bin) rate(packets bool) (avg, peak float64) {
	if packets {
		avg, peak = drawable(b.Frames), drawable(b.MaxFrames)
	} else {
		avg, peak = drawable(8*b.Bytes), drawable(8*b.MaxBytes)
	}
	return avg, max(avg, peak)
}

// plus adds averages. The peak of the sum is not known: it is at least each peak and at least the sum of the averages.
func (b Bin) plus(o Bin) Bin {
	if !o.Known {
		return b
	}
	if !b.Known {
		return o
	}
	s := Bin{Known: true, Bytes: drawable(b.Bytes) + drawable(o.Bytes), Frames: drawable(b.Frames) + drawable(o.Frames)}
	s.MaxBytes = max(s.Bytes, b.MaxBytes, o.MaxBytes)
	s.MaxFrames = max(s.Frames, b.MaxFrames, o.MaxFrames)
	return s
}

// sumSeries adds series, aligned at their ends.
func sumSeries(all []Series) Series {
	var s Series
	for _, one := range all {
		s.In, s.Out = addBins(s.In, one.In), addBins(s.Out, one.Out)
	}
	return s
}

func addBins(a, b []Bin) []Bin {
	if len(a) < len(b) {
		a = append(make([]Bin, len(b)-len(a), len(b)), a...)
	}
	for i := range b {
		j := len(a) - len(b) + i
		a[j] = a[j].plus(b[i])
	}
	return a
}

// total returns Total or, without it, the sum of the members or of the protocols.
func (d *Data) total() Series {
	if len(d.Total.In)+len(d.Total.Out) > 0 {
		return d.Total
	}
	if len(d.Members) > 0 {
		return sumSeries(d.memberSeries())
	}
	return sumSeries(d.Protocols)
}

func (d *Data) memberSeries() []Series {
	all := make([]Series, len(d.Members))
	for i := range d.Members {
		all[i] = d.Members[i].Series
	}
	return all
}

// longestHistory returns the length of the longest history in bins.
func (d *Data) longestHistory() int {
	n := max(len(d.Total.In), len(d.Total.Out))
	for i := range d.Members {
		n = max(n, len(d.Members[i].In), len(d.Members[i].Out))
	}
	for i := range d.Protocols {
		n = max(n, len(d.Protocols[i].In), len(d.Protocols[i].Out))
	}
	return n
}

// linkSpeed returns the sum of the members' speeds, 0 if none is known.
func (d *Data) linkSpeed() (sum float64) {
	for i := range d.Members {
		sum += drawable(d.Members[i].Link)
	}
	return sum
}

// latestRate returns the rate of the last bin, NaN if that is a gap.
func latestRate(bins []Bin, packets bool) float64 {
	if len(bins) == 0 || !bins[len(bins)-1].Known {
		return math.NaN()
	}
	avg, _ := bins[len(bins)-1].rate(packets)
	return avg
}

// shownBins returns how many bins the figures beside a chart cover: those that the chart shows, all without a period.
func (o *Options) shownBins(d *Data) int {
	w := newWindow(d, o.Last, 1)
	switch {
	case o.shownPeriod > 0:
		return int(min(o.shownPeriod, longest) / w.step)
	case o.Last > 0:
		return int((min(o.Last, longest) + w.step - 1) / w.step)
	}
	return d.longestHistory()
}

// lastBins returns the last n bins, at least one.
func lastBins(bins []Bin, n int) []Bin { return bins[max(0, len(bins)-max(n, 1)):] }

// highestPeak returns the highest peak of the bins, NaN if all are gaps.
func highestPeak(bins []Bin, packets bool) float64 {
	top, known := 0.0, false
	for _, b := range bins {
		if b.Known {
			_, peak := b.rate(packets)
			top, known = max(top, peak), true
		}
	}
	if !known {
		return math.NaN()
	}
	return top
}
