// SPDX-License-Identifier: MIT

package team

import (
	"cmp"
	"fmt"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes"
)

// change adopts another configuration, or refuses it before anything is changed.
func (l *Loop) change(now time.Time, next settings.Config, out *Output) *api.Problem {
	if f := settings.CheckLive(&next); f != nil {
		return settingProblem(f)
	}
	of, p := l.memberSettings(next)
	if p != nil {
		return p
	}
	if p := l.checkNames(next); p != nil {
		return p
	}
	if p := l.checkDuplicateMACs(next); p != nil {
		return p
	}
	// A wanted active member is dropped with the mode that has one.
	if next.Active == l.cfg.Active && !single(next) {
		next.Active = ""
	}
	if next.Undamp != "" && l.byName(next.Undamp) == nil {
		return noMember(next.Undamp, l.memberNames())
	}
	was := l.cfg
	// 802.3ad adopts balance without a new mode: partners must not notice.
	if next.Mode != was.Mode || next.Balance != was.Balance && !next.Mode.LiveBalance() {
		l.cfg = next
		m, err := l.newMode(l.settings())
		if err != nil {
			l.cfg = was
			return modeProblem(next.Mode, err)
		}
		l.replaceMode(now, m, out)
	}
	// Team and Members are not live.
	next.Team, next.Members = was.Team, was.Members
	l.cfg, l.dirty = next, true
	l.configureWatches(now)
	if next.Undamp != "" {
		_ = l.undamp(next.Undamp)
		l.cfg.Undamp = ""
	}
	for _, m := range l.members {
		m.debounce.UpDelay, m.debounce.DownDelay = next.UpDelay, next.DownDelay
	}
	if next.Mode != was.Mode {
		l.addEvent(out, now, "mode-changed", "", fmt.Sprintf("%v, was %v", next.Mode, was.Mode))
	}
	l.settingEvents(now, &was, &next, out)
	for _, m := range l.members {
		c, ok := of[m.link.Name]
		if ok && c.Weight != m.weight {
			l.addEvent(out, now, "setting-changed", m.link.Name, fmt.Sprintf("weight=%v, was %v", c.Weight, m.weight))
			m.weight, m.measuredRate = c.Weight, rate{}
		}
		if ok && c.PortPriority != m.priority {
			l.addEvent(out, now, "setting-changed", m.link.Name,
				fmt.Sprintf("port_priority=%d, was %d", c.PortPriority, m.priority))
			m.priority = c.PortPriority
		}
	}
	return nil
}

// settingEvents adds an event for each live setting that differs and has no event of its own.
func (l *Loop) settingEvents(now time.Time, was, next *settings.Config, out *Output) {
	text := func(s *settings.Setting, c *settings.Config) string { return cmp.Or(s.Text(c), "not set") }
	for i := range settings.Table {
		s := &settings.Table[i]
		if !s.Live || s.PerNIC || s.Event != "" {
			continue
		}
		if is, old := text(s, next), text(s, was); is != old {
			l.addEvent(out, now, "setting-changed", "", fmt.Sprintf("%s=%s, was %s", s.Key, is, old))
		}
	}
}

// memberSettings returns the settings of members in next by name.
func (l *Loop) memberSettings(next settings.Config) (map[string]settings.MemberConfig, *api.Problem) {
	of := map[string]settings.MemberConfig{}
	for _, m := range next.Members {
		if l.byName(m.Name) == nil {
			return nil, noMember(m.Name, l.memberNames())
		}
		if f := settings.CheckMember(m); f != nil {
			f.Key += "." + m.Name
			return nil, settingProblem(f)
		}
		of[m.Name] = m
	}
	return of, nil
}

// checkNames refuses names that are not members. Names that were configured before may stay: a primary that left comes
// back as primary.
func (l *Loop) checkNames(next settings.Config) *api.Problem {
	if next.Primary != "" && next.Primary != l.cfg.Primary && l.byName(next.Primary) == nil {
		return noMember(next.Primary, l.memberNames())
	}
	if next.Active == "" || next.Active == l.cfg.Active {
		return nil
	}
	m := l.byName(next.Active)
	what := fmt.Sprintf("set active=%s of %s", next.Active, l.cfg.Team)
	switch {
	case m == nil:
		return noMember(next.Active, l.memberNames())
	case !single(next):
		return &api.Problem{Kind: api.Conflict, What: what, Why: fmt.Sprintf("in mode %v no member stands for all",
			next.Mode), Fix: "nicteam set " + l.cfg.Team + " mode=active-backup, or balance=off"}
	case m.draining:
		return &api.Problem{Kind: api.Conflict, What: what, Why: "it leaves the team", Fix: "choose another member"}
	case !m.usable:
		return &api.Problem{Kind: api.Conflict, What: what, Why: "it is not usable: " + m.whyDown(),
			Fix: "choose a member that is up"}
	}
	return nil
}

// single reports whether one member sends everything.
func single(c settings.Config) bool { return c.Mode.OneActive(c.Balance) }

// settingProblem makes a problem of a fault.
func settingProblem(f *settings.Fault) *api.Problem {
	return &api.Problem{Kind: api.Usage, What: f.Key + ": " + f.What, Why: f.Why, Fix: f.Fix}
}

func modeProblem(k modes.Kind, err error) *api.Problem {
	return &api.Problem{Kind: api.Failed, What: fmt.Sprintf("mode %v cannot be used", k), Why: err.Error(),
		Fix: "see: nicteam help modes", Err: err}
}
