package team

import "time"

// refused notes that a member's NIC takes in nothing for other addresses than its own, as Wi-Fi does not, so that the
// next Plan gives it none. The member is as good as before for everything else.
func (l *Loop) refused(now time.Time, c Control, out *Output) {
	m := l.byID(c.Member)
	if m == nil || m.refusal != "" {
		return
	}
	m.info.OwnMAC, m.refusal, l.dirty = true, c.Err.Error(), true
	l.event(out, now, "addresses-refused", m.link.Name, "it takes in frames for its own address only: "+m.refusal)
}

// complain has a warning stand for as long as the Plan wants of a NIC what that has refused: some modes know no
// other way.
func (l *Loop) complain() {
	for _, m := range l.members {
		if m.refusal == "" {
			continue
		}
		key := "filter " + m.link.Name
		delete(l.warned, key)
		if l.plan != nil && len(l.plan.Filter[m.id]) > 0 {
			l.warned[key] = m.link.Name + " takes in frames for its own address only, and mode " + l.cfg.Mode.String() + " needs more: " + m.refusal
		}
	}
}

// groupsRefused has a warning stand while a member's NIC takes in groups otherwise than the Plan wants.
func (l *Loop) groupsRefused(c Control) {
	m := l.byID(c.Member)
	if m == nil {
		return
	}
	delete(l.warned, "groups "+m.link.Name)
	if c.Err != nil {
		l.warned["groups "+m.link.Name] = m.link.Name + " " + c.Err.Error()
	}
}
