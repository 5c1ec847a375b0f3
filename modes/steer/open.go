// SPDX-License-Identifier: MIT

package steer

import "nicteam/modes/spread"

// open returns the members among which a peer is given one: those that have room, else all that are not suspect, else
// all.
func (s *Balancer) open() spread.MemberSet {
	if room := s.withRoom(); room != 0 {
		return room
	}
	if trusted := s.members &^ s.pl.Suspect; trusted != 0 {
		return trusted
	}
	return s.members
}

// withRoom returns the members that may get one more binding: not suspect ones, nor those that return and have their
// part.
func (s *Balancer) withRoom() spread.MemberSet {
	room := s.members &^ s.pl.Suspect
	for left := s.returning() & room; left != 0; left = left.Without(left.First()) {
		if id := left.First(); float64(s.load.bindings[id]+1) > s.part(id)*s.load.fairBindings(id, s.members) {
			room = room.Without(id)
		}
	}
	return room
}

// returning returns the members that come back after a failure and do not carry their whole share yet.
func (s *Balancer) returning() (set spread.MemberSet) {
	if s.pl.Shortest == nil {
		return 0
	}
	for id, closed := range s.pl.Shortest.Closed {
		if closed > 0 && s.members.Has(id) {
			set = set.With(id)
		}
	}
	return set
}

// part returns which part of its share a returning member carries.
func (s *Balancer) part(id int) float64 {
	return 1 - float64(s.pl.Shortest.Closed[id])/256
}

// fairBindings returns how many of the bindings are a member's share, by its rate.
func (l *load) fairBindings(id int, members spread.MemberSet) float64 {
	bindings, rate := 0, 0.0
	for left := members; left != 0; left = left.Without(left.First()) {
		bindings += l.bindings[left.First()]
		rate += l.rate[left.First()]
	}
	return float64(bindings) * l.rate[id] / rate
}
