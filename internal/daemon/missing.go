// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"nicteam/internal/control"
	"nicteam/internal/settings"
	"nicteam/team"
)

// splitPresent splits the configured members into present and absent ones. A team that starts at boot or after a crash
// starts with the NICs that are present. If none is, it returns all as present, and the preflight reports them.
func (s *session) splitPresent(all []settings.MemberConfig) (present, missing []settings.MemberConfig) {
	for _, m := range all {
		if _, err := s.host.NIC(m.Name); err == nil {
			present = append(present, m)
		} else {
			missing = append(missing, m)
		}
	}
	if len(present) == 0 {
		return all, nil
	}
	return present, missing
}

// Waits for NICs that the system has not found yet when a service manager starts the team: slow firmware, USB, a
// hypervisor. Whoever waits for the network at boot waits with it, the login too. Without any NIC the start then fails,
// and the service manager starts the team again.
const (
	nicsTime    = 5 * time.Second
	anotherTime = 2 * time.Second // after one has come, for the next
	lookForNICs = 20 * time.Millisecond
)

// awaitNICs waits until all configured NICs are present, or as long as a boot may take for it.
func (u *startup) awaitNICs(ctx context.Context, all []settings.MemberConfig) {
	until, was := time.Now().Add(nicsTime), -1
	look := time.NewTicker(lookForNICs)
	defer look.Stop()
	for {
		var missing []string
		for _, m := range all {
			if _, err := u.host.NIC(u.host.RealName(m.Name)); err != nil {
				missing = append(missing, m.Name)
			}
		}
		now := time.Now()
		if was < 0 && len(missing) > 0 {
			u.log.Info("waits for NICs", "team", u.config.Team, "missing", strings.Join(missing, ", "))
		}
		if more := now.Add(anotherTime); len(missing) < was && until.Before(more) {
			until = more
		}
		was = len(missing)
		if was == 0 || !now.Before(until) {
			return
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// missingWarnings returns the warnings of missing NICs by key.
func (s *session) missingWarnings() map[string]string {
	warnings := map[string]string{}
	for _, m := range s.missing {
		warnings[missingKey(m.Name)] = m.Name + " is configured but absent; it joins when it appears"
	}
	return warnings
}

func missingKey(name string) string { return "missing " + name }

// warnMissing warns of each missing NIC as long as it is missing.
func (s *session) warnMissing(ctx context.Context) error {
	for key, text := range s.missingWarnings() {
		if err := s.team.Warn(ctx, key, text); err != nil {
			return err
		}
	}
	return nil
}

// joinMissing joins missing NICs that have appeared. The caller holds changeMu.
func (s *session) joinMissing(ctx context.Context) {
	for _, m := range slices.Clone(s.missing) {
		name := s.host.RealName(m.Name) // udev sets altnames after the NIC has appeared
		if _, err := s.host.NIC(name); err != nil {
			continue
		}
		_, err := s.addLocked(ctx, []string{name}, control.ChangeOptions{Accept: true})
		if err == nil && name != m.Name {
			s.forgetMissing(ctx, m.Name)
		}
		if err != nil {
			s.log.Warn("NIC has appeared but cannot join", "member", m.Name, "err", err)
			_ = s.team.Warn(ctx, missingKey(m.Name), m.Name+" has appeared but cannot join: "+err.Error())
		}
	}
}

// renameMissing gives missing NICs another name if a member was renamed to theirs. names maps old names to new ones.
func (s *session) renameMissing(ctx context.Context, names map[string]string) error {
	if len(names) == 0 {
		return nil
	}
	var errs []error
	for i := range s.missing {
		m := &s.missing[i]
		if left := team.NameAfterRenames(m.Name, names); left != m.Name {
			errs = append(errs, s.team.Warn(ctx, missingKey(m.Name), ""))
			m.Name = left
		}
	}
	return errors.Join(errors.Join(errs...), s.warnMissing(ctx))
}

func (s *session) isMissing(name string) bool {
	return slices.ContainsFunc(s.missing, func(m settings.MemberConfig) bool { return m.Name == name })
}

// forgetMissing expects a NIC no longer: it has joined or was removed. The caller holds changeMu.
func (s *session) forgetMissing(ctx context.Context, name string) {
	if s.isMissing(name) {
		s.missing = slices.DeleteFunc(s.missing, func(m settings.MemberConfig) bool { return m.Name == name })
		_ = s.team.Warn(ctx, missingKey(name), "")
	}
}
