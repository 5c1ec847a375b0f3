package api

import "fmt"

// Problem is an error as a user and, in JSON, a program sees it: what could not be done, why, and what helps.
type Problem struct {
	Code ExitCode `json:"code"`
	What string   `json:"error"` // lower case, no full stop: `create team0: no NIC "eht1"`
	Why  string   `json:"why"`
	Fix  string   `json:"fix"`
	Err  error    `json:"-"` // what it stems from, may be nil
}

func (p *Problem) Error() string { return fmt.Sprintf("%s: %s", p.What, p.Why) }
func (p *Problem) Unwrap() error { return p.Err }

// ExitCode is the exit code that a Problem ends the command with.
type ExitCode int

// The exit codes of the contract.
const (
	Failed       ExitCode = 1
	Usage        ExitCode = 2
	NotFound     ExitCode = 3
	NotPermitted ExitCode = 4
	Conflict     ExitCode = 5
	Reverted     ExitCode = 6
	Degraded     ExitCode = 7
	NoAnswer     ExitCode = 8
)
