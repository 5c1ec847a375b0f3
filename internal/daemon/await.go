package daemon

import (
	"context"
	"errors"
	"slices"

	"nicteam/internal/settings"
	"nicteam/team"
)

// present divides the configured members into those that are there and those that are not. A team that is started again, at a
// boot or after a crash, starts with the NICs it has: a host must not be without network because one of them is missing.
// With none at all nothing is divided, and the preflight says what is wrong.
func (s *session) present(all []settings.MemberConfig) (there, awaited []settings.MemberConfig) {
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

func awaitKey(name string) string { return "await " + name }

// warnAwaited tells people who is missing for as long as somebody is.
func (s *session) warnAwaited(ctx context.Context) error {
	for _, m := range s.awaited {
		if err := s.team.Warn(ctx, awaitKey(m.Name), m.Name+" is configured and not there; it joins when it comes"); err != nil {
			return err
		}
	}
	return nil
}

// takeAwaited takes those in that have come. The caller holds changing.
func (s *session) takeAwaited(ctx context.Context) {
	for _, m := range slices.Clone(s.awaited) {
		name := s.host.RealName(m.Name) // udev gives altnames after the NIC has come
		if _, err := s.host.NIC(name); err != nil {
			continue
		}
		_, err := s.addAll(ctx, []string{name}, true)
		if err == nil && name != m.Name {
			s.awaitNoMore(ctx, m.Name)
		}
		if err != nil {
			s.log.Warn("NIC has come but cannot be taken", "member", m.Name, "err", err)
			_ = s.team.Warn(ctx, awaitKey(m.Name), m.Name+" has come but cannot be taken: "+err.Error())
		}
	}
}

// renameAwaited has NICs be awaited by other names when members have taken theirs, old to new.
func (s *session) renameAwaited(ctx context.Context, names map[string]string) error {
	if len(names) == 0 {
		return nil
	}
	var errs []error
	for i := range s.awaited {
		m := &s.awaited[i]
		if left := team.NameLeft(m.Name, names); left != m.Name {
			errs = append(errs, s.team.Warn(ctx, awaitKey(m.Name), ""))
			m.Name = left
		}
	}
	return errors.Join(errors.Join(errs...), s.warnAwaited(ctx))
}

func (s *session) awaits(name string) bool {
	return slices.ContainsFunc(s.awaited, func(m settings.MemberConfig) bool { return m.Name == name })
}

// awaitNoMore forgets a NIC that has joined or is not wanted any more. The caller holds changing.
func (s *session) awaitNoMore(ctx context.Context, name string) {
	if s.awaits(name) {
		s.awaited = slices.DeleteFunc(s.awaited, func(m settings.MemberConfig) bool { return m.Name == name })
		_ = s.team.Warn(ctx, awaitKey(name), "")
	}
}
