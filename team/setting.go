package team

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
)

// change puts another configuration in force, or refuses it before anything is changed.
func (l *Loop) change(now time.Time, next settings.Config, out *Output) *api.Problem {
	if p := checkLive(next); p != nil {
		return p
	}
	of, p := l.settingsOf(next)
	if p != nil {
		return p
	}
	if p := l.checkNames(next); p != nil {
		return p
	}
	if p := l.checkTwins(next); p != nil {
		return p
	}
	// A wish for an active member ends with the mode that has one.
	if next.Active == l.cfg.Active && !single(next) {
		next.Active = ""
	}
	was := l.cfg
	// 802.3ad takes balance as it comes: partners are not to notice.
	if next.Mode != was.Mode || next.Balance != was.Balance && next.Mode != modes.LACP {
		l.cfg = next
		m, err := l.newMode(l.settings())
		if err != nil {
			l.cfg = was
			return modeProblem(next.Mode, err)
		}
		l.replaceMode(now, m, out)
	}
	// What only moves in with a new process stays as it is.
	next.Team, next.Members = was.Team, was.Members
	l.cfg, l.dirty = next, true
	for _, m := range l.members {
		m.debounce.UpDelay, m.debounce.DownDelay = next.UpDelay, next.DownDelay
	}
	if next.Mode != was.Mode {
		l.event(out, now, "mode-changed", "", fmt.Sprintf("%v, was %v", next.Mode, was.Mode))
	}
	for i, s := range shown(next) {
		if old := shown(was)[i]; s != old {
			l.event(out, now, "setting-changed", "", fmt.Sprintf("%s=%s, was %s", s.key, orNothing(s.value), orNothing(old.value)))
		}
	}
	for _, m := range l.members {
		c, ok := of[m.link.Name]
		if ok && c.Weight != m.weight {
			l.event(out, now, "setting-changed", m.link.Name, fmt.Sprintf("weight=%v, was %v", c.Weight, m.weight))
			m.weight, m.rate = c.Weight, rate{}
		}
		if ok && c.PortPriority != m.priority {
			l.event(out, now, "setting-changed", m.link.Name, fmt.Sprintf("port_priority=%d, was %d", c.PortPriority, m.priority))
			m.priority = c.PortPriority
		}
	}
	return nil
}

// settingsOf are those that next gives to single members.
func (l *Loop) settingsOf(next settings.Config) (map[string]settings.MemberConfig, *api.Problem) {
	of := map[string]settings.MemberConfig{}
	for _, m := range next.Members {
		if l.byName(m.Name) == nil {
			return nil, noMember(m.Name, l.names())
		}
		if !(m.Weight > 0 && m.Weight <= 1e6) { // written so that NaN is refused
			return nil, wrong("weight."+m.Name, fmt.Sprint(m.Weight), "a weight is above 0 and at most 1000000")
		}
		of[m.Name] = m
	}
	return of, nil
}

// checkNames refuses names of members that are none. What was there before may stay: a primary
// that left comes back as primary.
func (l *Loop) checkNames(next settings.Config) *api.Problem {
	if next.Primary != "" && next.Primary != l.cfg.Primary && l.byName(next.Primary) == nil {
		return noMember(next.Primary, l.names())
	}
	if next.Active == "" || next.Active == l.cfg.Active {
		return nil
	}
	m := l.byName(next.Active)
	what := fmt.Sprintf("set active=%s of %s", next.Active, l.cfg.Team)
	switch {
	case m == nil:
		return noMember(next.Active, l.names())
	case !single(next):
		return &api.Problem{Code: api.Conflict, What: what, Why: fmt.Sprintf("in mode %v no member stands for all", next.Mode), Fix: "nicteam set " + l.cfg.Team + " mode=active-backup, or balance=off"}
	case m.draining:
		return &api.Problem{Code: api.Conflict, What: what, Why: "it leaves the team", Fix: "choose another member"}
	case !m.usable:
		return &api.Problem{Code: api.Conflict, What: what, Why: "it is not usable: " + m.why(), Fix: "choose a member that is up"}
	}
	return nil
}

// single reports whether one member sends everything.
func single(c settings.Config) bool { return c.Mode == modes.ActiveBackup || !c.Balance }

