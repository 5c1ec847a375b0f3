package modes

import (
	"maps"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/modes/steer"
)

// assumedRate is taken for a NIC whose speed nobody tells, until it has shown what it carries.
const assumedRate = 1_000_000_000

// elb balances in both directions over any NICs on any switch, and keeps the order of each flow.
//
// What is sent goes by the flow table (flows.go), what is received comes by the member that each peer was told
// (steering.go). Every member sends with its own MAC, so that a switch sees each MAC on one port.
//
// Each address that frames for us may carry has one home, the member that takes it in: a member's own MAC is at
// home with the member while that can be used, else with an heir among the survivors; the adapter's is a
// member's, or is inherited like that of a dead one; a MAC behind the adapter is at home where it is pinned.
// Whenever a home changes, a learning frame tells the switch.
//
// What is for groups is taken in, and asked for, by the active member alone.
type elb struct {
	st     State
	plan   *spread.Plan
	active int // -1 none

	homes map[frame.MAC]int
	used  map[frame.MAC]bool             // addresses that were the adapter's or a usable member's: others send to no other
	left  map[frame.MAC]spread.MemberSet // where they were until a moment ago; frames under way are still taken in there
	until time.Time                      // when left is forgotten
	back  homecoming
	old   formers
	moves []spread.Move
	turn  uint64 // of moves

	silence  silence
	steering steer.Balancer
	evening  spread.Rebalancer
}

func newELB() *elb { return &elb{plan: emptyPlan(), active: -1, old: formers{}} }

func (*elb) isMode() {}

// Handle takes in an event.
func (e *elb) Handle(now time.Time, ev Event) (eff Effects) {
	switch ev := ev.(type) {
	case State:
		return e.follow(now, ev)
	case Tick:
		if len(e.left) > 0 && !now.Before(e.until) {
			e.left = nil
			e.replan()
		}
		if gone := e.old.expire(now, e.st.Adapter); len(gone) > 0 {
			for _, m := range gone {
				delete(e.homes, m)
				delete(e.used, m)
			}
			e.replan()
		}
		home := e.back.due(now, e.homes)
		if len(home) > 0 && len(e.st.Behind) > 0 {
			eff.Tell = TellBehind // those that are pinned to a member that is back
		}
		eff.Send = append(e.teach(home), e.steering.Tick(now)...)
	case Announced:
		e.steering.Announced(now)
	case AddressLeft:
		e.steering.ForgetAddress(ev.VLAN, ev.IP)
	case Received:
		if ev.Member < 0 {
			eff.Send = e.steering.Transmit(now, ev.Frame)
		} else {
			e.steering.Receive(now, ev.Frame)
		}
	case Measured:
		if ev.RxBytes != nil {
			eff.Send = e.steering.Measure(now, ev.RxBytes, ev.Flows)
		}
		if e.plan.Rule == spread.RuleShortest {
			silent := e.silence.measured(now, ev.Flows, e.plan.Distributing&e.steering.Members())
			eff.Send = append(eff.Send, e.teach(e.homesOf(silent))...)
		}
		if ev.Flows == nil || e.plan.Rule != spread.RuleShortest || e.st.Settings.Rebalance == 0 {
			break
		}
		if moves := e.evening.Moves(ev.Flows, e.plan); len(moves) > 0 {
			e.moves = moves
			e.turn++
			e.replan()
		}
	case Flooded:
		eff.Send = e.teach(e.homes)
		eff.Tell = TellBehind
	}
	return eff
}

// follow takes in a State.
func (e *elb) follow(now time.Time, st State) (eff Effects) {
	was, before := e.st, e.active
	e.st = st
	why := lost(&was, &e.st, before)
	if why != "" {
		e.active = -1
	}
	e.active, eff.Reason = e.st.elect(e.active)
	if e.active != before || why != "" {
		eff.Active = true
		if why != "" {
			eff.Reason = why + ", " + eff.Reason
		}
		if e.active >= 0 {
			eff.Tell |= TellGroups
		}
	} else {
		eff.Reason = ""
	}
	renamed := e.old.follow(now, &was, &e.st)
	pinned := e.plan.Pins
	e.replan()
	had := e.homes
	changed, deserted := e.settle(now, &was)
	if !maps.Equal(had, e.homes) {
		e.replan() // with what homes have become
	}
	eff.Send = append(e.teach(changed), e.pinned(&was)...)
	if !slices.Equal(pinned, e.plan.Pins) && len(e.st.Behind) > 0 {
		eff.Tell |= TellBehind
	}
	switch {
	case e.active < 0:
	case before < 0:
		eff.Tell = TellAll
	case deserted, renamed, leaves(&was, &e.st):
		// Who was told of an address that nobody takes in, or soon will not, has to learn another; hosts that
		// steering knows are told theirs after this.
		eff.Tell |= TellAddresses
	}
	if steers := e.st.Settings.ReceiveBalance; steers && e.active >= 0 && (before < 0 || !was.Settings.ReceiveBalance) {
		// Hosts with connections that go on ask nothing and are asked nothing, so nobody would get to know them.
		eff.Tell |= TellAsk
	}
	set := &e.st.Settings
	eff.Send = append(eff.Send, e.steering.Apply(now, e.plan, steer.Settings{Balance: set.ReceiveBalance, Rebalance: set.Rebalance})...)
	return eff
}

