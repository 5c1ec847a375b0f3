// SPDX-License-Identifier: MIT

package spread

import "nicteam/internal/frame"

// Picker chooses the members for the frames of one transmit queue. It belongs to that queue's goroutine; the zero value
// is ready.
//
// RuleRoundRobin is fair by bytes: each member has a clock that advances by bytes over share, and the next unit goes to
// the member whose clock is lowest. With equal shares and equal frames that is strict alternation; the part of a dead
// member falls to all others. A member that joins starts at the lowest clock: it owes nothing and is owed nothing.
//
// RuleShortest: see flowtable.go. Its table is made with its first Plan, and stays. RuleSlots with a migration: see
// migration.go.
type Picker struct {
	Seed uint64 // makes the random choices of two queues differ
	Now  int64  // ns of a clock that only moves forward; the owner sets it once a batch

	state    *TxState  // nil until there is anything to keep
	shortest *shortest // nil before the first Plan of RuleShortest

	// Of RuleRoundRobin.
	plan  *Plan              // whose shares are in cost
	set   MemberSet          // that distribute by it
	cost  [MaxMembers]uint64 // of a byte, see ShareCost
	total uint64             // of all shares
	ids   [MaxMembers]uint8  // members in set
	n     int                // how many of ids
}

// Pick returns the members by which the frame b, which is bytes long on the wire, leaves: one,
// several for broadcast, none when nobody may send. h is what frame.Parse found in b.
func (p *Picker) Pick(pl *Plan, h *frame.Headers, b []byte, bytes int) MemberSet {
	switch pl.Rule {
	case RuleSingle:
		return 1 << uint(pl.Active) & pl.Distributing
	case RuleSlots:
		if pl.Slots == nil {
			return 0
		}
		s := Slot(pl.Hash.Of(h, b))
		if pl.Slots.Migration != nil {
			return p.migrating(pl, s)
		}
		return 1 << uint(pl.Slots.Members[s]) & pl.Distributing
	case RuleRoundRobin:
		if p.plan != pl {
			p.follow(pl)
		}
		return p.next(pl, bytes)
	case RuleBroadcast:
		return pl.Distributing
	case RuleShortest:
		return p.shortestRule().pick(pl, h, b, bytes, p.Now)
	default:
		return 0
	}
}

// Measured reads member id's queue: bytes that it accepted since the last reading, and bytes that wait now, as they are
// on the wire. It is due every 20 ms while the member sends, with Now set just before.
func (p *Picker) Measured(id int, sent uint64, waiting int) {
	if p.shortest != nil {
		p.shortest.measured(id, sent, waiting, p.Now)
	}
}

// Flows returns the flow table at Now, nil before the first Plan of RuleShortest. It is the Picker's own: only its
// goroutine may read it.
func (p *Picker) Flows() *FlowTable {
	if p.shortest == nil {
		return nil
	}
	p.shortest.flows.Now = p.Now
	return p.shortest.flows
}

// Other returns a member for a frame that the members in tried have refused, -1 for none: one that distributes, and is
// not suspect if there is one; under RuleSingle the next active one.
func Other(pl *Plan, tried MemberSet) int {
	switch {
	case pl.Rule == RuleNone:
		return -1
	case pl.Rule == RuleSingle && tried.Has(pl.Active) && pl.Next >= 0 && !tried.Has(pl.Next):
		return pl.Next
	}
	if sound := pl.FlowTargets() &^ tried; sound != 0 {
		return sound.First()
	}
	return (pl.Distributing &^ tried).First()
}

// Follow takes a Plan before its first frame; Pick does so by itself. The pauses of a migration begin with it.
func (p *Picker) Follow(pl *Plan) {
	if pl.Migration() != nil || p.state != nil {
		p.txState().Migration.follow(pl.Migration(), p.Now)
	}
	switch pl.Rule {
	case RuleRoundRobin:
		if p.plan != pl {
			p.follow(pl)
		}
	case RuleShortest:
		if t := p.shortestRule(); t.plan != pl {
			t.follow(pl, p.Now)
		}
	}
}

// KeepIn moves the Picker's state to s, where it stays.
func (p *Picker) KeepIn(s *TxState) {
	*s = *p.txState()
	p.state = s
	if p.shortest != nil {
		p.shortest.flows = &s.Flows
	}
}

