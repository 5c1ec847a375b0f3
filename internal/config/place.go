// SPDX-License-Identifier: MIT

package config

import (
	"fmt"
	"slices"
	"strings"

	"nicteam/internal/api"
	"nicteam/internal/settings"
)

// problem is a fault with the place that it came from: FILE:LINE, a variable or a flag; "": an argument.
func problem(f *settings.Fault, where string) *api.Problem {
	what := f.What
	if f.Key != "" && (where == "" || strings.Contains(where, ":")) { // a variable or flag says the key itself
		what = f.Key + ": " + what
	}
	if where != "" {
		what = where + ": " + what
	}
	kind := api.Usage
	if f.NotFound {
		kind = api.NotFound
	}
	return &api.Problem{Kind: kind, What: what, Why: f.Why, Fix: f.Fix}
}

// where returns the place that a setting came from.
func (l *loader) where(key string) string {
	top, _, _ := strings.Cut(key, ".")
	top, _, _ = strings.Cut(top, "[")
	if name, ok := l.origin[top]; ok {
		return name
	}
	if _, ok := l.lines[top]; ok {
		return fmt.Sprintf("%s:%d", l.path, l.lines.of(key))
	}
	return ""
}

// given returns the path of a setting that somebody gave, "" when nobody did.
func (l *loader) given(s *settings.Setting) string {
	if _, ok := l.origin[s.Key]; ok || !s.PerNIC && l.v.IsSet(s.Key) {
		return s.Key
	}
	for _, path := range sortedKeys(l.lines) {
		if s.PerNIC && strings.HasSuffix(path, "."+s.Key) {
			return path
		}
	}
	return ""
}

func contains(list []string, s string) bool { return slices.Contains(list, s) }

// Validate returns what is wrong with a configuration, whatever it was made from, nil when it makes sense.
func Validate(c settings.Config) *api.Problem {
	if f := settings.Validate(&c); f != nil {
		return problem(f, "")
	}
	return nil
}
