// SPDX-License-Identifier: MIT

package spread

import (
	"fmt"
	"slices"
	"strings"

	"nicteam/internal/nearest"
)

// UnknownError is the error for a word that is none of those allowed.
type UnknownError struct {
	Object string   // what the word names: "mode"
	Got    string   // as typed
	Near   string   // the nearest allowed word, "" none is near
	Known  []string // allowed words, in the order of help
}

func (e *UnknownError) Error() string {
	s := fmt.Sprintf("unknown %s %q", e.Object, e.Got)
	if e.Near != "" {
		s += fmt.Sprintf(", did you mean %q?", e.Near)
	} else {
		s += ":"
	}
	return s + " want one of " + strings.Join(e.Known, ", ")
}

// Unknown returns an UnknownError; aliases are candidates for Near only.
func Unknown(object, got string, known, aliases []string) error {
	slices.Sort(aliases)
	return &UnknownError{Object: object, Got: got,
		Near: nearest.Word(Normal(got), append(slices.Clone(known), aliases...)), Known: known}
}

// Normal returns a name in the form in which names are compared: people write balance_rr and Active-Backup.
func Normal(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "_", "-")
}
