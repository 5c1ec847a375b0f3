// SPDX-License-Identifier: MIT

package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// columns are the tables' titles of measures; other measures have their name.
var columns = map[string]string{
	"tcp-1-out": "TCP 1 out", "tcp-8-out": "8 out", "tcp-1-in": "1 in", "tcp-8-in": "8 in",
	"udp-64-out": "UDP 64 out", "udp-64-in": "in", "udp-1400-out": "UDP 1400 out", "udp-1400-in": "in",
	"rtt": "round trip", "process": "process",
}

// print writes tables in Markdown.
func (r *report) print(w io.Writer) {
	for _, k := range r.Kernels {
		boots, worst, where := 0, 0.0, ""
		for _, m := range k.Measures {
			for _, s := range m.Subjects {
				boots = max(boots, len(s.Figures))
				if s.Missing == "" && s.Spread > worst {
					worst, where = s.Spread, s.Name+", "+m.Name
				}
			}
		}
		fmt.Fprintf(w, "\n## Linux %s %s\n\n%s, %d boots, %d ns an instruction. Largest difference between boots: "+
			"%.1f %% (%s)\n\nRate as a ratio to the plain NIC; round trip as a ratio of time; CPU of the team's "+
			"process meanwhile:\n\n", k.Release,
			k.Version, k.Nicteam, boots, r.Instruction, 100*worst, where)
		k.table(w, func(m measure, s subject) string {
			if s.Baseline == "" {
				return strings.TrimSpace(number(s.Figure) + " " + m.Unit)
			}
			return fmt.Sprintf("%.3f", s.Ratio)
		})
		fmt.Fprintf(w, "\nInstructions more than the plain NIC, in brackets its own, for 64 KiB of TCP, a frame of "+
			"UDP, a round trip:\n\n")
		k.table(w, func(m measure, s subject) string {
			if m.Unit == "%" {
				return "–"
			}
			if s.Baseline == "" {
				return fmt.Sprintf("(%.0f)", s.More)
			}
			return fmt.Sprintf("%+.0f", s.More)
		})
		fmt.Fprintln(w)
		for _, m := range k.Measures {
			fmt.Fprintf(w, "%s: %s\n", m.Name, m.What)
			for _, s := range m.Subjects {
				if s.Missing != "" && m.Unit != "%" {
					fmt.Fprintf(w, "    %s not taken: %s\n", s.Name, s.Missing)
				} else if s.Spread > tooFar {
					fmt.Fprintf(w, "    %s: boots differ by %.1f %%\n", s.Name, 100*s.Spread)
				}
			}
		}
		for _, l := range slices.Compact(slices.Sorted(slices.Values(k.Warnings))) {
			fmt.Fprintf(w, "warning: %s\n", l)
		}
	}
}

// tooFar is the difference between boots from which on a figure is named.
const tooFar = 0.02

// table prints a line for each subject and a column for each measure.
func (k kernel) table(w io.Writer, cell func(measure, subject) string) {
	if len(k.Measures) == 0 {
		return
	}
	title, rule := "| |", "|---|"
	for _, m := range k.Measures {
		name := columns[m.Name]
		if name == "" {
			name = m.Name
		}
		title, rule = title+" "+name+" |", rule+"---|"
	}
	fmt.Fprintf(w, "%s\n%s\n", title, rule)
	for _, s := range k.Measures[0].Subjects {
		line := []string{"", " " + s.Name + " "}
		for _, m := range k.Measures {
			text := "–"
			if s := m.subject(s.Name); s != nil && s.Missing == "" {
				text = cell(m, *s)
			}
			line = append(line, " "+text+" ")
		}
		fmt.Fprintln(w, strings.Join(append(line, ""), "|"))
	}
}

// number prints at least three digits.
func number(f float64) string {
	switch {
	case f >= 100:
		return fmt.Sprintf("%.0f", f)
	case f >= 10:
		return fmt.Sprintf("%.1f", f)
	}
	return fmt.Sprintf("%.2f", f)
}
