// SPDX-License-Identifier: MIT

package steer

import (
	"cmp"
	"slices"
	"time"

	"nicteam/internal/limit"
	"nicteam/modes/spread"
)

// Balancer decides which member each peer sends to. The zero value steers nobody until Apply.
type Balancer struct {
	on       bool         // receive_balance
	pl       *spread.Plan // nil before Apply
	members  spread.MemberSet
	holdTime time.Duration // a binding that moved stays so long

	// members that have joined and do not have their share of the bindings yet
	unfilled spread.MemberSet

	table    peerTable
	schedule schedule
	requests pendingRequests
	left     map[addressKey]time.Time // addresses that this host lost lately, and when
	routers  map[uint16]bool          // by VLAN: whether our last advertisement there said that this host is a router

	learnLimit, notifyLimit limit.Bucket

	load    load
	rxBytes spread.RxBytes // at the last measurement
	samples int
	sampled time.Time     // the last measurement
	took    time.Duration // from the one before to that
}

// Settings of receive steering.
type Settings struct {
	Balance   bool          // false: all peers send to the active member
	Rebalance time.Duration // interval between measurements; 0: no peer moves for its load
}

// limitRate bounds what is learnt, and whom is notified, to 1000 in any second.
var limitRate = limit.Rate{Every: time.Second / 800, Burst: 200}

const (
	bindingAge     = 10 * time.Minute
	busyTime       = time.Minute // a peer that sent something since then is not pushed out by new ones
	repairDelay    = 50 * time.Millisecond
	notifyInterval = time.Second // of one binding
	// repairInterval is that of repairs. Linux sends three requests, a second apart, for a host that is not there, and
	// each is repaired before the next. Our own broadcasts bound how often repairs happen.
	repairInterval = 200 * time.Millisecond
)

// Apply follows a Plan: its Active member answers for all that are not steered, its Distributing members are given to
// peers. A suspect member keeps its peers and gets no other ones; one that returns gets its share step by step. It
// returns the notifications that are due.
func (s *Balancer) Apply(now time.Time, pl *spread.Plan, set Settings) []spread.Send {
	var readdressed spread.MemberSet // whose MAC has changed
	joined := pl.Distributing &^ s.members
	gone := s.members &^ pl.Distributing
	for left := s.members & pl.Distributing; left != 0; left = left.Without(left.First()) {
		if id := left.First(); s.pl.MACs[id] != pl.MACs[id] {
			readdressed = readdressed.With(id)
		}
	}
	s.pl, s.members = pl, pl.Distributing
	s.holdTime = holdIntervals * set.Rebalance
	s.load.setPlan(pl)
	if s.members == 0 {
		return nil
	}
	switched := s.on != set.Balance
	s.on = set.Balance
	s.unfilled = (s.unfilled | joined) & s.members
	if !s.on {
		s.assignAllTo(now, pl.Active, switched)
		return s.runSchedule(now)
	}
	if readdressed != 0 {
		for b := range s.table.all() {
			if readdressed.Has(b.member) {
				s.notify(now, b)
			}
		}
	}
	if gone != 0 || joined != 0 {
		s.reassignOrphans(now)
	}
	if switched {
		s.unfilled = s.members.Without(pl.Active)
	}
	if fill := s.unfilled &^ pl.Suspect; fill != 0 {
		s.fillNewMembers(now, fill)
		s.unfilled &^= fill &^ s.returning()
	}
	return s.runSchedule(now)
}

// active returns the member that sends to groups, -1 if none does.
func (s *Balancer) active() int {
	if s.pl == nil {
		return -1
	}
	return s.pl.Active
}

// Tick returns the notifications that are due.
func (s *Balancer) Tick(now time.Time) []spread.Send { return s.runSchedule(now) }

// Deadline returns when the next Tick is due, zero for never.
func (s *Balancer) Deadline() time.Time {
	t := s.schedule.first()
	if t == nil || s.active() < 0 {
		return time.Time{}
	}
	if next := s.notifyLimit.Next(limitRate); t.binding != nil && t.at.Before(next) {
		return next
	}
	return t.at
}

// Members returns the members that peers send to.
func (s *Balancer) Members() (set spread.MemberSet) {
	for b := range s.table.all() {
		set = set.With(b.member)
	}
	return set
}

// Peers returns the peers by address, nil while receive_balance is off.
func (s *Balancer) Peers(now time.Time) (peers []Peer) {
	if !s.on {
		return nil
	}
	for b := range s.table.all() {
		if now.Sub(b.seen) >= bindingAge {
			continue
		}
		peers = append(peers, Peer{Address: b.shown, Ours: b.ours, MAC: b.mac, VLAN: b.vlan, Member: b.member,
			Since: b.since, Seen: b.seen, RxBps: s.rateNow(now, b), Notifications: b.notifications})
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(a.Address.Compare(b.Address), a.Ours.Compare(b.Ours), cmp.Compare(a.VLAN, b.VLAN),
			cmp.Compare(a.MAC, b.MAC))
	})
	return peers
}

// rateNow returns what a peer sends, bit/s. Nothing is measured while no frame moves, so the last rate is halved for
// every interval that is missing.
func (s *Balancer) rateNow(now time.Time, b *binding) uint64 {
	if s.took <= 0 {
		return b.bps
	}
	missing := now.Sub(s.sampled) / s.took
	return b.bps >> min(max(missing-1, 0), 63)
}
