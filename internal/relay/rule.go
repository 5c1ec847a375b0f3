package relay

import (
	"slices"

	"nicteam/internal/frame"
	"nicteam/modes"
)

// rule is a Plan in force, and what is looked up in it a frame.
type rule struct {
	*modes.Plan
	own []frame.MAC // Plan.Own, sorted
}

func newRule(pl *modes.Plan) *rule {
	own := slices.Clone(pl.Own)
	slices.Sort(own)
	return &rule{Plan: pl, own: own}
}

func (u *rule) isOwn(m frame.MAC) bool {
	_, ok := slices.BinarySearch(u.own, m)
	return ok
}

func (u *rule) isBehind(m frame.MAC) bool {
	if len(u.Behind) == 0 {
		return false
	}
	_, ok := slices.BinarySearch(u.Behind, m)
	return ok
}
