// SPDX-License-Identifier: MIT

// Package pending has the record of a change that waits for confirmation, and what became of it.
//
// A change with a deadline is reverted unless somebody confirms it in time: the new configuration may have cut off the
// person who would mend it. The record lies in the run directory, which ends with the boot. What is confirmed is in the
// configuration directory, so a boot is a revert. The record is there before the change is made and says so: a process
// that dies in the middle leaves a change that the next one reverts at once.
//
// The deadline is a time of CLOCK_BOOTTIME, which runs during a suspend and which nobody sets.
package pending

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/atomicfile"
	"nicteam/internal/boot"
)

// Schema names the document of a Record.
const Schema = "nicteam.pending/v1"

// The verbs that make changes.
const (
	Create = "create"
	Add    = "add"
	Remove = "remove"
	Set    = "set"
	Apply  = "apply"
	Delete = "delete"
)

// A Record is a change that waits for confirmation. There is one a team.
type Record struct {
	Schema  string        `json:"schema"`
	Boot    string        `json:"boot"` // boot_id of the kernel; of another boot it is void
	Verb    string        `json:"verb"`
	Change  string        `json:"change"` // in words: add eth3
	Since   time.Time     `json:"since"`
	Confirm time.Duration `json:"confirm_ns"`           // how long the change stands without a confirmation
	Until   time.Duration `json:"deadline_boottime_ns"` // then it is reverted
	Made    bool          `json:"made"`                 // false: the process died while it made the change
	Reason  string        `json:"reason,omitempty"`     // why it is to be reverted at once; "" if it is not
	Persist bool          `json:"persist,omitempty"`    // create: TEAM.yaml is written when it is confirmed

	// Of the team before, beside its configuration, which has no place for them.
	Active string `json:"active,omitempty"` // member that was active by hand
	MTU    int    `json:"mtu,omitempty"`    // of the adapter
	// WasActive is the member that sent everything; "" if the mode had none.
	WasActive string `json:"was_active,omitempty"`
}

// Begin returns the record of a change that is about to be made. Its deadline is counted from when it is made.
func Begin(verb, change string, confirm time.Duration) *Record {
	id, _ := boot.ID()
	return &Record{Schema: Schema, Boot: id, Verb: verb, Change: change, Confirm: confirm, Since: time.Now(),
		Until: boot.Time() + confirm}
}

// Done notes that the change is made: the time to confirm it begins.
func (r *Record) Done() { r.Made, r.Since, r.Until = true, time.Now(), boot.Time()+r.Confirm }

// Revert makes the revert due at once.
func (r *Record) Revert(why string) { r.Until, r.Reason = 0, why }

// WhyReverted is why a change is reverted whose record a process finds.
func (r *Record) WhyReverted() string {
	switch {
	case r.Reason != "":
		return r.Reason
	case !r.Made:
		return "the team's process died while it made the change"
	case r.Left() > 0:
		return "the team's process died too often, and the host was given back"
	}
	return fmt.Sprintf("no confirmation came within %v", r.Confirm)
}

// Left is the time until the change is reverted, 0 if that is due.
func (r *Record) Left() time.Duration {
	if !r.Made {
		return 0
	}
	return max(r.Until-boot.Time(), 0)
}

// Status is the record in the team's status.
func (r *Record) Status() *api.Pending {
	left := r.Left()
	return &api.Pending{Change: r.Change, Since: r.Since, Until: time.Now().Add(left), Left: int64(left)}
}

// Bounds of the files: what no process writes is not read.
const (
	maxRecord  = 8 << 10
	maxOutcome = 64 << 10
	maxConfirm = 24 * time.Hour
)

// ErrInvalid is of a record that no process has written.
var ErrInvalid = errors.New("inconsistent record of a pending change")

// errOtherBoot is of a record that a boot has made void.
var errOtherBoot = fmt.Errorf("%w: it is from before the boot", fs.ErrNotExist)

// parse reads a record of the boot at a time since that boot.
func parse(b []byte, boot string, now time.Duration) (*Record, error) {
	var r Record
	if len(b) > maxRecord {
		return nil, ErrInvalid
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	switch {
	case r.Schema != Schema:
		return nil, fmt.Errorf("%w: schema %.40q", ErrInvalid, r.Schema)
	case r.Boot != boot:
		return nil, errOtherBoot
	case r.Confirm <= 0 || r.Confirm > maxConfirm, r.Until < 0, r.Until > now+r.Confirm, r.MTU < 0, r.MTU > 1<<16,
		r.Change == "", len(r.Change) > maxRecord, len(r.Reason) > maxRecord, len(r.Active) > 128,
		len(r.WasActive) > 128:
		return nil, ErrInvalid
	}
	switch r.Verb {
	case Create, Add, Remove, Set, Apply, Delete:
		return &r, nil
	}
	return nil, fmt.Errorf("%w: verb %.40q", ErrInvalid, r.Verb)
}

// Load returns the record at path: fs.ErrNotExist if there is none of this boot.
func Load(path string) (*Record, error) {
	b, err := read(path, maxRecord)
	if err != nil {
		return nil, err
	}
	id, err := boot.ID()
	if err != nil {
		return nil, err
	}
	return parse(b, id, boot.Time())
}

// Save writes the record.
func (r *Record) Save(path string) error { return write(path, r) }

// read reads a file that is no link.
func read(path string, most int64) ([]byte, error) {
	st, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > most {
		return nil, fmt.Errorf("%s: %w: not a regular file of at most %d bytes", path, ErrInvalid, most)
	}
	return os.ReadFile(path)
}

func write(path string, document any) error {
	return atomicfile.Write(path, 0o640, func(w io.Writer) error { return json.NewEncoder(w).Encode(document) })
}
