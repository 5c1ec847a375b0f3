package steer

import (
	"cmp"
	"slices"
	"time"

	"nicteam/internal/limit"
	"nicteam/modes/spread"
)

// Balancer says by which member each peer is to reach us.
//
// A host sends to whatever MAC its ARP or ND cache has for an address of ours, so each is given the MAC of one
// member: in answers to what it asked, and unasked when that changes. A pair is such a host and one of our
// addresses, that is, one entry of a cache out there.
//
//	adapter → sent ┬ to one host   → learn the pair → by its member, with its MAC
//	               └ to all        → by the active member, with its MAC; pairs of the address are repaired
//	network → received               an answer to what we asked all makes a pair, too
//	follow, measured → move pairs  → tell
//	tick → the agenda → frames for one host each
//
// A pair is learnt only from what our own stack sends, or asked for, never from what the network says by itself:
// so two teams fall silent, and who forges ARP can only harm himself and whom he could harm without us.
type Balancer struct {
	base    time.Time // of all times kept here
	on      bool      // receive_balance
	pl      *spread.Plan
	active  int              // the member that sends broadcasts, -1 none
	members spread.MemberSet // that peers may be given
	rest    time.Duration    // that a moved pair stays where it is

	pairs  pairs
	agenda agenda
	asked  asked
	router map[uint16]bool // by VLAN: whether we are one, as our own advertisements there said last

	learns, tells limit.Bucket

	load     load
	heard    spread.RxBytes // when it was measured last
	measures int
	at       time.Duration // of that
	interval time.Duration // up to that
}

// steerRate bounds what peers are told, and what is learnt of them, to 1000 in any second.
var steerRate = limit.Rate{Every: time.Second / 800, Burst: 200}

// The times of steering.
const (
	pairAge      = 10 * time.Minute
	pairBusy     = time.Minute // a pair that sent something since then is not pushed out by new ones
	repairDelay  = 50 * time.Millisecond
	tellInterval = time.Second // of one pair
	// repairInterval is the same for repairs. Linux asks three times, a second apart, for a host that is not there: what
	// each of these has done is not to last until the next. Our own broadcasts bound how often there is one.
	repairInterval = 200 * time.Millisecond
)

// clock returns now as a time since the first thing that happened.
func (s *Balancer) clock(now time.Time) time.Duration {
	if s.base.IsZero() {
		s.base = now
	}
	return now.Sub(s.base)
}

// Settings of receive steering.
type Settings struct {
	Balance   bool          // false: all peers reach us by the active member
	Rebalance time.Duration // interval between measurements; 0: peers never move for their load
}

// Follow takes over a Plan and who is active in it. It returns what peers must be told because of it.
func (s *Balancer) Follow(now time.Time, pl *spread.Plan, active int, set Settings) []spread.Send {
	t := s.clock(now)
	var moved spread.MemberSet // whose MAC is another
	came := pl.Distributing &^ s.members
	gone := s.members &^ pl.Distributing
	for left := s.members & pl.Distributing; left != 0; left = left.Without(left.First()) {
		if id := left.First(); s.pl.MACs[id] != pl.MACs[id] {
			moved = moved.With(id)
		}
	}
	s.pl, s.active, s.members = pl, active, pl.Distributing
	s.rest = restIntervals * set.Rebalance
	s.load.rates(pl)
	if s.members == 0 {
		return nil
	}
	switched := s.on != set.Balance
	s.on = set.Balance
	if !s.on {
		s.gather(t, switched)
		return s.run(t)
	}
	if moved != 0 {
		for i := range s.pairs.all() {
			if p := s.pairs.at(i); moved.Has(p.member) {
				s.tell(t, i)
			}
		}
	}
	if gone != 0 || came != 0 {
		s.rehouse(t)
	}
	if switched {
		came = s.members.Without(active)
	}
	if came != 0 {
		s.welcome(t, came)
	}
	return s.run(t)
}

// gather gives all pairs to the active member, for as long as receiving is not balanced. They are told so once: when
// another becomes active, they still reach who was, or its heir.
func (s *Balancer) gather(t time.Duration, tell bool) {
	for i := range s.pairs.all() {
		p := s.pairs.at(i)
		if p.member == s.active {
			continue
		}
		p.again = false
		s.assign(t, i, s.active)
		if tell {
			s.tell(t, i)
		}
	}
}

// Tick sends what is due.
func (s *Balancer) Tick(now time.Time) []spread.Send { return s.run(s.clock(now)) }

// Deadline is when somebody is to be told something.
func (s *Balancer) Deadline() time.Time {
	it, at, ok := s.agenda.first()
	if !ok || s.active < 0 {
		return time.Time{}
	}
	if _, isPair := it.pair(); isPair {
		return s.base.Add(max(at, s.tells.Next(steerRate).Sub(s.base)))
	}
	return s.base.Add(at)
}

// Peers returns the pairs by address.
func (s *Balancer) Peers(now time.Time) (peers []Peer) {
	if !s.on {
		return nil
	}
	t := s.clock(now)
	for i := range s.pairs.all() {
		p := s.pairs.at(i)
		if t-p.seen >= pairAge {
			continue
		}
		peers = append(peers, Peer{Address: p.address, Ours: p.ours, MAC: p.mac, VLAN: p.vlan, Member: p.member,
			Since: s.base.Add(p.since), Seen: s.base.Add(p.seen), RxBps: s.rate(t, p), Told: p.tolds})
	}
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(a.Address.Compare(b.Address), a.Ours.Compare(b.Ours), cmp.Compare(a.VLAN, b.VLAN), cmp.Compare(a.MAC, b.MAC))
	})
	return peers
}

// rate returns what a pair sends. Nothing is measured while no frame moves, so what was is halved for every
// interval that is missing.
func (s *Balancer) rate(t time.Duration, p *pair) uint64 {
	if s.interval <= 0 {
		return p.bps
	}
	missing := (t - s.at) / s.interval
	return p.bps >> min(max(missing-1, 0), 63)
}
