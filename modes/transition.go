package modes

import (
	"slices"
	"time"

	"nicteam/modes/spread"
)

// Slots of SpreadSlots are given out anew when a member comes, leaves in order or gets another weight. The flows of a
// slot that goes from one working member to another would overtake themselves if it went at once, so the Plan says for
// a while both where it was, in From, and where it is to go, in Slots; the data path has each slot go over as soon as
// nothing of it can be under way by its old member:
//
//	shares differ → From = old, Slots = new, another Turn ─┬─ each slot pauses for Skew, or its old member is cleared
//	                                                       └─ time is over → From = nil: the rest goes by force
//
// A member that may not send any more has no flows to be overtaken: what it had goes at once. Whatever else happens
// while slots go over waits until they have, so that it is always known where each of them was.

// Bounds of a going over.
const (
	// A drain must be over sooner: its member leaves as soon as nothing has come by it for a moment, and a partner is
	// to be told before.
	goingOverDrain = 50 * time.Millisecond // what goes over when it begins is given half of that
	// queueTime is the most that waits for a member as a rule, and so for how long what it was given last may be on its way
	// before it so much as leaves: the relay bounds it to some 15 ms of what the member carries, NICs by their own queues.
	queueTime = 20 * time.Millisecond
	// askAgain is the pause between two markers by a member. Partners answer but a few a second.
	askAgain = 40 * time.Millisecond
)

// transition has slots go from member to member. The zero value is ready; nobody has a slot in it.
type transition struct {
	shares  [spread.MaxMembers]uint32 // by which slots are given out
	slots   []uint8                   // nil: nobody may send. Plans have it, so it is never changed
	from    []uint8                   // where they were; nil: nothing goes over. The same
	old     spread.MemberSet          // who has slots in from that go to another one
	sharers spread.MemberSet          // who has a share
	holders spread.MemberSet          // who has a share, or is one of old

	turn    uint64
	until   time.Time // when the rest goes over by force
	mark    uint32
	cleared [spread.MaxMembers]uint32
	asked   [spread.MaxMembers]uint32 // the mark of the marker that is under way, 0 none
	again   time.Time                 // when the next markers are due
}

// resume begins where another mode's Plan has the slots, if it hashes alike.
func (t *transition) resume(before *spread.Plan, s *Settings) {
	if before == nil {
		return
	}
	if m := before.Migration(); m != nil {
		t.turn = max(t.turn, m.ID)
	}
	if before.Rule == spread.RuleSlots && before.Hash == (spread.Hash{Policy: s.Hash, Salt: s.Salt}) {
		t.shares, t.slots = before.Weights, before.Slots.Members
		t.count()
	}
}

// aim has the slots be as shares give them out, as soon as that can be. may are those that may send, be it only what
// has not gone over yet; draining are those that leave. Somebody has a share.
func (t *transition) aim(now time.Time, shares *[spread.MaxMembers]uint32, may, draining spread.MemberSet) {
	if t.from != nil && t.sharers&draining != 0 {
		t.until = earlier(t.until, now.Add(goingOverDrain/2))
	}
	if t.from != nil && !now.Before(t.until) {
		t.from = nil
	}
	if t.from != nil && t.holders&^may != 0 {
		t.bury(may)
	}
	if t.from == nil && (t.slots == nil || *shares != t.shares) {
		t.begin(now, shares, may, draining)
	}
	t.count()
}

// stop takes the slots from all: nobody may send.
func (t *transition) stop() {
	t.shares, t.slots, t.from = [spread.MaxMembers]uint32{}, nil, nil
	t.count()
}

