// SPDX-License-Identifier: MIT

package spread

// A member that returns after a failure gets flows of few slots at first and of more and more later: of those whose
// rank for the member is high enough in its last eight bits. So the slots that it gets are as many of those that it
// would have, busy or idle, as of all. A slot that is closed goes there only if it is closed for all other targets as
// well.

// Returning returns the members that do not get all slots yet.
func (pl *Plan) Returning() (set MemberSet) {
	if pl.Shortest == nil {
		return 0
	}
	for id, closed := range pl.Shortest.Closed {
		if closed > 0 && pl.Distributing.Has(id) {
			set = set.With(id)
		}
	}
	return set
}

// ClosedTo returns the members that a slot of the flow table does not go to yet.
func (pl *Plan) ClosedTo(slot int) (set MemberSet) {
	for left := pl.Returning(); left != 0; left = left.Without(left.First()) {
		if id := left.First(); isClosed(slot, id, pl.Shortest.Closed[id]) {
			set = set.With(id)
		}
	}
	return set
}

// isClosed reports whether a slot does not go to a member of which so many 256ths are closed.
func isClosed(slot, id int, closed uint8) bool {
	return closed > 0 && uint8(flowRank(slot, id)) < closed
}

// shutSet are members that a slot goes to only if there is no other.
type shutSet MemberSet

// shut returns the targets that are closed for a slot.
func (s *shortest) shut(slot int) (set shutSet) {
	if !s.returning {
		return 0
	}
	for _, id := range s.targetIDs[:s.targetN] {
		if isClosed(slot, int(id), s.plan.Shortest.Closed[id]) {
			set |= 1 << id
		}
	}
	return set
}

// delay makes the queue of a member in the set longer than any other.
func (s shutSet) delay(id uint8) int64 { return int64(s>>id&1) * maxAhead }
