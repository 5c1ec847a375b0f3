package spread

import (
	"fmt"
	"slices"
	"strings"
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
	return &UnknownError{Object: object, Got: got, Near: nearest(Normal(got), append(slices.Clone(known), aliases...)), Known: known}
}

// Normal is how names are compared: people write balance_rr and Active-Backup.
func Normal(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(s)), "_", "-")
}

// nearest returns the candidate that got is most likely a slip of the keyboard for. A longer
// word may be further off; numbers and single letters are never guessed.
func nearest(got string, candidates []string) string {
	best, at := "", len(got)
	for _, c := range candidates {
		if len(c) < 2 {
			continue
		}
		d := distance(got, c)
		if len(got) >= 3 && strings.HasPrefix(c, got) {
			d = 1 // a word begun
		}
		if limit := max(len(c)/3, 1); d <= limit && d < at {
			best, at = c, d
		}
	}
	return best
}

// distance counts the letters to insert, delete, replace or swap with the next to make a into
// b (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 {
		return len(a)
	}
	before := make([]int, len(b)+1)
	last := make([]int, len(b)+1)
	row := make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			differ := 1
			if a[i-1] == b[j-1] {
				differ = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+differ)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