// checkLive refuses live settings that make no sense.
func checkLive(c settings.Config) *api.Problem {
	between := func(key string, n, low, high int) *api.Problem {
		if n < low || n > high {
			return wrong(key, strconv.Itoa(n), fmt.Sprintf("allowed is %d to %d", low, high))
		}
		return nil
	}
	lasting := func(key string, d, high time.Duration) *api.Problem {
		if d < 0 || d > high {
			return wrong(key, d.String(), fmt.Sprintf("allowed is 0s to %v", high))
		}
		return nil
	}
	if m := c.LACP.System; m.Multicast() {
		return wrong("lacp_system", m.String(), "a system has the address of one station")
	}
	for _, p := range []*api.Problem{
		between("min_members", c.MinMembers, 0, modes.MaxMembers),
		between("packets_per_member", c.PacketsPerMember, 0, 65535),
		between("announce_count", c.AnnounceCount, 0, 255),
		between("hash", int(c.Hash), 0, int(modes.VLANSrcMAC)),
		between("ad_select", int(c.LACP.Select), 0, int(lacp.PortPriority)),
		between("lacp_key", int(c.LACP.Key), 0, 1023),
		between("primary_reselect", int(c.PrimaryReselect), 0, int(modes.ReselectFailure)),
		lasting("up_delay", c.UpDelay, time.Hour),
		lasting("down_delay", c.DownDelay, time.Hour),
		lasting("announce_interval", c.AnnounceInterval, time.Minute),
		lasting("gain", c.Gain, time.Second),
		lasting("skew", c.Skew, time.Second),
		lasting("rebalance", c.Rebalance, time.Hour),
	} {
		if p != nil {
			return p
		}
	}
	return nil
}

func wrong(key, value, why string) *api.Problem {
	return &api.Problem{Code: api.Usage, What: fmt.Sprintf("%s=%s is out of range", key, value), Why: why, Fix: "nicteam help set lists what is allowed"}
}

func modeProblem(k modes.Kind, err error) *api.Problem {
	return &api.Problem{Code: api.Failed, What: fmt.Sprintf("mode %v cannot be used", k), Why: err.Error(), Fix: "see: nicteam help modes", Err: err}
}

func settingsStatus(c settings.Config) api.Settings {
	return api.Settings{Hash: c.Hash.String(), Primary: c.Primary, PrimaryReselect: c.PrimaryReselect.String(), Match: c.Match.String(),
		UpDelay: c.UpDelay.Nanoseconds(), DownDelay: c.DownDelay.Nanoseconds(), PacketsPerMember: c.PacketsPerMember,
		MinMembers: c.MinMembers, ReceiveBalance: c.ReceiveBalance, Gain: c.Gain.Nanoseconds(), Skew: c.Skew.Nanoseconds(),
		Rebalance: c.Rebalance.Nanoseconds(), AnnounceCount: c.AnnounceCount,
		AnnounceInterval: c.AnnounceInterval.Nanoseconds(), LinkWatch: strings.Join(c.LinkWatch, ","),
		Datapath: c.Datapath,
		LACPRate: lacpRate(c.LACP), LACPActive: c.LACP.Active, LACPFallback: c.LACP.Fallback, ADSelect: c.LACP.Select.String(),
		LACPSystem: lacpSystemWord(c.LACP), LACPSystemPriority: c.LACP.SystemPriority, LACPKey: c.LACP.Key}
}

type shownSetting struct{ key, value string }

// shown are the live settings as people write them, always in the same order.
func shown(c settings.Config) []shownSetting {
	return []shownSetting{
		{"match", c.Match.String()},
		{"balance", onOff(c.Balance)},
		{"hash", c.Hash.String()},
		{"primary", c.Primary},
		{"primary_reselect", c.PrimaryReselect.String()},
		{"active", c.Active},
		{"packets_per_member", strconv.Itoa(c.PacketsPerMember)},
		{"receive_balance", onOff(c.ReceiveBalance)},
		{"gain", c.Gain.String()},
		{"skew", c.Skew.String()},
		{"rebalance", c.Rebalance.String()},
		{"min_members", strconv.Itoa(c.MinMembers)},
		{"up_delay", c.UpDelay.String()},
		{"down_delay", c.DownDelay.String()},
		{"announce_count", strconv.Itoa(c.AnnounceCount)},
		{"announce_interval", c.AnnounceInterval.String()},
		{"lacp_rate", lacpRate(c.LACP)},
		{"lacp_active", onOff(c.LACP.Active)},
		{"lacp_fallback", onOff(c.LACP.Fallback)},
		{"ad_select", c.LACP.Select.String()},
		{"lacp_system", lacpSystemWord(c.LACP)},
		{"lacp_system_priority", strconv.Itoa(int(c.LACP.SystemPriority))},
		{"lacp_key", strconv.Itoa(int(c.LACP.Key))},
		{"datapath", c.Datapath},
	}
}

func lacpRate(s modes.LACPSettings) string {
	if s.Fast {
		return "fast"
	}
	return "slow"
}

func lacpSystemWord(s modes.LACPSettings) string {
	if s.System == 0 {
		return "auto"
	}
	return s.System.String()
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}

func orNothing(s string) string {
	if s == "" {
		return "not set"
	}
	return s
}
