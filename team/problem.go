package team

import "fmt"

// Problem is an error as a user and, in JSON, a program sees it: what could not be done, why, and what helps.
type Problem struct {
	Kind ProblemKind `json:"code"`
	What string      `json:"error"` // lower case, no full stop: `create team0: no NIC "eht1"`
	Why  string      `json:"why"`
	Fix  string      `json:"fix"`
	Err  error       `json:"-"` // what it stems from, may be nil
}

func (p *Problem) Error() string { return fmt.Sprintf("%s: %s", p.What, p.Why) }
func (p *Problem) Unwrap() error { return p.Err }

// ProblemKind is the exit code that a Problem ends the command with.
type ProblemKind int

// The exit codes of the contract.
const (
	Failed       ProblemKind = 1
	Usage        ProblemKind = 2
	NotFound     ProblemKind = 3
	NotPermitted ProblemKind = 4
	Conflict     ProblemKind = 5
	Reverted     ProblemKind = 6
	Degraded     ProblemKind = 7
	NoAnswer     ProblemKind = 8
)
