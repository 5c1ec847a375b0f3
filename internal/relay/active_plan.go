// SPDX-License-Identifier: MIT

package relay

import (
	"fmt"
	"slices"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
	"nicteam/modes/spread"
	"nicteam/team"
)

// ActivePlan is the Plan in force with what is looked up for each frame. Programs that receive in place of the relay
// decide as it does.
type ActivePlan struct {
	*spread.Plan
	own []frame.MAC // Plan.TeamMACs without Behind, sorted
}

// NewActivePlan returns the ActivePlan of a Plan, which must not change any more.
func NewActivePlan(pl *spread.Plan) *ActivePlan {
	own := slices.DeleteFunc(slices.Clone(pl.TeamMACs), func(m frame.MAC) bool { return has(pl.Behind, m) })
	slices.Sort(own)
	return &ActivePlan{Plan: pl, own: own}
}

// IsOwn reports whether m is the adapter's or a member's address: a frame from it is one of ours, reflected.
func (u *ActivePlan) IsOwn(m frame.MAC) bool {
	_, ok := slices.BinarySearch(u.own, m)
	return ok
}

// Accepted says for whom an accepted frame is.
type Accepted uint8

// The receivers of a frame.
const (
	ForNobody Accepted = iota // the frame is not accepted
	ForUs                     // the adapter's stack, by any of our addresses
	ForOthers                 // a group, or a station behind the adapter
)

// Accept decides whether member id accepts a frame of others to dst. local is whether dst is a station behind the
// adapter that the Plan does not have yet.
//
// With a MAC for each member on the wire (PerMember) one member accepts each address, so that a switch that floods
// duplicates nothing.
func (u *ActivePlan) Accept(id int, dst frame.MAC, local bool) (Accepted, team.Drop) {
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
	case local && u.PerMember:
		// Until the Plan has the station, the member that receives groups transmits and receives for it.
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

// IsFlooded reports whether a unicast frame to dst that the member did not accept shows a switch that floods, because
// it does not know the port of our addresses. A standby member receives frames to its own address in any case.
func (u *ActivePlan) IsFlooded(id int, dst frame.MAC) bool {
	if u.PerMember {
		return dst != u.MACs[id] && u.IsOwn(dst) && !u.isBehind(dst)
	}
	return dst == u.Adapter && !u.Collecting.Has(id)
}

func (u *ActivePlan) isBehind(m frame.MAC) bool { return has(u.Behind, m) }

// isStation reports whether s is a station behind the adapter that the Plan has.
func (u *ActivePlan) isStation(s frame.Station) bool { return has(u.Stations, s) }

// isAgeing reports whether the control loop asks whether s, a station behind the adapter, still sends.
func (u *ActivePlan) isAgeing(s frame.Station) bool { return has(u.Ageing, s) }

// has reports whether m is in a sorted list, which is mostly empty.
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
	was := r.active.Swap(NewActivePlan(pl))
	r.tx.epoch.wait()
	if pl.Migration() != nil || was.Migration() != nil {
		r.startMigration(pl)
	}
	for m := range r.joined {
		m.epoch.wait()
	}
	r.release()
	r.filters.schedule()
	r.groups.schedule()
	return nil
}

// startMigration makes now the start of a slot migration in the Picker, rather than the next frame. Not while programs
// transmit: they follow the Plan a moment later, and own the table.
func (r *Relay) startMigration(pl *spread.Plan) {
	// Fails if the relay is closing, which moves nothing any more.
	_ = r.PostWithPicker(func(p *spread.Picker, _ int64) {
		if r.active.Load().Plan == pl && !r.tx.yielded {
			p.Follow(pl)
		}
	})
}
