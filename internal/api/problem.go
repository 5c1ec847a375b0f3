// SPDX-License-Identifier: MIT

package api

import (
	"encoding/json"
	"fmt"
)

// Problem is an error for users and, as the document nicteam.problem/v1, for programs: what failed, why, and how to fix
// it.
type Problem struct {
	Kind ExitCode `json:"code"`
	What string   `json:"error"` // lower case, no full stop: `create team0: no NIC "eht1"`
	Why  string   `json:"why"`
	Fix  string   `json:"fix"`
	Err  error    `json:"-"` // the cause, may be nil
}

func (p *Problem) Error() string { return fmt.Sprintf("%s: %s", p.What, p.Why) }
func (p *Problem) Unwrap() error { return p.Err }

// MarshalJSON writes p with its schema.
func (p *Problem) MarshalJSON() ([]byte, error) {
	type fields Problem
	return json.Marshal(struct {
		Schema string `json:"schema"`
		*fields
	}{ProblemSchema, (*fields)(p)})
}

// ExitCode is what the command exits with.
type ExitCode int

// The exit codes of the contract; 0 is success.
const (
	Failed       ExitCode = 1
	Usage        ExitCode = 2
	NotFound     ExitCode = 3 // no such NIC or team
	NotPermitted ExitCode = 4
	Conflict     ExitCode = 5 // the NIC belongs to someone else, the team exists
	Reverted     ExitCode = 6
	Degraded     ExitCode = 7 // status --check
	NoAnswer     ExitCode = 8 // the team's process does not answer
	Interrupted  ExitCode = 130
)