// pinned returns learning frames of who is behind the adapter and was not known before: until then the active member
// has sent for them, and switches have learnt that.
func (e *elb) pinned(was *State) (sends []spread.Send) {
	for _, s := range e.st.Behind {
		if _, known := slices.BinarySearch(was.Behind, s); known {
			continue
		}
		if id := e.plan.Pin(s.MAC()); id >= 0 && id != e.active {
			sends = append(sends, spread.Send{Member: id, Frame: frame.RARP(s.MAC(), s.VLAN())})
		}
	}
	return sends
}

// Plan returns the Plan in force.
func (e *elb) Plan() *spread.Plan { return e.plan }

// Deadline is when frames under way to an old home have arrived, or a peer is to be told something.
func (e *elb) Deadline() time.Time {
	d := e.steering.Deadline()
	if len(e.left) > 0 && (d.IsZero() || e.until.Before(d)) {
		d = e.until
	}
	for _, at := range []time.Time{e.back.at, e.old.deadline(e.st.Adapter)} {
		if !at.IsZero() && (d.IsZero() || at.Before(d)) {
			d = at
		}
	}
	return d
}

// leaves reports whether a member has begun a drain.
func leaves(was, st *State) bool {
	for _, m := range st.Members {
		if old := find(was, m.ID); m.Draining && old != nil && !old.Draining {
			return true
		}
	}
	return false
}

// settle finds every address its home. It returns those whose home has changed, and whether one that had a home has
// none any more though nobody was told so by a drain.
func (e *elb) settle(now time.Time, was *State) (changed map[frame.MAC]int, deserted bool) {
	homes, used := map[frame.MAC]int{}, map[frame.MAC]bool{e.st.Adapter: true}
	for _, m := range e.st.Members {
		if m.MAC == 0 || m.Usable {
			continue
		}
		used[m.MAC] = used[m.MAC] || e.used[m.MAC]
		if id := e.heir(m.MAC); id >= 0 {
			homes[m.MAC] = id
		}
	}
	for _, m := range e.st.Members { // last: of two NICs with one address the usable one has it
		if m.MAC != 0 && m.Usable {
			homes[m.MAC], used[m.MAC] = m.ID, true
		}
	}
	for _, m := range e.st.Vacant {
		if used[m] = e.used[m]; !used[m] {
			continue
		}
		if id := e.heir(m); id >= 0 {
			homes[m] = id
		}
	}
	for m, old := range e.old {
		used[m] = e.used[m]
		id := e.heir(m)
		if mem := find(&e.st, old.member); mem.Usable && !mem.OwnMAC {
			id = mem.ID
		}
		if used[m] && id >= 0 {
			homes[m] = id
		}
	}
	if _, ok := homes[e.st.Adapter]; !ok && e.st.Adapter != 0 {
		if id := e.heir(e.st.Adapter); id >= 0 {
			homes[e.st.Adapter] = id
		}
	}
	for m := range e.homes {
		if _, ok := homes[m]; !ok && e.used[m] && !drains(was, m) {
			deserted = true
		}
	}
	changed = map[frame.MAC]int{}
	for m, id := range homes {
		old, ok := e.homes[m]
		if ok && old == id {
			continue
		}
		changed[m] = id
		// A member that joins is not usable at first: nothing is under way to its heir.
		if ok && e.used[m] {
			e.leave(now, m, spread.MemberSet(0).With(old))
			if mem := find(&e.st, id); mem != nil && mem.MAC == m {
				e.back.add(now, m)
			}
		}
	}
	// The mode before this one took in the adapter's address where it liked.
	if e.st.Before != nil {
		e.leave(now, e.st.Adapter, acceptors(e.st.Before, e.st.Members, e.st.Adapter))
		e.st.Before = nil
	}
	if e.st.Flooding {
		e.left = nil
	}
	e.homes, e.used = homes, used
	return changed, deserted
}

// acceptors returns the members that accept frames for m.
func acceptors(pl *spread.Plan, members []Member, m frame.MAC) (set spread.MemberSet) {
	for _, mem := range members {
		if pl.Collecting.Has(mem.ID) && (mem.MAC == m || slices.Contains(pl.Filter[mem.ID], m)) {
			set = set.With(mem.ID)
		}
	}
	return set
}

