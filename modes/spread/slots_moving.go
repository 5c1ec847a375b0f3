package spread

import (
	"sync/atomic"
	"time"
)

// How slots go from one member to another (Plan.From). A frame that leaves by another member than the one before it
// may arrive first, for two members' queues are never of the same length. So while From is there a slot that From and
// Slots give to two members goes over at the moment when nothing of it can be under way by the one in From, and this is a
// matter of the slot alone. For a frame of such a slot:
//
//  1. The slot has gone over in this Turn: it stays with its member in Slots. It never goes back, whatever later Plans
//     of the Turn say.
//  2. The member in From may not send: it goes over, for what that had is lost or has left.
//  3. All that the slot sent by the member in From was sent under a Mark before Cleared, and so it has arrived: it goes
//     over. What was sent before the Turn began counts as sent under Mark 0.
//  4. The slot's last frame by the member in From is Skew ago: it goes over. Where it has sent nothing in this Turn that
//     counts from when the Turn began, for nobody has noted when the last frame was.
//  5. Otherwise it stays with the member in From, and when that was and under which Mark is noted.
//
// A slot that never pauses goes over by force, that is, when a Plan without From comes. As long as there is none nothing of
// this is looked at, and nothing is noted.
//
// Programs in the kernel, of which each processor runs its own, and a Picker may keep one table. So a slot is one word,
// which is changed by comparing and swapping, and that it has gone over is never overwritten.

// MigrationState is what is kept of slots that go from member to member.
type MigrationState struct {
	ID         uint64 // Plan.ID that is under way, 0 none
	Since      int64  // when it began, ns
	Generation uint32 // how many have begun: the number of this one, for numbers of Plans may come again
	_          uint32
	Slots      [SlotCount]SlotState
}

// SlotState is what is kept of a slot.
type SlotState struct {
	Last  int64  // when the member in From sent its last frame
	State uint64 // Moving.Generation in the upper half; in the lower one the Plan's Mark then, and 0 when it has gone over
}

// MaxMigration is how long slots go over at the most; then the rest goes by force.
const MaxMigration = 200 * time.Millisecond

// MarkBits is the length of the Mark in SlotState.State.
const MarkBits = 32

// follow takes over the Turn of a Plan.
func (m *MigrationState) follow(mig *Migration, now int64) {
	switch {
	case mig == nil:
		atomic.StoreUint64(&m.ID, 0)
	case m.ID != mig.ID:
		m.Since = now
		m.Generation++
		atomic.StoreUint64(&m.ID, mig.ID)
	}
}

// member returns the member for a frame of slot s, and notes that it was sent.
func (m *MigrationState) member(pl *Plan, s int, now int64) uint8 {
	mig := pl.Slots.Migration
	from, to := mig.From[s], pl.Slots.Members[s]
	if from == to {
		return to
	}
	slot := &m.Slots[s]
	turn := uint64(m.Generation) << MarkBits
	was := atomic.LoadUint64(&slot.State)
	last, mark := m.Since, uint32(0)
	if was&^(1<<MarkBits-1) == turn {
		last, mark = slot.Last, uint32(was)
		if mark == 0 {
			return to
		}
	}
	if !pl.Distributing.Has(int(from)) || mark < mig.Cleared[from] || now-last >= int64(mig.Pause) {
		atomic.StoreUint64(&slot.State, turn)
		return to
	}
	slot.Last = now
	if next := turn | uint64(mig.Mark); next != was && !atomic.CompareAndSwapUint64(&slot.State, was, next) &&
		atomic.LoadUint64(&slot.State) == turn {
		return to // another has found that it may go over
	}
	return from
}
