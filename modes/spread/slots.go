// SPDX-License-Identifier: MIT

package spread

import (
	"math"
	"sync/atomic"
)

// AssignSlots gives every slot to a member by weighted rendezvous hashing (Thaler and Ravishankar 1998; weights by the
// logarithm method, Schindelhauer and Schomaker 2005): the slot belongs to the member with the least -ln(u)/share,
// where u in (0,1) follows from slot and member. No score depends on other members. So a member that leaves moves only
// its own slots, to all others in proportion to their shares, and one that joins takes only slots that it keeps.
func AssignSlots(shares *[MaxMembers]uint32) []uint8 {
	slots := make([]uint8, SlotCount)
	for s := range slots {
		slots[s] = AssignSlot(s, shares)
	}
	return slots
}

// AssignStandIns is AssignSlots, and returns the members that the slots would go to without their own as well.
func AssignStandIns(shares *[MaxMembers]uint32) (slots, standIns []uint8) {
	slots, standIns = make([]uint8, SlotCount), make([]uint8, SlotCount)
	var least, next [SlotCount]float64
	for s := range slots {
		slots[s], standIns[s], least[s], next[s] = NoMember, NoMember, math.Inf(1), math.Inf(1)
	}
	// As firstTwo, one member after the other.
	for id, share := range shares {
		if share == 0 {
			continue
		}
		of, by := drawsOf(id), float64(share)
		for s := range slots {
			switch score := of[s] / by; {
			case score < least[s]:
				standIns[s], next[s] = slots[s], least[s]
				slots[s], least[s] = uint8(id), score
			case score < next[s]:
				standIns[s], next[s] = uint8(id), score
			}
		}
	}
	return slots, standIns
}

// AssignSlot returns the member of a slot, NoMember if no share is left.
func AssignSlot(slot int, shares *[MaxMembers]uint32) uint8 {
	first, _ := firstTwo(slot, shares)
	return first
}

// firstTwo returns the member of a slot, and the one that the slot would go to without it.
func firstTwo(slot int, shares *[MaxMembers]uint32) (first, second uint8) {
	first, second = NoMember, NoMember
	least, next := math.Inf(1), math.Inf(1)
	for id, share := range shares {
		if share == 0 {
			continue
		}
		switch score := drawsOf(id)[slot] / float64(share); {
		case score < least:
			second, next = first, least
			first, least = uint8(id), score
		case score < next:
			second, next = uint8(id), score
		}
	}
	return first, second
}

// draws has -ln(u) of each slot, by member, from its first use on: a Plan of 64 members needs them all, and a failover
// waits for that Plan.
var draws [MaxMembers]atomic.Pointer[[SlotCount]float64]

func drawsOf(id int) *[SlotCount]float64 {
	if d := draws[id].Load(); d != nil {
		return d
	}
	d := new([SlotCount]float64)
	for slot := range d {
		d[slot] = -math.Log(draw(slot, id))
	}
	draws[id].Store(d)
	return d
}

// draw returns a number in (0,1), the same for a slot and a member every time.
func draw(slot, id int) float64 {
	h := finish(mix(hashStart, uint64(slot)<<8|uint64(id)))
	return (float64(h>>11) + 0.5) / (1 << 53)
}