// begin gives the slots out anew.
func (t *transition) begin(now time.Time, shares *[spread.MaxMembers]uint32, may, draining spread.MemberSet) {
	to := spread.AssignSlots(shares)
	from, old := slices.Clone(to), spread.MemberSet(0)
	for s, was := range t.slots {
		if was != to[s] && was != spread.NoMember && may.Has(int(was)) {
			from[s], old = was, old.With(int(was))
		}
	}
	t.shares, t.slots = *shares, to
	if old == 0 {
		return
	}
	if t.turn == 0 {
		// What a data path remembers may be older than this process.
		t.turn = uint64(now.UnixMilli())
	}
	t.from, t.turn, t.until = from, t.turn+1, now.Add(spread.MaxMigration)
	if old&^draining == 0 {
		t.until = now.Add(goingOverDrain)
	}
	t.mark, t.again = 0, now
	t.cleared, t.asked = [spread.MaxMembers]uint32{}, [spread.MaxMembers]uint32{}
}

// bury takes slots from members that may not send any more, while others go over.
func (t *transition) bury(may spread.MemberSet) {
	for id := range t.shares {
		if !may.Has(id) {
			t.shares[id] = 0
		}
	}
	if t.shares == [spread.MaxMembers]uint32{} {
		t.slots, t.from = nil, nil
		return
	}
	to, from := slices.Clone(t.slots), slices.Clone(t.from)
	for s := range to {
		stays := from[s] == to[s]
		if !may.Has(int(to[s])) {
			to[s] = spread.AssignSlot(s, &t.shares)
		}
		if stays || !may.Has(int(from[s])) {
			from[s] = to[s]
		}
	}
	t.slots, t.from = to, from
	if slices.Equal(from, to) {
		t.from = nil
	}
}

// count finds who has what.
func (t *transition) count() {
	t.old, t.sharers = 0, 0
	for id, share := range t.shares {
		if share > 0 {
			t.sharers = t.sharers.With(id)
		}
	}
	for s, id := range t.from {
		if t.slots[s] != id {
			t.old = t.old.With(int(id))
		}
	}
	t.holders = t.sharers | t.old
}

// ask returns the members by which a marker is to be sent as soon as the Plan that put makes next is in force.
func (t *transition) ask(now time.Time) (set spread.MemberSet) {
	if t.from == nil || now.Before(t.again) {
		return 0
	}
	t.again = now.Add(askAgain)
	for left := t.old; left != 0; left = left.Without(left.First()) {
		// Who does not answer is not asked twice.
		if id := left.First(); t.asked[id] == 0 {
			set = set.With(id)
		}
	}
	if set != 0 {
		t.mark++
	}
	for left := set; left != 0; left = left.Without(left.First()) {
		t.asked[left.First()] = t.mark
	}
	return set
}

// unasked notes that a member was not asked after all, as that would have been too often.
func (t *transition) unasked(id int) { t.asked[id] = noMark }

// noMark is that of a marker which is never answered.
const noMark = ^uint32(0)

// flushed notes that a member's marker was answered: what it sent under Marks before the marker's has arrived.
func (t *transition) flushed(id int) {
	if t.from != nil && t.asked[id] != 0 && t.asked[id] != noMark {
		t.cleared[id], t.asked[id] = t.asked[id], 0
	}
}

// put has pl spread by the slots. Members of also have none yet.
func (t *transition) put(pl *spread.Plan, also spread.MemberSet, skew time.Duration) {
	pl.Rule, pl.Slots, pl.Weights = spread.RuleSlots, &spread.SlotTable{Members: t.slots}, t.shares
	pl.Distributing = t.holders | also
	if t.from == nil {
		return
	}
	if skew <= 0 {
		skew = spread.DefaultSkew
	}
	pl.Slots.Migration = &spread.Migration{From: t.from, ID: t.turn, Mark: max(t.mark, 1), Cleared: t.cleared, Pause: skew + queueTime}
}

// deadline is when aim is wanted again, zero for never.
func (t *transition) deadline() time.Time {
	if t.from == nil {
		return time.Time{}
	}
	return t.until
}

// asks is when ask is wanted again, zero for never.
func (t *transition) asks() time.Time {
	if t.from == nil {
		return time.Time{}
	}
	return t.again
}

// earlier is the earlier one of two times, of which either may be zero for never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
