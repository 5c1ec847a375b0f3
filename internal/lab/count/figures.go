// SPDX-License-Identifier: MIT

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// A document is what is used of the bench's, nicteam.bench/v1.
type document struct {
	Nicteam  string
	Measures []struct {
		Name, What, Unit string
		Cases            []struct {
			Name, Missing string
			Samples       []*float64
		}
		Ratios []struct{ Of, To string }
	}
	Warnings []string
}

func parseDocument(text string) (d document, err error) {
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return d, fmt.Errorf("the guest's figures: %w", err)
	}
	return d, nil
}

// report is the document nicteam.bench-count/v1.
type report struct {
	Schema      string    `json:"schema"`
	Time        time.Time `json:"time"`
	Instruction int       `json:"instruction_ns"` // that an instruction takes
	Kernels     []kernel  `json:"kernels"`
}

// kernel are the figures on one kernel.
type kernel struct {
	Release  string    `json:"release"`
	Version  string    `json:"version"` // as uname -v
	Nicteam  string    `json:"nicteam"`
	Measures []measure `json:"measures"`
	Warnings []string  `json:"warnings"`
}

// measure is one kind of traffic.
type measure struct {
	Name     string    `json:"name"` // without count-
	What     string    `json:"what"`
	Unit     string    `json:"unit"`
	Subjects []subject `json:"subjects"`
}

// subject is what was measured, compared with the plain NIC at the same kind of peer in the same boot.
type subject struct {
	Name     string    `json:"name"`
	Baseline string    `json:"baseline,omitempty"` // empty: it is a plain NIC
	Figures  []float64 `json:"figures"`            // by boot
	Figure   float64   `json:"figure"`             // their mean
	Ratio    float64   `json:"ratio"`              // mean of the boots' ratios to the baseline
	Spread   float64   `json:"spread"`             // between the boots' ratios, of a plain NIC between its figures
	// More are the instructions more than the baseline, of a plain NIC all, by the unit of work (measure.time).
	More    float64 `json:"more"`
	Missing string  `json:"missing,omitempty"` // why there are no figures
}

// compare computes the figures of a kernel from its boots. A figure that one boot lacks is missing.
func compare(version string, boots []document, instruction int) kernel {
	k := kernel{Nicteam: boots[0].Nicteam, Warnings: []string{}}
	k.Release, k.Version, _ = strings.Cut(version, " ")
	for i, m := range boots[0].Measures {
		out := measure{Name: strings.TrimPrefix(m.Name, "count-"), What: m.What, Unit: m.Unit}
		baselines := map[string]string{}
		for _, q := range m.Ratios {
			baselines[q.Of] = q.To
		}
		for j, c := range m.Cases {
			s := subject{Name: c.Name, Baseline: baselines[c.Name]}
			for _, b := range boots {
				if i >= len(b.Measures) || j >= len(b.Measures[i].Cases) {
					s.Missing = "a boot ended early"
					break
				}
				c := b.Measures[i].Cases[j]
				if len(c.Samples) == 0 || c.Samples[0] == nil {
					s.Missing = c.Missing
					break
				}
				s.Figures = append(s.Figures, *c.Samples[0])
			}
			out.Subjects = append(out.Subjects, s)
		}
		out.relate(instruction)
		k.Measures = append(k.Measures, out)
	}
	for _, b := range boots {
		k.Warnings = append(k.Warnings, b.Warnings...)
	}
	return k
}

// relate computes what follows from the figures.
func (m *measure) relate(instruction int) {
	for i := range m.Subjects {
		s := &m.Subjects[i]
		if s.Missing != "" {
			continue
		}
		s.Figure = mean(s.Figures)
		if m.Unit == "%" {
			continue // of a process: compared with nothing
		}
		if s.Baseline == "" {
			s.Ratio, s.Spread, s.More = 1, spread(s.Figures), m.time(s.Figure)/float64(instruction)
			continue
		}
		base := m.subject(s.Baseline)
		if base == nil || base.Missing != "" {
			s.Missing = "no figure of " + s.Baseline
			continue
		}
		ratios := make([]float64, len(s.Figures))
		for boot, f := range s.Figures {
			ratios[boot] = f / base.Figures[boot]
		}
		s.Ratio, s.Spread = mean(ratios), spread(ratios)
		s.More = (m.time(s.Figure) - m.time(base.Figure)) / float64(instruction)
	}
}

// time is the ns of a unit of work: of 64 KiB of TCP, of a frame, of a round trip.
func (m *measure) time(figure float64) float64 {
	switch m.Unit {
	case "Mbit/s":
		return 64 << 10 * 8 * 1e3 / figure
	case "frames/s":
		return 1e9 / figure
	default:
		return 1e3 * figure // µs
	}
}

func (m *measure) subject(name string) *subject {
	for i := range m.Subjects {
		if m.Subjects[i].Name == name {
			return &m.Subjects[i]
		}
	}
	return nil
}

func mean(fs []float64) float64 {
	sum := 0.0
	for _, f := range fs {
		sum += f
	}
	return sum / float64(len(fs))
}

// spread is the range of figures relative to their mean.
func spread(fs []float64) float64 {
	low, high := fs[0], fs[0]
	for _, f := range fs {
		low, high = min(low, f), max(high, f)
	}
	return (high - low) / mean(fs)
}

func (r *report) save(path string) error {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
