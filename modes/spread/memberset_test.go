// SPDX-License-Identifier: MIT

package spread

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMemberSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ids := rapid.SliceOfNDistinct(rapid.IntRange(0, MaxMembers-1), 0, MaxMembers, rapid.ID).Draw(t, "ids")
		var s MemberSet
		for _, id := range ids {
			s = s.With(id)
		}
		least := -1
		for id := range MaxMembers {
			if s.Has(id) != slices.Contains(ids, id) {
				t.Errorf("%b has %d: %v", s, id, s.Has(id))
			}
			if s.Has(id) && least < 0 {
				least = id
			}
			if s.Without(id).Has(id) {
				t.Errorf("%b without %d has it", s, id)
			}
		}
		if s.Len() != len(ids) || s.First() != least {
			t.Errorf("%b: length %d, first %d", s, s.Len(), s.First())
		}
	})
}
