package spread

import "nicteam/internal/frame"

// Picker chooses the members for the frames of one transmit queue. It belongs to that queue's
// goroutine; the zero value is ready, Seed makes the random choices of two queues differ.
//
// Round-robin is fair by bytes: every member has a clock that what it is given moves forward by
// bytes over share, and the next unit goes to the member that is furthest behind. With equal
// shares and equal frames that is strict alternation; a dead member's part falls to all others
// alike. A member that comes starts at the clock of those that are there: it owes nothing and
// is owed nothing.
//
// RuleShortest is told at the head of flows.go. Its flow table is made when it is first met, and stays. How slots go from
// member to member is told at the head of slots_moving.go.
type Picker struct {
	Seed uint64
	Now  int64 // ns of a clock that only moves forward; the owner sets it once a batch

	ledger   *TxState  // nil until there is anything to keep
	shortest *shortest // nil until RuleShortest was met

	plan  *Plan              // whose shares are in cost
	set   MemberSet          // that distribute in it
	cost  [MaxMembers]uint64 // a byte's, see ShareCost
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
		return p.table().pick(pl, h, b, bytes, p.Now)
	default:
		return 0
	}
}

// Measured takes in a reading of member id: bytes that it took since the last one, and bytes that wait now, as they
// are on the wire. It is due every 20 ms while the member sends, with Now set just before.
func (p *Picker) Measured(id int, sent uint64, waiting int) {
	if p.shortest != nil {
		p.shortest.measured(id, sent, waiting, p.Now)
	}
}

// Flows returns the flow table as it is at Now, nil when RuleShortest was never met. It is the Picker's own:
// only its goroutine may read it.
func (p *Picker) Flows() *FlowTable {
	if p.shortest == nil {
		return nil
	}
	p.shortest.flows.Now = p.Now
	return p.shortest.flows
}

// Other returns a member by which a frame that those in tried have refused may be sent again, or -1:
// one that distributes, and where only one does the one that is about to take over.
func Other(pl *Plan, tried MemberSet) int {
	switch {
	case pl.Rule == RuleNone:
		return -1
	case pl.Rule == RuleSingle && tried.Has(pl.Active) && pl.Next >= 0 && !tried.Has(pl.Next):
		return pl.Next
	}
	return (pl.Distributing &^ tried).First()
}

// Follow takes over a Plan; Pick does so by itself. Where slots go from member to member the pause that they wait for
// begins with it.
func (p *Picker) Follow(pl *Plan) {
	if pl.Migration() != nil || p.ledger != nil {
		p.kept().Migration.follow(pl.Migration(), p.Now)
	}
	switch pl.Rule {
	case RuleRoundRobin:
		if p.plan != pl {
			p.follow(pl)
		}
	case RuleShortest:
		if t := p.table(); t.plan != pl {
			t.follow(pl, p.Now)
		}
	}
}

// Keep has the Picker keep its Ledger in l from now on, as it is.
func (p *Picker) Keep(l *TxState) {
	*l = *p.kept()
	p.ledger = l
	if p.shortest != nil {
		p.shortest.flows = &l.Flows
	}
}

func (p *Picker) kept() *TxState {
	if p.ledger == nil {
		p.ledger = &TxState{}
	}
	return p.ledger
}

// migrating returns the member for a frame of slot s while slots migrate. It stands by itself so that other Plans do not
// pay for it.
//
//go:noinline
func (p *Picker) migrating(pl *Plan, s int) MemberSet {
	m := &p.kept().Migration
	if m.ID != pl.Slots.Migration.ID {
		m.follow(pl.Slots.Migration, p.Now)
	}
	return 1 << uint(m.member(pl, s, p.Now)) & pl.Distributing
}

func (p *Picker) table() *shortest {
	if p.shortest == nil {
		p.shortest = &shortest{flows: &p.kept().Flows}
	}
	return p.shortest
}

// follow takes over a new Plan's members and shares.
func (p *Picker) follow(pl *Plan) {
	t := &p.kept().RoundRobin
	now := p.behind()
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

// behind returns the clock of the member that is furthest behind.
func (p *Picker) behind() uint64 {
	if p.n == 0 {
		return 0
	}
	return p.ledger.RoundRobin.Clock[p.furthest()]
}

// next chooses for one unit.
func (p *Picker) next(pl *Plan, bytes int) MemberSet {
	if p.n == 0 {
		return 0
	}
	if pl.PacketsPerMember == 0 {
		return 1 << uint(p.random())
	}
	// Programs may change it meanwhile, and those of the Plan before may have left a member that is no more.
	t := &p.ledger.RoundRobin
	turn := int(t.Member)
	if t.Left <= 0 || turn >= MaxMembers || !p.set.Has(turn) {
		turn = p.furthest()
		t.Member, t.Left = uint32(turn), int32(pl.PacketsPerMember)
	}
	t.Left--
	t.Clock[turn] += uint64(max(bytes, 1)) * p.cost[turn]
	return 1 << uint(turn)
}

// furthest returns the member that is furthest behind, the lowest id of several.
func (p *Picker) furthest() int {
	clock := &p.ledger.RoundRobin.Clock
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
	t := &p.ledger.RoundRobin
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
