package relay

import (
	"fmt"
	"slices"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
	"nicteam/team"
)

// Rule is a Plan in force, and what is looked up in it a frame. Programs that receive instead of the relay go by the same one.
type Rule struct {
	*spread.Plan
	own []frame.MAC // Plan.Own without Behind, sorted
}

// NewRule makes the rule of a Plan, which must not change any more.
func NewRule(pl *spread.Plan) *Rule {
	own := slices.DeleteFunc(slices.Clone(pl.Own), func(m frame.MAC) bool { return has(pl.Behind, m) })
	slices.Sort(own)
	return &Rule{Plan: pl, own: own}
}

// IsOwn reports whether m is the adapter's or a member's: what comes from there is our own come back.
func (u *Rule) IsOwn(m frame.MAC) bool {
	_, ok := slices.BinarySearch(u.own, m)
	return ok
}

// Accepted says for whom a frame is that is to be taken in.
type Accepted uint8

// The answers.
const (
	ForNobody Accepted = iota // it is not taken in
	ForUs                     // the adapter's stack, by whatever address of ours
	ForOthers                 // a group, or who lives behind the adapter
)

// Accept decides whether member id takes in a frame of others for dst. guest is whether dst lives behind the adapter though the Plan does not have it yet.
//
// Where every member has its own address on the wire (PerMember) each address is taken in by one member only, so
// that nothing is doubled by a switch that floods.
func (u *Rule) Accept(id int, dst frame.MAC, guest bool) (Accepted, team.Drop) {
	switch {
	case !u.Collecting.Has(id):
		return ForNobody, team.DropStandby
	case dst.Multicast():
		if !u.Multicast.Has(id) {
			return ForNobody, team.DropStandby
		}
		return ForOthers, 0
	case u.isBehind(dst):
		if u.PerMember && u.Pin(dst) != id {
			return ForNobody, team.DropNotOurs
		}
		return ForOthers, 0
	case guest && u.PerMember:
		// Until the Plan has it, it is sent for by the member that takes in what is for groups.
		if !u.Multicast.Has(id) {
			return ForNobody, team.DropNotOurs
		}
		return ForOthers, 0
	case dst == u.MACs[id], slices.Contains(u.Filter[id], dst):
		return ForUs, 0
	case u.IsOwn(dst):
		return ForNobody, team.DropNotOurs
	case u.Promiscuous && (!u.PerMember || u.Multicast.Has(id)):
		return ForOthers, 0
	}
	return ForNobody, team.DropNotOurs
}

// IsFlooded reports whether a unicast frame for dst, which the member did not take in, shows a switch that does not know
// where our addresses are. A member that stands by may well be sent what is for its own address.
func (u *Rule) IsFlooded(id int, dst frame.MAC) bool {
	if u.PerMember {
		return dst != u.MACs[id] && u.IsOwn(dst) && !u.isBehind(dst)
	}
	return dst == u.Adapter && !u.Collecting.Has(id)
}

func (u *Rule) isBehind(m frame.MAC) bool { return has(u.Behind, m) }

// isStation reports whether s is known to live behind the adapter.
func (u *Rule) isStation(s frame.Station) bool { return has(u.Stations, s) }

// isAgeing reports whether the control loop wants to hear that s, which lives behind the adapter, still sends.
func (u *Rule) isAgeing(s frame.Station) bool { return has(u.Ageing, s) }

// has reports whether m is in a sorted list, which is empty most of the time.
func has[T frame.MAC | frame.Station](list []T, m T) bool {
	if len(list) == 0 {
		return false
	}
	_, ok := slices.BinarySearch(list, m)
	return ok
}

// Apply puts pl in force.
func (r *Relay) Apply(pl *spread.Plan) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fmt.Errorf("apply plan: %w", nic.ErrClosed)
	}
	was := r.rule.Swap(NewRule(pl))
	r.tx.epoch.wait()
	if pl.From != nil || was.From != nil {
		r.startMigration(pl)
	}
	for m := range r.joined {
		m.epoch.wait()
	}
	r.filters.schedule()
	r.groups.schedule()
	return nil
}

// startMigration has the Picker know when slots begin to go over, which is now and not when the next frame comes. Where
// programs transmit it is not now: they follow the Plan in a moment only, and the table is theirs.
func (r *Relay) startMigration(pl *spread.Plan) {
	// A relay that is about to be closed moves nothing any more.
	_ = r.PostWithPicker(func(p *spread.Picker, _ int64) {
		if r.rule.Load().Plan == pl && !r.tx.yielded {
			p.Follow(pl)
		}
	})
}

// joined yields the members that have joined.
func (r *Relay) joined(yield func(*member) bool) {
	for id := range r.members {
		if m := r.members[id].Load(); m != nil && !yield(m) {
			return
		}
	}
}
