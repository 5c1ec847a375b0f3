// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"math"
	"slices"
)

// measure is a row of the table.
type measure struct {
	Name   string   `json:"name"`
	What   string   `json:"what"`
	Unit   string   `json:"unit"`
	Cases  []*row   `json:"cases"`
	Ratios []*ratio `json:"ratios,omitempty"`
	Notes  []string `json:"notes,omitempty"`
	// Absent: why there are no rows.
	Absent string `json:"absent,omitempty"`
}

// row are the figures of one contestant.
type row struct {
	Name    string  `json:"name"`
	Median  figure  `json:"median"`
	Lowest  figure  `json:"lowest"`
	Highest figure  `json:"highest"`
	Samples figures `json:"samples"` // by round; null where a turn gave none
	// Missing: why figures are missing.
	Missing string `json:"missing,omitempty"`

	failed int
}

// ratio is of two contestants: the median of the ratios within each round.
type ratio struct {
	Of      string  `json:"of"`
	To      string  `json:"to"`
	Median  figure  `json:"median"`
	Samples figures `json:"samples"`
}

// figure is NaN if there is none, in JSON null.
type figure float64

func (f figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

type figures []figure

// sortedKnown returns the figures that are not NaN, sorted.
func (fs figures) sortedKnown() []float64 {
	var out []float64
	for _, f := range fs {
		if !math.IsNaN(float64(f)) {
			out = append(out, float64(f))
		}
	}
	slices.Sort(out)
	return out
}

func (fs figures) median() float64 { return median(fs.sortedKnown()) }

// median is NaN of nothing.
func median(sorted []float64) float64 {
	n := len(sorted)
	switch {
	case n == 0:
		return math.NaN()
	case n%2 == 1:
		return sorted[n/2]
	default:
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
}

func (m *measure) add(name string) *row {
	r := &row{Name: name}
	m.Cases = append(m.Cases, r)
	return r
}

func (m *measure) row(name string) *row {
	for _, r := range m.Cases {
		if r.Name == name {
			return r
		}
	}
	return nil
}

// set keeps the figure of a round.
func (r *row) set(round int, f float64) {
	for len(r.Samples) < round {
		r.Samples = append(r.Samples, figure(math.NaN()))
	}
	r.Samples = append(r.Samples, figure(f))
}

// fail records a turn without a figure; two of them end the contestant's part in the measure.
func (r *row) fail(round int, err error) {
	r.set(round, math.NaN())
	if r.failed++; r.failed == 2 {
		r.Missing = err.Error()
	}
}

// finish computes medians and ratios of the samples.
func (m *measure) finish() {
	for _, r := range m.Cases {
		known := r.Samples.sortedKnown()
		r.Median = figure(median(known))
		r.Lowest, r.Highest = figure(math.NaN()), figure(math.NaN())
		if len(known) > 0 {
			r.Lowest, r.Highest = figure(known[0]), figure(known[len(known)-1])
		}
	}
	for _, q := range m.Ratios {
		of, to := m.row(q.Of), m.row(q.To)
		if of != nil && to != nil {
			for i := range min(len(of.Samples), len(to.Samples)) {
				q.Samples = append(q.Samples, of.Samples[i]/to.Samples[i])
			}
		}
		q.Median = figure(q.Samples.median())
	}
}

// compare adds ratios of one contestant to others.
func (m *measure) compare(of string, to ...string) *measure {
	for _, t := range to {
		m.Ratios = append(m.Ratios, &ratio{Of: of, To: t})
	}
	return m
}

// ratio returns a ratio's median, NaN if there is none.
func (m *measure) ratio(of, to string) float64 {
	for _, q := range m.Ratios {
		if q.Of == of && q.To == to {
			return float64(q.Median)
		}
	}
	return math.NaN()
}