func (p *Picker) txState() *TxState {
	if p.state == nil {
		p.state = &TxState{}
	}
	return p.state
}

// migrating returns the member for a frame of slot s while slots migrate. It stands by itself so that other Plans do
// not pay for it.
//
//go:noinline
func (p *Picker) migrating(pl *Plan, s int) MemberSet {
	m := &p.txState().Migration
	if m.ID != pl.Slots.Migration.ID {
		m.follow(pl.Slots.Migration, p.Now)
	}
	return 1 << uint(m.member(pl, s, p.Now)) & pl.Distributing
}

func (p *Picker) shortestRule() *shortest {
	if p.shortest == nil {
		p.shortest = &shortest{flows: &p.txState().Flows}
	}
	return p.shortest
}

// follow takes the members and shares of a Plan of RuleRoundRobin.
func (p *Picker) follow(pl *Plan) {
	t := &p.txState().RoundRobin
	now := p.lowestClock()
	old := p.set
	p.plan, p.set, p.total, p.n = pl, 0, 0, 0
	for id, share := range pl.Weights {
		if share == 0 || !pl.Distributing.Has(id) {
			continue
		}
		p.set = p.set.With(id)
		p.ids[p.n] = uint8(id)
		p.n++
		p.cost[id] = ShareCost(share)
		p.total += uint64(share)
		if !old.Has(id) {
			t.Clock[id] = now
		}
	}
	if !p.set.Has(int(t.Member)) {
		t.Left = 0
	}
	if t.State == 0 {
		t.State = finish(mix(pl.Hash.Salt, p.Seed)) | 1
	}
}

// lowestClock returns the clock of the member that is next.
func (p *Picker) lowestClock() uint64 {
	if p.n == 0 {
		return 0
	}
	return p.state.RoundRobin.Clock[p.lowest()]
}

// next returns the member for one unit.
func (p *Picker) next(pl *Plan, bytes int) MemberSet {
	if p.n == 0 {
		return 0
	}
	if pl.PacketsPerMember == 0 {
		return 1 << uint(p.random())
	}
	// Programs may change it meanwhile, and may have left a member of the Plan before.
	t := &p.state.RoundRobin
	id := int(t.Member)
	if t.Left <= 0 || id >= MaxMembers || !p.set.Has(id) {
		id = p.lowest()
		t.Member, t.Left = uint32(id), int32(pl.PacketsPerMember)
	}
	t.Left--
	t.Clock[id] += uint64(max(bytes, 1)) * p.cost[id]
	return 1 << uint(id)
}

// lowest returns the member whose clock is lowest, the lowest id of several.
func (p *Picker) lowest() int {
	clock := &p.state.RoundRobin.Clock
	best := int(p.ids[0])
	for _, id := range p.ids[1:p.n] {
		if int64(clock[id]-clock[best]) < 0 {
			best = int(id)
		}
	}
	return best
}

// random returns a member, each with the probability of its share.
func (p *Picker) random() int {
	t := &p.state.RoundRobin
	t.State += hashWord
	// The high half times the range is uniform to one part in 2^32 over the range.
	r := finish(t.State) >> 32 * p.total >> 32
	for _, id := range p.ids[:p.n] {
		share := uint64(p.plan.Weights[id])
		if r < share {
			return int(id)
		}
		r -= share
	}
	return int(p.ids[0])
}

// Adopt takes s, where the Picker of the process before kept its state, and leaves it there. rule and distributing are
// those of the Plan in force. The next Plan finds these members with their clocks and queues; its forced moves and its
// migration are taken for those under way.
func (p *Picker) Adopt(s *TxState, rule Rule, distributing MemberSet) {
	p.state, p.plan, p.set, p.n, p.shortest = s, nil, 0, 0, nil
	switch rule {
	case RuleRoundRobin:
		p.set = distributing
		for left := distributing; left != 0; left = left.Without(left.First()) {
			p.ids[p.n] = uint8(left.First())
			p.n++
		}
	case RuleShortest:
		p.shortest = &shortest{flows: &s.Flows, set: distributing, adopted: true}
	}
}
