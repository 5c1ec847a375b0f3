// SPDX-License-Identifier: MIT

package vm

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// An Event is what the guest itself reports between the lines of its tasks: a line of JSON after a byte that no task
// writes.
type Event struct {
	Kind    string
	Text    string  `json:",omitempty"`
	Package string  `json:",omitempty"` // the task
	Code    int     `json:",omitempty"`
	Seconds float64 `json:",omitempty"`
}

const eventMark = "\x1e"

// Kinds of events.
const (
	KernelIs = "kernel"  // Text: which one runs
	Begin    = "begin"   // Text: the task
	End      = "end"     // of a task
	Modules  = "modules" // Text: those loaded at the end
	Trouble  = "trouble" // Text: why the guest could not go on
	Done     = "done"    // the last line; a report without it is incomplete
)

// WriteEvent writes a line of the report.
func WriteEvent(w io.Writer, e Event) {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(w, "\n%s%s\n", eventMark, b)
}

// ParseEvent reads a line of the guest's report, which is an event or (false) a line of a task.
func ParseEvent(line string) (e Event, ok bool, err error) {
	text, ok := strings.CutPrefix(line, eventMark)
	if !ok {
		return e, false, nil
	}
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return e, false, fmt.Errorf("report of the guest: %w: %q", err, line)
	}
	return e, true, nil
}
