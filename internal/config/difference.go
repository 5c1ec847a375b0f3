// SPDX-License-Identifier: MIT

package config

import (
	"fmt"

	"nicteam/internal/settings"
)

// Difference is what makes one configuration of a running team another one.
type Difference struct {
	Add, Remove []string          // NICs
	Set         map[string]string // as SetAll takes it, once the NICs of Add have joined
	Fixed       []string          // settings that differ and cannot change while the team runs
}

// Empty reports whether both configurations say the same.
func (d *Difference) Empty() bool { return len(d.Add)+len(d.Remove)+len(d.Set)+len(d.Fixed) == 0 }

// Differ compares the configuration of a running team with the one that it is to have. What only nicteam set takes (the
// active member) is in no configuration, and stays.
func Differ(is, want *settings.Config) *Difference {
	d := &Difference{Set: map[string]string{}}
	for _, m := range want.Members {
		if is.Index(m.Name) < 0 {
			d.Add = append(d.Add, m.Name)
		}
	}
	for _, m := range is.Members {
		if want.Index(m.Name) < 0 {
			d.Remove = append(d.Remove, m.Name)
		}
	}
	for i := range settings.Table {
		s := &settings.Table[i]
		switch {
		case s.NoFile || s.Key == "team" || s.Type == settings.NICs || s.Strict && s.Mode != want.Mode:
		case s.PerNIC:
			d.setNICs(s, is, want)
		case s.Text(is) == s.Text(want):
		case s.Key == "mtu" && want.MTU == 0: // what the NICs had when the team was made
		case s.Live:
			d.Set[s.Key] = s.Text(want)
		default:
			d.Fixed = append(d.Fixed, s.Key)
		}
	}
	return d
}

// setNICs compares a setting of NICs. One that joins has the default.
func (d *Difference) setNICs(s *settings.Setting, is, want *settings.Config) {
	for _, m := range want.Members {
		was := settings.DefaultMember(m.Name)
		if j := is.Index(m.Name); j >= 0 {
			was = is.Members[j]
		}
		if to := s.MemberText(m); to != s.MemberText(was) {
			d.Set[fmt.Sprintf("%s.%s", s.Key, m.Name)] = to
		}
	}
}