// drains reports whether m is the address of a member in a drain.
func drains(st *State, m frame.MAC) bool {
	return slices.ContainsFunc(st.Members, func(mem Member) bool { return mem.MAC == m && mem.Draining })
}

// leave begins the overlap of members that took in what was for m.
func (e *elb) leave(now time.Time, m frame.MAC, set spread.MemberSet) {
	if set == 0 {
		return
	}
	if e.left == nil {
		e.left = map[frame.MAC]spread.MemberSet{}
	}
	e.left[m] |= set
	e.until = now.Add(Overlap)
}

// heir returns the member that takes in what is for an address whose own member cannot, -1 when none may.
func (e *elb) heir(m frame.MAC) int {
	id := e.plan.Pin(m)
	if mem := find(&e.st, id); mem == nil || mem.OwnMAC {
		return -1
	}
	return id
}

// teach returns learning frames, which show switches where addresses are.
func (e *elb) teach(homes map[frame.MAC]int) (sends []spread.Send) {
	for _, m := range slices.Sorted(maps.Keys(homes)) {
		if !e.used[m] && slices.ContainsFunc(e.st.Members, func(mem Member) bool { return mem.MAC == m }) {
			continue // of a member that joins: its heir's frame could overtake its own
		}
		sends = append(sends, spread.Send{Member: homes[m], Frame: frame.RARP(m, 0)})
	}
	return sends
}

// replan makes the Plan that follows from the state, the homes and the moves.
func (e *elb) replan() {
	pl := draft(&e.st)
	pl.PerMember = true
	for id := range pl.Filter {
		pl.Filter[id] = nil
	}
	usable, staying := sets(&e.st)
	if e.active >= 0 {
		pl.Rule = spread.RuleShortest
		pl.Distributing = staying
		pl.Collecting = usable
		receiveGroupsBy(pl, e.active, &e.st)
		watchEachOther(pl, &e.st, e.active, successor(&e.st, e.active))
		pl.Active = e.active
		share(pl, &e.st, staying)
		pl.Shortest = &spread.Shortest{Gain: e.st.Settings.Gain, Skew: e.st.Settings.Skew, Moves: e.moves, Generation: e.turn}
		e.rates(pl)
		pl.Pins = spread.AssignSlots(e.pins(pl))
		for m, id := range e.homes {
			addFilter(&e.st, pl, m, id)
		}
		for m, set := range e.left {
			for _, old := range e.st.Members {
				if set.Has(old.ID) {
					pl.Collecting = pl.Collecting.With(old.ID)
					addFilter(&e.st, pl, m, old.ID)
				}
			}
		}
		for id := range pl.Filter {
			slices.Sort(pl.Filter[id])
		}
	}
	e.plan = publish(e.plan, pl)
}

// addFilter has member id accept frames for m.
func addFilter(st *State, pl *spread.Plan, m frame.MAC, id int) {
	if mem := find(st, id); mem != nil && !mem.OwnMAC && mem.MAC != m && !slices.Contains(pl.Filter[id], m) {
		pl.Filter[id] = append(pl.Filter[id], m)
	}
}

// watchEachOther has two members take in what is for the other. One of any two is where most hosts send to sooner or later.
func watchEachOther(pl *spread.Plan, st *State, a, b int) {
	m, n := find(st, a), find(st, b)
	if m == nil || n == nil || m.OwnMAC || n.OwnMAC || m.MAC == n.MAC {
		return
	}
	pl.Watched[a], pl.Watched[b] = n.MAC, m.MAC
}

// rates fills in what links say they carry.
func (e *elb) rates(pl *spread.Plan) {
	for _, m := range e.st.Members {
		switch {
		case !pl.Distributing.Has(m.ID):
		case m.SpeedBps > 0:
			pl.Shortest.Rates[m.ID] = m.SpeedBps
			pl.Shortest.SpeedKnown = pl.Shortest.SpeedKnown.With(m.ID)
		default:
			pl.Shortest.Rates[m.ID] = assumedRate
		}
	}
}

// pins are the shares of members in the addresses that are not their own: those that take in such.
func (e *elb) pins(pl *spread.Plan) *[spread.MaxMembers]uint32 {
	w := pl.Weights
	none := true
	for _, m := range e.st.Members {
		if m.OwnMAC {
			w[m.ID] = 0
		}
		none = none && w[m.ID] == 0
	}
	if none {
		w = pl.Weights
	}
	return &w
}

// Peers lists the peers that m steers, by address; nil when it steers none.
func Peers(now time.Time, m Mode) []steer.Peer {
	if e, ok := m.(*elb); ok {
		return e.steering.Peers(now)
	}
	return nil
}
