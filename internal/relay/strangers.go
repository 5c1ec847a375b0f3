package relay

import (
	"nicteam/internal/frame"
	"nicteam/team"
)

// strangers are the stations told of since the Plan in force came. It belongs to one goroutine.
type strangers struct {
	under    *Rule
	stations [64]frame.Station
	n        int
}

// met tells of s, whose address is unicast, once a rule, and of so many a rule only: the control loop answers with a
// new Plan.
func (l *strangers) met(n *news, u *Rule, s frame.Station) {
	if l.under != u {
		l.under, l.n = u, 0
	}
	for _, known := range l.stations[:l.n] {
		if known == s {
			return
		}
	}
	if l.n == len(l.stations) {
		return
	}
	if n.tell(team.Control{Kind: team.ControlBehind, Member: -1, Station: s}) {
		l.stations[l.n] = s
		l.n++
	}
}
