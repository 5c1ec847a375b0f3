// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"strings"
	"time"
)

// storyLines is the number of recent lines in a Failure.
const storyLines = 200

// story records recent events; their texts are formatted only for a Failure.
type story struct {
	lines [storyLines]line
	n     int
}

type line struct {
	at     time.Duration
	format string
	args   []any
}

func (s *story) add(at time.Duration, format string, args []any) {
	s.lines[s.n%storyLines] = line{at, format, args}
	s.n++
}

func (s *story) text() string {
	var b strings.Builder
	for i := max(0, s.n-storyLines); i < s.n; i++ {
		l := &s.lines[i%storyLines]
		fmt.Fprintf(&b, "%14.6f  ", l.at.Seconds()*1000)
		fmt.Fprintf(&b, l.format, l.args...)
		b.WriteByte('\n')
	}
	return b.String()
}

// Failure is a violated invariant. The same seed reproduces it.
type Failure struct {
	Seed  uint64
	At    time.Duration
	What  string
	Story string // the events before it, times in ms
}

func (f *Failure) Error() string {
	return fmt.Sprintf("seed %d, at %v: %s\n%s", f.Seed, f.At, f.What, f.Story)
}
