// SPDX-License-Identifier: MIT

package modes

import (
	"maps"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// Learning frames (RARP broadcasts) teach switches by which port a MAC is reached.

// learningFrames returns the learning frames of MACs, each by its owner.
func (e *elb) learningFrames(owners map[frame.MAC]int) (sends []spread.Send) {
	for _, m := range slices.Sorted(maps.Keys(owners)) {
		if !e.inUse[m] && slices.ContainsFunc(e.st.Members, func(mem Member) bool { return mem.MAC == m }) {
			continue // of a member that joins: its adopter's frame could overtake its own
		}
		sends = append(sends, spread.Send{Member: owners[m], Frame: frame.RARP(m, 0)})
	}
	return sends
}

// learnBehind returns learning frames of stations behind the adapter that are new: until now the active member has sent
// for them, and switches have learnt that.
func (e *elb) learnBehind(was *State) (sends []spread.Send) {
	for _, s := range e.st.Behind {
		if _, known := slices.BinarySearch(was.Behind, s); known {
			continue
		}
		if id := e.plan.Pin(s.MAC()); id >= 0 && id != e.active {
			sends = append(sends, spread.Send{Member: id, Frame: frame.RARP(s.MAC(), s.VLAN())})
		}
	}
	return sends
}

// Learning frames of a member that is back are repeated after these times. A switch's port forwards nothing for a
// moment after its link has come up, a Linux bridge's for up to a second, and the first one is lost: frames for the MAC
// would go on to its adopter, which does not accept them any more.
const (
	relearnFirst  = time.Second
	relearnSecond = 3 * time.Second
)

// relearn has the MACs that their own members took back a moment ago.
type relearn struct {
	macs  map[frame.MAC]bool
	since time.Time // the last of them
	at    time.Time // of the next repetition, zero for none
}

// add notes that a member has its MAC back.
func (r *relearn) add(now time.Time, m frame.MAC) {
	if r.macs == nil {
		r.macs = map[frame.MAC]bool{}
	}
	r.macs[m] = true
	r.since, r.at = now, now.Add(relearnFirst)
}

// due returns the MACs to repeat now, with their owners.
func (r *relearn) due(now time.Time, owners map[frame.MAC]int) map[frame.MAC]int {
	if r.at.IsZero() || now.Before(r.at) {
		return nil
	}
	again := map[frame.MAC]int{}
	for m := range r.macs {
		if id, ok := owners[m]; ok {
			again[m] = id
		}
	}
	if second := r.since.Add(relearnSecond); now.Before(second) {
		r.at = second
	} else {
		*r = relearn{}
	}
	return again
}

// silentTime is how long a member that peers send to may send nothing. Switches forget it after minutes, or learn its
// MAC elsewhere by one forged frame, and learn it again only when it sends. So while frames move, such members send
// learning frames.
const silentTime = 5 * time.Second

// silence notes since when each member has sent nothing.
type silence struct {
	sent  [spread.MaxMembers]uint64    // bytes, in all
	since [spread.MaxMembers]time.Time // sent has been that; zero: not known
}

// update returns those of members that have been silent for silentTime, and counts anew for them.
func (s *silence) update(now time.Time, f *spread.FlowTable, members spread.MemberSet) (silent spread.MemberSet) {
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

// sentBy returns how many bytes members have sent, in all, by a flow table; f is nil where nothing was sent.
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
