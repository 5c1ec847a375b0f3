// SPDX-License-Identifier: MIT

package pending

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"nicteam/internal/boot"
)

// OutcomeSchema names the document of an Outcome.
const OutcomeSchema = "nicteam.outcome/v1"

// How a change ended.
const (
	Confirmed = "confirmed"
	Reverted  = "reverted"
)

// An Outcome is what became of the last change that waited. The command that waits reads it, whichever process of the
// team has ended the change, and whether or not the team is still there.
type Outcome struct {
	Schema  string        `json:"schema"`
	Boot    string        `json:"boot"`
	Verb    string        `json:"verb"`
	Change  string        `json:"change"`
	Persist bool          `json:"persist,omitempty"` // of the Record
	Since   time.Time     `json:"since"`             // of the Record
	Result  string        `json:"result"`
	Reason  string        `json:"reason"` // why it was reverted
	Steps   []string      `json:"steps"`  // what was done, for people
	Faults  []string      `json:"faults,omitempty"`
	At      time.Duration `json:"boottime_ns"`
}

// End returns the outcome of a change.
func (r *Record) End(result, reason string, steps, faults []string) *Outcome {
	return &Outcome{Schema: OutcomeSchema, Boot: r.Boot, Verb: r.Verb, Change: r.Change, Persist: r.Persist,
		Since: r.Since, Result: result, Reason: reason, Steps: append([]string{}, steps...), Faults: faults,
		At: boot.Time()}
}

// Save writes the outcome.
func (o *Outcome) Save(path string) error { return write(path, o) }

// LoadOutcome returns the outcome at path: an error if there is none of this boot.
func LoadOutcome(path string) (*Outcome, error) {
	b, err := read(path, maxOutcome)
	if err != nil {
		return nil, err
	}
	id, err := boot.ID()
	if err != nil {
		return nil, err
	}
	return parseOutcome(b, id)
}

func parseOutcome(b []byte, boot string) (*Outcome, error) {
	var o Outcome
	if len(b) > maxOutcome {
		return nil, ErrInvalid
	}
	if err := json.Unmarshal(b, &o); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch {
	case o.Schema != OutcomeSchema, o.Result != Confirmed && o.Result != Reverted, o.Change == "":
		return nil, ErrInvalid
	case o.Boot != boot:
		return nil, errOtherBoot
	}
	return &o, nil
}

// FaultText is what could not be undone.
func (o *Outcome) FaultText() string { return strings.Join(o.Faults, "; ") }

// Text tells the outcome: add eth3 was reverted 12s ago: no confirmation came within 10s.
func (o *Outcome) Text() string {
	text := fmt.Sprintf("%s was %s %v ago", o.Change, o.Result, (boot.Time() - o.At).Round(time.Second))
	if o.Reason != "" {
		text += ": " + o.Reason
	}
	return text
}
