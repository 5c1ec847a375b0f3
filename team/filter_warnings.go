// SPDX-License-Identifier: MIT

package team

import "time"

// filterRefused marks a member whose NIC accepts frames for its own address only (Wi-Fi), so that the next Plan gives
// it no others. It is as good as before for everything else.
func (l *Loop) filterRefused(now time.Time, c Control, out *Output) {
	m := l.byID(c.Member)
	if m == nil || m.filterRefusal != "" {
		return
	}
	m.info.OwnMAC, m.filterRefusal, l.dirty = true, c.Err.Error(), true
	l.addEvent(out, now, "addresses-refused", m.link.Name,
		"it accepts frames for its own address only: "+m.filterRefusal)
}

// syncFilterWarnings warns of each member whose NIC refuses an address that the Plan needs: some modes have no other
// way.
func (l *Loop) syncFilterWarnings() {
	for _, m := range l.members {
		if m.filterRefusal == "" {
			continue
		}
		key := "filter " + m.link.Name
		delete(l.warnings, key)
		if l.plan != nil && len(l.plan.Filter[m.id]) > 0 {
			l.warnings[key] = m.link.Name + " accepts frames for its own address only, and mode " +
				l.cfg.Mode.String() + " needs more: " + m.filterRefusal
		}
	}
}

// syncGroupWarning warns while a member's NIC does not filter groups as the Plan wants.
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
