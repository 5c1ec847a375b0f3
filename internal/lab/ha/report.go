// SPDX-License-Identifier: MIT

package ha

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// Report is the results of many rounds.
type Report struct{ steps map[string][]*Result }

// Add adds a result.
func (r *Report) Add(one *Result) {
	if r.steps == nil {
		r.steps = map[string][]*Result{}
	}
	r.steps[one.Step] = append(r.steps[one.Step], one)
}

// Write writes one line of a Markdown table for each step: medians, and the worst behind a stroke.
func (r *Report) Write(w io.Writer, subject string) {
	fmt.Fprintf(w, "| %s | rounds | requests | failed | longest gap, median / worst | of it lost | "+
		"addresses moved after | both had one |\n|---|---|---|---|---|---|---|---|\n", subject)
	for _, name := range slices.Sorted(maps.Keys(r.steps)) {
		list := r.steps[name]
		asked, failed := 0, 0
		var gaps, silent, moved, both []time.Duration
		for _, o := range list {
			asked, failed = asked+o.Answers.Asked, failed+o.Answers.Failed
			gaps, silent = append(gaps, o.Beat.Gap.Net), append(silent, o.Beat.Silence)
			moved, both = append(moved, o.Moved), append(both, o.Both)
		}
		fmt.Fprintf(w, "| %s | %d | %d | %d | %s | %s | %s | %s |\n", name, len(list), asked, failed, middle(gaps),
			middle(silent), middle(moved), middle(both))
	}
}

// middle formats the median and the worst in ms.
func middle(list []time.Duration) string {
	slices.Sort(list)
	worst := list[len(list)-1]
	if worst == 0 {
		return "–"
	}
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return fmt.Sprintf("%.1f / %.1f ms", ms(list[len(list)/2]), ms(worst))
}
