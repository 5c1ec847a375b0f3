package team

import "nicteam/modes"

// speed is what the adapter can carry, as `ethtool` shows it: of all members that may send together, of one where one has all,
// and where each sends everything of the slowest. 0 is unknown.
func (l *Loop) speed() uint64 {
	if l.plan == nil {
		return 0
	}
	var sum, least uint64
	for _, m := range l.members {
		bps := m.state.Link.SpeedBps
		if !m.known || !m.state.Up || m.absent || bps == 0 || !l.plan.Distributing.Has(m.id) {
			continue
		}
		if l.plan.Spread == modes.SpreadSingle && m.id != l.plan.Single {
			continue
		}
		sum += bps
		if least == 0 || bps < least {
			least = bps
		}
	}
	if l.plan.Spread == modes.SpreadBroadcast {
		return least
	}
	return sum
}
