// SPDX-License-Identifier: MIT

package modes

import (
	"fmt"

	"nicteam/modes/spread"
)

// Reselect says when a primary that is usable again becomes active again.
type Reselect uint8

// The policies of primary_reselect.
const (
	ReselectAlways  Reselect = iota // as soon as it is usable
	ReselectBetter                  // when it is faster than the active member
	ReselectFailure                 // only when the active member fails
)

var reselectNames = [...]string{ReselectAlways: "always", ReselectBetter: "better", ReselectFailure: "failure"}

func (r Reselect) String() string {
	if int(r) < len(reselectNames) {
		return reselectNames[r]
	}
	return fmt.Sprintf("reselect(%d)", uint8(r))
}

// ParseReselect reads a policy's name, or the kernel's number of it. The error is a *spread.UnknownError.
func ParseReselect(s string) (Reselect, error) {
	name := spread.Normal(s)
	for r, n := range reselectNames {
		if name == n || name == fmt.Sprint(r) {
			return Reselect(r), nil
		}
	}
	return 0, spread.Unknown("primary_reselect", s, reselectNames[:], nil)
}
