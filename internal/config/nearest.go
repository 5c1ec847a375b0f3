package config

import "strings"

// Nearest returns the word of list that was most likely meant, or "": at most a third of the
// letters may differ (one in short words), two neighbouring letters in the wrong order count once.
func Nearest(word string, list []string) string {
	if word == "" {
		return ""
	}
	best, found := max(1, len([]rune(word))/3), ""
	for _, w := range list {
		if d := distance(strings.ToLower(word), strings.ToLower(w)); d <= best && (found == "" || d < best) {
			best, found = d, w
		}
	}
	return found
}

// distance is the optimal string alignment distance of two short words.
func distance(s, t string) int {
	a, b := []rune(s), []rune(t)
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	var rows [3][65]int // the row before the last, the last, this one
	for j := range len(b) + 1 {
		rows[1][j] = j
	}
	for i := 1; i <= len(a); i++ {
		rows[2][0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[1][j]+1, rows[2][j-1]+1, rows[1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[0][j-2]+1)
			}
			rows[2][j] = d
		}
		rows[0], rows[1] = rows[1], rows[2]
	}
	return rows[1][len(b)]
}

// meant is a half sentence with the word that was likely meant, or "".
func meant(word string, list []string) string {
	if w := Nearest(word, list); w != "" {
		return `; did you mean "` + w + `"?`
	}
	return ""
}
