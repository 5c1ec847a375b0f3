package relay

import (
	"fmt"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
	"nicteam/team"
)

// groupSetter is what a NIC's socket can be asked for groups.
type groupSetter interface {
	AddGroups(groups []frame.MAC) error
	TrimGroups(groups []frame.MAC) error
	SetAllMulti(on bool) error
}

var _ groupSetter = (*nic.Socket)(nil)

// groupFilter is how a member's NIC takes in groups. The groups' goroutine owns it.
type groupFilter struct {
	refused error // of the multicast list: from then on the NIC is asked for all groups
	told    error // as the control loop knows it
}

// setGroups has NICs take in the groups that the rule in force wants. It has a goroutine of its own, because many groups
// take long, and a unicast address that another member inherits must not wait for that.
func (r *Relay) setGroups() {
	u := r.rule.Load()
	// Who is to be ready, first; what the others need no more has time.
	for _, wanted := range []bool{true, false} {
		for m := range r.joined {
			if u.GroupMembers.Has(m.id) != wanted {
				continue
			}
			var groups []frame.MAC
			if wanted {
				groups = u.Groups
			}
			r.tellGroups(m, m.groups.set(m.socket, groups, wanted && u.AllMulti))
		}
	}
}

// set has a NIC take in these groups, or all of them. The error says how it takes in groups instead, and why.
func (f *groupFilter) set(s groupSetter, groups []frame.MAC, all bool) error {
	if f.refused == nil {
		f.refused = s.AddGroups(groups)
	}
	all = all || f.refused != nil && len(groups) > 0
	if err := s.SetAllMulti(all); all && err != nil {
		if gone(err) {
			return nil
		}
		return fmt.Errorf("does not take in groups, so neither IPv6 nor multicast reach the team by it: %w", err)
	}
	if err := s.TrimGroups(groups); err != nil && !gone(err) {
		return fmt.Errorf("takes in groups that the team has left: %w", err)
	}
	if f.refused != nil && len(groups) > 0 && !gone(f.refused) {
		return fmt.Errorf("takes in all groups, which costs processor time, because it refused some: %w", f.refused)
	}
	return nil
}

// tellGroups tells the control loop what has changed in how a NIC takes in groups.
func (r *Relay) tellGroups(m *member, err error) {
	if f := &m.groups; fmt.Sprint(err) != fmt.Sprint(f.told) && r.news.tell(team.Control{Kind: team.ControlGroups, Member: m.id, Err: err}) {
		f.told = err
	}
}
