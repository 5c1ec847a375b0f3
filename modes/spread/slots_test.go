// SPDX-License-Identifier: MIT

package spread

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawShares draws shares for a few members.
func drawShares(t *rapid.T, least int) (shares [MaxMembers]uint32, ids []int) {
	ids = rapid.SliceOfNDistinct(rapid.IntRange(0, MaxMembers-1), least, 8, rapid.ID).Draw(t, "ids")
	for _, id := range ids {
		shares[id] = uint32(rapid.IntRange(1, MaxShare).Draw(t, "share"))
	}
	return shares, ids
}

// Losing a member moves its slots and no other; adding one moves slots only to it. All others
// keep theirs, whatever the shares.
func TestSlotsMoveOnlyWhatMust(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shares, ids := drawShares(t, 1)
		with := AssignSlots(&shares)
		gone := rapid.SampledFrom(ids).Draw(t, "gone")
		shares[gone] = 0
		without := AssignSlots(&shares)
		for s := range with {
			if with[s] != uint8(gone) && with[s] != without[s] {
				t.Errorf("slot %d went from %d to %d when %d was lost", s, with[s], without[s], gone)
			}
			if without[s] == uint8(gone) {
				t.Errorf("slot %d is still with %d", s, gone)
			}
		}
	})
}

// A larger share only ever attracts slots.
func TestSlotsFollowShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		shares, ids := drawShares(t, 2)
		before := AssignSlots(&shares)
		up := rapid.SampledFrom(ids).Draw(t, "up")
		shares[up] *= 2
		after := AssignSlots(&shares)
		for s := range before {
			if before[s] != after[s] && after[s] != uint8(up) {
				t.Errorf("slot %d went from %d to %d when %d got a larger share", s, before[s], after[s], up)
			}
		}
	})
}

// The slots are shared out by the shares as closely as drawing lots does.
func TestSlotsAreFair(t *testing.T) {
	for _, c := range []struct {
		name   string
		shares []uint32
	}{
		{"two", []uint32{1, 1}}, {"three", []uint32{1, 1, 1}}, {"eight", []uint32{1, 1, 1, 1, 1, 1, 1, 1}},
		{"one to ten", []uint32{1, 10}}, {"mixed", []uint32{25, 10, 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// By id the draws differ: many placings of the same shares give many lots.
			var got [MaxMembers]float64
			var shares [MaxMembers]uint32
			sum, rounds := 0.0, 0
			for _, s := range c.shares {
				sum += float64(s)
			}
			for at := 0; at+len(c.shares) <= MaxMembers; at += len(c.shares) {
				shares = [MaxMembers]uint32{}
				copy(shares[at:], c.shares)
				for _, id := range AssignSlots(&shares) {
					got[int(id)-at]++
				}
				rounds++
			}
			for i, s := range c.shares {
				n := SlotCount * float64(rounds)
				p := float64(s) / sum
				if dev := math.Abs(got[i]-n*p) / math.Sqrt(n*p*(1-p)); dev > 4.5 {
					t.Errorf("member %d has %.0f of %.0f slots, want %.0f (%.1f standard deviations off)", i, got[i], n,
						n*p, dev)
				}
			}
		})
	}
}

// What a lost member leaves goes to all survivors, not to one.
func TestLostSlotsGoToAll(t *testing.T) {
	var shares [MaxMembers]uint32
	for id := range 6 {
		shares[id] = MaxShare
	}
	with := AssignSlots(&shares)
	shares[2] = 0
	without := AssignSlots(&shares)
	var heirs [6]int
	n := 0
	for s := range with {
		if with[s] == 2 {
			heirs[without[s]]++
			n++
		}
	}
	for id, got := range heirs {
		if id != 2 && (got < n/10 || got > n*3/10) {
			t.Errorf("member %d inherits %d of %d slots", id, got, n)
		}
	}
}

func TestSlotsOfNobody(t *testing.T) {
	for _, id := range AssignSlots(&[MaxMembers]uint32{}) {
		if id != NoMember {
			t.Fatalf("a slot is with %d", id)
		}
	}
}
