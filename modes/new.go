package modes

import "fmt"

// New returns the mode that the settings ask for. It plans nothing until it has been handed a
// State. Changing Kind takes another New, and so does changing Balance but in 802.3ad, which would have to begin anew
// with its partners; all other settings come with the State.
func New(s Settings) (Mode, error) {
	switch s.Kind {
	case LACP:
		return newAggregation(), nil
	case ELB, RoundRobin, ActiveBackup, XOR, Broadcast:
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
