package relay

import (
	"slices"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/team"
)

// rule is a Plan in force, and what is looked up in it a frame.
type rule struct {
	*modes.Plan
	own []frame.MAC // Plan.Own without Behind, sorted
}

func newRule(pl *modes.Plan) *rule {
	own := slices.DeleteFunc(slices.Clone(pl.Own), func(m frame.MAC) bool { return has(pl.Behind, m) })
	slices.Sort(own)
	return &rule{Plan: pl, own: own}
}

func (u *rule) isOwn(m frame.MAC) bool {
	_, ok := slices.BinarySearch(u.own, m)
	return ok
}

// accepted says for whom a frame is that is to be taken in.
type accepted uint8

const (
	forNobody accepted = iota // it is not taken in
	forUs                     // the adapter's stack, by whatever address of ours
	forOthers                 // a group, or who lives behind the adapter
)

// accept decides whether member id, whose own address is own, takes in a frame of others for dst. guest
// is whether dst lives behind the adapter though the Plan does not have it yet.
//
// Where every member has its own address on the wire (PerMember) each address is taken in by one member only, so
// that nothing is doubled by a switch that floods.
func (u *rule) accept(id int, own, dst frame.MAC, guest bool) (accepted, team.Drop) {
	switch {
	case !u.Collecting.Has(id):
		return forNobody, team.DropStandby
	case dst.Multicast():
		if !u.Multicast.Has(id) {
			return forNobody, team.DropStandby
		}
		return forOthers, 0
	case u.isBehind(dst):
		if u.PerMember && u.Pin(dst) != id {
			return forNobody, team.DropNotOurs
		}
		return forOthers, 0
	case guest && u.PerMember:
		// Until the Plan has it, it is sent for by the member that takes in what is for groups.
		if !u.Multicast.Has(id) {
			return forNobody, team.DropNotOurs
		}
		return forOthers, 0
	case dst == own, slices.Contains(u.Filter[id], dst):
		return forUs, 0
	case u.isOwn(dst):
		return forNobody, team.DropNotOurs
	case u.Promiscuous && (!u.PerMember || u.Multicast.Has(id)):
		return forOthers, 0
	}
	return forNobody, team.DropNotOurs
}

// astray reports whether a unicast frame for dst, which the member did not take in, shows a switch that does not know
// where our addresses are. A member that stands by may well be sent what is for its own address.
func (u *rule) astray(id int, own, dst frame.MAC) bool {
	if u.PerMember {
		return dst != own && u.isOwn(dst) && !u.isBehind(dst)
	}
	return dst == u.Adapter && !u.Collecting.Has(id)
}

func (u *rule) isBehind(m frame.MAC) bool { return has(u.Behind, m) }

// isAgeing reports whether the control loop wants to hear that m, which lives behind the adapter, still sends.
func (u *rule) isAgeing(m frame.MAC) bool { return has(u.Ageing, m) }

// has reports whether m is in a sorted list, which is empty most of the time.
func has(list []frame.MAC, m frame.MAC) bool {
	if len(list) == 0 {
		return false
	}
	_, ok := slices.BinarySearch(list, m)
	return ok
}
