package modes

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// A member that receives and sends nothing is where it is only as far as switches remember. One frame that somebody else
// sends in its name, and what is for it goes elsewhere, until it sends again or the switch forgets, which takes minutes.
// So while frames move, members that peers were given and that have sent nothing for silentTime send learning frames.
const silentTime = 5 * time.Second

// silence notes since when each member has sent nothing.
type silence struct {
	sent  [spread.MaxMembers]uint64    // bytes, in all
	since [spread.MaxMembers]time.Time // sent has been that; zero: not known
}

// measured returns the members of a set that have been silent for silentTime, and counts anew for them.
func (s *silence) measured(now time.Time, f *spread.FlowTable, members spread.MemberSet) (silent spread.MemberSet) {
	sent := sentBy(f)
	for id := range sent {
		switch {
		case sent[id] != s.sent[id] || !members.Has(id) || s.since[id].IsZero():
			s.sent[id], s.since[id] = sent[id], now
		case now.Sub(s.since[id]) >= silentTime:
			s.since[id] = now
			silent = silent.With(id)
		}
	}
	return silent
}

// sentBy is how many bytes of data members have sent, by a flow table; nil is that of a team that has sent none.
func sentBy(f *spread.FlowTable) (sent [spread.MaxMembers]uint64) {
	if f == nil {
		return sent
	}
	for id := range sent {
		sent[id] = f.Members[id].Fixed
	}
	for i := range f.Slots {
		if w := &f.Slots[i]; w.Until != 0 {
			sent[w.Member%spread.MaxMembers] += w.Bytes
		}
	}
	return sent
}

// homesOf are the addresses that are at home with members.
func (e *elb) homesOf(members spread.MemberSet) map[frame.MAC]int {
	homes := map[frame.MAC]int{}
	for m, id := range e.homes {
		if members.Has(id) {
			homes[m] = id
		}
	}
	return homes
}
