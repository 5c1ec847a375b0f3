package modes

import (
	"errors"
	"fmt"
)

// ErrNotInBuild says that a mode is known but not made yet.
var ErrNotInBuild = errors.New("not in this build yet")

// New returns the mode that the settings ask for. It plans nothing until it has been handed a
// State. Changing Kind or Balance takes another New; all other settings come with the State.
// The error wraps ErrNotInBuild.
func New(s Settings) (Mode, error) {
	switch s.Kind {
	case ELB, RoundRobin, ActiveBackup, XOR, Broadcast:
	case LACP:
		return nil, fmt.Errorf("mode %v: %w", s.Kind, ErrNotInBuild)
	default:
		return nil, fmt.Errorf("%v: no such mode", s.Kind)
	}
	if !s.Balance {
		return newActiveBackup(), nil
	}
	switch s.Kind {
	case ELB:
		return newELB(), nil
	case RoundRobin:
		return newSpreader(roundRobin{}), nil
	case XOR:
		return newSpreader(xor{}), nil
	case Broadcast:
		return newSpreader(broadcast{}), nil
	default:
		return newActiveBackup(), nil
	}
}
