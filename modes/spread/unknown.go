package spread

import (
	"fmt"
	"slices"
	"strings"

	"nicteam/internal/nearest"
)

// UnknownError says that a word is none of those that are allowed.
type UnknownError struct {
	Object string   // what was to be named: "mode"
	Got    string   // as typed
	Near   string   // what was perhaps meant, "" nothing is near
	Known  []string // what is allowed, in the order of help
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

// Unknown makes the error; aliases are only looked at for what was meant.
func Unknown(object, got string, known, aliases []string) error {
	slices.Sort(aliases)
	return &UnknownError{Object: object, Got: got, Near: nearest.Word(Normal(got), append(slices.Clone(known), aliases...)), Known: known}
}

// Normal is how names are compared: people write balance_rr and Active-Backup.
func Normal(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "_", "-")
}
