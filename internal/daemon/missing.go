package daemon

import (
	"context"
	"errors"
	"slices"

	"nicteam/internal/settings"
	"nicteam/team"
)

// splitPresent divides the configured members into those that are there and those that are not. A team that is started again, at a
// boot or after a crash, starts with the NICs it has: a host must not be without network because one of them is missing.
// With none at all nothing is divided, and the preflight says what is wrong.
func (s *session) splitPresent(all []settings.MemberConfig) (there, awaited []settings.MemberConfig) {
	for _, m := range all {
		if _, err := s.host.NIC(m.Name); err == nil {
			there = append(there, m)
		} else {
			awaited = append(awaited, m)
		}
	}
	if len(there) == 0 {
		return all, nil
	}
	return there, awaited
}

func missingKey(name string) string { return "await " + name }

// warnMissing tells people who is missing for as long as somebody is.
func (s *session) warnMissing(ctx context.Context) error {
	for _, m := range s.missing {
		if err := s.team.Warn(ctx, missingKey(m.Name), m.Name+" is configured and not there; it joins when it comes"); err != nil {
			return err
		}
	}
	return nil
}

// joinMissing takes those in that have come. The caller holds changing.
func (s *session) joinMissing(ctx context.Context) {
	for _, m := range slices.Clone(s.missing) {
		name := s.host.RealName(m.Name) // udev gives altnames after the NIC has come
		if _, err := s.host.NIC(name); err != nil {
			continue
		}
		_, err := s.addLocked(ctx, []string{name}, true)
		if err == nil && name != m.Name {
			s.forgetMissing(ctx, m.Name)
		}
		if err != nil {
			s.log.Warn("NIC has come but cannot be taken", "member", m.Name, "err", err)
			_ = s.team.Warn(ctx, missingKey(m.Name), m.Name+" has come but cannot be taken: "+err.Error())
		}
	}
}

// renameMissing has NICs be awaited by other names when members have taken theirs, old to new.
func (s *session) renameMissing(ctx context.Context, names map[string]string) error {
	if len(names) == 0 {
		return nil
	}
	var errs []error
	for i := range s.missing {
		m := &s.missing[i]
		if left := team.NameLeft(m.Name, names); left != m.Name {
			errs = append(errs, s.team.Warn(ctx, missingKey(m.Name), ""))
			m.Name = left
		}
	}
	return errors.Join(errors.Join(errs...), s.warnMissing(ctx))
}

func (s *session) isMissing(name string) bool {
	return slices.ContainsFunc(s.missing, func(m settings.MemberConfig) bool { return m.Name == name })
}

// forgetMissing forgets a NIC that has joined or is not wanted any more. The caller holds changing.
func (s *session) forgetMissing(ctx context.Context, name string) {
	if s.isMissing(name) {
		s.missing = slices.DeleteFunc(s.missing, func(m settings.MemberConfig) bool { return m.Name == name })
		_ = s.team.Warn(ctx, missingKey(name), "")
	}
}
