package team

import "time"

// filterRefused notes that a member's NIC takes in nothing for other addresses than its own, as Wi-Fi does not, so that the
// next Plan gives it none. The member is as good as before for everything else.
func (l *Loop) filterRefused(now time.Time, c Control, out *Output) {
	m := l.byID(c.Member)
	if m == nil || m.filterRefusal != "" {
		return
	}
	m.info.OwnMAC, m.filterRefusal, l.dirty = true, c.Err.Error(), true
	l.addEvent(out, now, "addresses-refused", m.link.Name, "it takes in frames for its own address only: "+m.filterRefusal)
}

// syncFilterWarnings has a warning stand for as long as the Plan wants of a NIC what that has refused: some modes know no
// other way.
func (l *Loop) syncFilterWarnings() {
	for _, m := range l.members {
		if m.filterRefusal == "" {
			continue
		}
		key := "filter " + m.link.Name
		delete(l.warnings, key)
		if l.plan != nil && len(l.plan.Filter[m.id]) > 0 {
			l.warnings[key] = m.link.Name + " takes in frames for its own address only, and mode " + l.cfg.Mode.String() + " needs more: " + m.filterRefusal
		}
	}
}

// syncGroupWarning has a warning stand while a member's NIC takes in groups otherwise than the Plan wants.
func (l *Loop) syncGroupWarning(c Control) {
	m := l.byID(c.Member)
	if m == nil {
		return
	}
	delete(l.warnings, "groups "+m.link.Name)
	if c.Err != nil {
		l.warnings["groups "+m.link.Name] = m.link.Name + " " + c.Err.Error()
	}
}
