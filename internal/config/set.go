// SPDX-License-Identifier: MIT

package config

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"nicteam/internal/nearest"
	"nicteam/internal/settings"
)

// Set returns c with one live setting changed, validated. Keys are those of settings.LiveKeys, and bonding's names of
// them with bonding's values. c itself is not changed. An empty value or none clears primary and active. Its errors are
// *api.Problem.
func Set(c settings.Config, key, value string) (settings.Config, error) {
	next := c
	next.Members = slices.Clone(c.Members)
	f := set(&next, key, value)
	if f == nil {
		f = settings.Validate(&next)
	}
	if f != nil {
		return c, problem(f, "")
	}
	return next, nil
}

// SetAll is Set of several settings, all or none of them. The mode is changed first, for what else is allowed depends
// on it. It returns what was set, in order, as KEY=VALUE, and warnings.
func SetAll(c settings.Config, changes map[string]string) (next settings.Config, done []string, err error) {
	if len(changes) == 0 {
		return c, nil, nil
	}
	keys := slices.SortedFunc(maps.Keys(changes), func(a, b string) int {
		x, y := settings.Canonical(a), settings.Canonical(b)
		if am, bm := x == "mode", y == "mode"; am != bm {
			if am {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(x, y), strings.Compare(a, b))
	})
	for i, k := range keys[1:] {
		if was := keys[i]; settings.Canonical(k) == settings.Canonical(was) && !settings.OneKey(k, was) {
			return c, nil, problem(&settings.Fault{Key: settings.Canonical(k), What: "given twice",
				Why: fmt.Sprintf("%s and %s are one setting", was, k), Fix: "give it once"}, "")
		}
	}
	next = c
	for _, k := range keys {
		if next, err = Set(next, k, changes[k]); err != nil {
			return c, nil, err
		}
		done = append(done, k+"="+changes[k])
	}
	for _, cost := range next.Costs() {
		if !slices.Contains(c.Costs(), cost) {
			done = append(done, "warning: "+cost)
		}
	}
	return next, done, nil
}

func set(c *settings.Config, typed, value string) *settings.Fault {
	key, nic, perNIC := strings.Cut(settings.Canonical(typed), ".")
	s := settings.Find(key)
	switch {
	case s == nil || s.PerNIC != perNIC && !s.PerNIC:
		return &settings.Fault{What: fmt.Sprintf("unknown setting %q", typed),
			Why: "there is no such setting" + nearest.Hint(typed, settings.LiveKeys()),
			Fix: "nicteam help set lists the settings"}
	case s.PerNIC && !perNIC:
		return &settings.Fault{Key: typed, What: "names no NIC", Why: "it is a setting of a single NIC",
			Fix: "write " + key + ".NIC=" + value}
	case key == "members":
		return &settings.Fault{Key: key, What: "cannot be set", Why: "NICs are added and removed",
			Fix: "nicteam add TEAM NIC, or nicteam remove TEAM NIC"}
	case !s.Live:
		return &settings.Fault{Key: key, What: "cannot be changed while the team runs",
			Why: "it is part of what the team was made with",
			Fix: "nicteam delete the team and create it anew"}
	}
	if perNIC {
		return setMember(c, s, typed, nic, value)
	}
	if f := s.Set(c, settings.FromBonding(typed, value, s.Text(c))); f != nil {
		return f
	}
	return s.Foreign(c)
}

// setMember changes a setting of one NIC.
func setMember(c *settings.Config, s *settings.Setting, typed, nic, value string) *settings.Fault {
	f := s.Foreign(c)
	if i := c.Index(nic); f == nil && i < 0 {
		f = settings.NoMember(nic, c)
	} else if f == nil {
		f = s.SetMember(c, i, value)
	}
	if f != nil {
		f.Key = typed
	}
	return f
}

// RealNames returns the changes that Set takes with the names of NICs in place of altnames.
func RealNames(changes map[string]string, real func(string) string) map[string]string {
	out := make(map[string]string, len(changes))
	for typed, value := range changes {
		key, nic, perNIC := strings.Cut(settings.Canonical(typed), ".")
		switch s := settings.Find(key); {
		case s == nil:
		case perNIC && s.PerNIC:
			typed = strings.TrimSuffix(typed, nic) + real(nic)
		case s.Type == settings.NIC && value != "":
			value = real(value)
		}
		out[typed] = value
	}
	return out
}
