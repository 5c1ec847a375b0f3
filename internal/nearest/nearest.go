// SPDX-License-Identifier: MIT

// Package nearest finds the word that a user most likely meant.
package nearest

import (
	"fmt"
	"strings"
)

// maxLetters bounds the work: no name is longer, and a longer word is none of them.
const maxLetters = 64

// Word returns the candidate that got is most likely a slip of the keyboard for, "" for none. Case does not count. A
// third of the letters may differ (one in short words); a word begun is near. Numbers and single letters are not
// guessed.
func Word(got string, candidates []string) string {
	typed := []rune(strings.ToLower(got))
	if len(typed) > maxLetters {
		return ""
	}
	nearest, least := "", min(max(1, len(typed)/3)+1, len(typed))
	for _, c := range candidates {
		word := []rune(strings.ToLower(c))
		if len(word) < 2 || len(word) > maxLetters {
			continue
		}
		d := distance(typed, word)
		if d > 1 && len(typed) >= 3 && strings.HasPrefix(string(word), string(typed)) {
			d = 1
		}
		if d < least {
			nearest, least = c, d
		}
	}
	return nearest
}

// Hint is a question to append to a reason, "" when no candidate is near: `; did you mean "mode"?`.
func Hint(got string, candidates []string) string {
	if w := Word(got, candidates); w != "" {
		return fmt.Sprintf("; did you mean %q?", w)
	}
	return ""
}

// distance is the optimal string alignment distance: insertions, deletions, replacements, and swaps of neighbours.
func distance(a, b []rune) int {
	var before, last, row [maxLetters + 1]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := 1
			if a[i-1] == b[j-1] {
				replaced = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+replaced)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
