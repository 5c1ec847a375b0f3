package modes

import (
	"slices"
	"time"

	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// choice is who works for all where not all work together. It is chosen as in active-backup (election.go), among those
// by which somebody answers:
//
//   - with balance off. The others stand by, agreed with the partner, so that one exchange of PDUs puts them in use. Of
//     two that work the new one is in use before the old one stands by.
//   - while nobody answers by any port, if Settings.LACP.Fallback is on: that is a switch without LACP, for which the
//     member is like any NIC. What is heard on a port ends it.
type choice struct {
	active int              // who works for all, or is to as soon as it may; -1 none
	reason string           // why, in words
	left   string           // what became of one that is no member any more, in words
	home   string           // who worked for all in the mode or the process before, "" nobody known
	await  time.Time        // until then nobody takes home's place; zero: somebody has
	yields time.Time        // when active is given up, because its partner uses another member; zero: it does not
	alone  bool             // nobody answers, so active works without a partner's consent
	wanted spread.MemberSet // who is not to stand by
	shown  int              // who was last said to be active, unsaid if that is no member any more
}

// unsaid is nobody that anybody was told of.
const unsaid = -2

// follow takes in the next State: an id may be another NIC's now.
func (c *choice) follow(was, st *State) {
	m, n := find(was, c.active), find(st, c.active)
	if m != nil && (n == nil || n.Name != m.Name) {
		c.left = lost(was, st, c.active)
		c.active, c.shown = -1, unsaid
	}
}

// comeback is how long the member that worked for all in the process before may take until it is known to have a carrier.
const comeback = time.Second

// resume begins where a mode or a process before left.
func (c *choice) resume(now time.Time, st *State) {
	if st.Before != nil && st.Before.Rule == spread.RuleSingle {
		if m := find(st, st.Before.Active); m != nil {
			c.home = m.Name
		}
	}
	if st.Memory == nil {
		return
	}
	heard, known := false, false
	for _, p := range st.Memory.Ports {
		if p.Mux == lacp.MuxDistributing && c.home == "" {
			c.home, c.await = p.Name, now.Add(comeback)
		}
		heard = heard || p.Heard
		known = known || p.Key != 0 // else only its number is remembered
	}
	// Nobody answered that process, and it would be a wonder if somebody answered this one.
	c.alone = known && !heard
}

// elect chooses who is to work for all, and says why.
func (a *aggregation) elect(now time.Time) (int, string) {
	st, c := a.candidates(now), &a.choice
	if now.Before(c.await) {
		if m := named(&a.st, c.home); m == nil || !m.Usable {
			return -1, c.home + ", which was active before, is awaited"
		}
		st = &a.st // its port goes on where it was, but is only about to
	}
	c.await = time.Time{}
	current := c.active
	if m := named(st, c.home); m != nil && current < 0 {
		current = m.ID
	}
	if _, staying := sets(st); !staying.Has(current) {
		current = -1
	}
	to, reason := choose(st, current)
	if to >= 0 && to != c.active && reason == "" {
		reason = a.name(to) + " was active before"
	}
	return to, reason
}

// choose decides who works for all.
func (a *aggregation) choose(now time.Time) {
	c, was := &a.choice, a.choice.alone
	c.alone, c.wanted = a.unanswered(), 0
	if a.st.Settings.Balance && !c.alone {
		switch {
		case was:
			c.reason = "a partner answers"
		case c.active >= 0:
			c.shown = -1 // that all work together is no change of the active member
		}
		c.active, c.left = -1, ""
		return
	}
	to, reason := a.elect(now)
	if to >= 0 {
		c.wanted = c.wanted.With(to)
	}
	if to == c.active && c.left == "" {
		if c.alone && !was {
			c.reason = "nobody answers"
		}
		return
	}
	if !c.alone && a.gradual(c.active, to) {
		c.wanted = c.wanted.With(c.active)
		return
	}
	why := c.left
	if why == "" {
		why = a.lost(c.active)
	}
	c.active, c.reason, c.left = to, reason, ""
	if why != "" {
		c.reason = why + ", " + c.reason
	}
	if c.alone {
		c.reason = "nobody answers, " + c.reason
	}
}

// unanswered reports whether a member is to work alone. It begins when every port has waited in vain, and lasts until
// one hears something; a port that has just come up is still waiting.
func (a *aggregation) unanswered() bool {
	if !a.st.Settings.LACP.Fallback {
		return false
	}
	up, waiting := false, false
	for i := range a.status.Ports {
		p := &a.status.Ports[i]
		if m := find(&a.st, p.ID); m == nil || !m.Usable {
			continue
		}
		if p.Confirmed {
			return false
		}
		up = true
		waiting = waiting || p.Receive != lacp.ReceiveDefaulted && p.Receive != lacp.ReceiveLACPDisabled
	}
	return a.choice.alone || up && !waiting
}

// readiness is how far a port is on its way to where it may send.
type readiness int

const (
	silent   readiness = iota // nobody answers
	heard                     // has to wait
	attached                  // has to agree
	ready                     // and its partner does
	works
)

// readinessOf is that of a port; may are those that may send.
func readinessOf(p *lacp.PortStatus, may spread.MemberSet) readiness {
	switch {
	case !p.Confirmed:
		return silent
	case may.Has(p.ID):
		return works
	case p.Mux < lacp.MuxAttached:
		return heard
	case !p.Partner.State.Has(lacp.Synchronization):
		return attached
	}
	return ready
}

// candidates is the State as the election is to see it: members by which nobody answers are not usable where somebody
// answers by another one. Nor are those that are not as far as they have to be where nobody works who could go on until
// they are: none that takes the place of one that is further, and of others those only that are furthest.
func (a *aggregation) candidates(now time.Time) *State {
	_, staying := sets(&a.st)
	var far [spread.MaxMembers]readiness
	var most readiness
	answered, may := spread.MemberSet(0), a.may()
	for i := range a.status.Ports {
		p := &a.status.Ports[i]
		far[p.ID] = readinessOf(p, may)
		if far[p.ID] != silent {
			answered = answered.With(p.ID)
		}
		if staying.Has(p.ID) {
			most = max(most, far[p.ID])
		}
	}
	active := a.choice.active
	least := most
	stays := active >= 0 && staying.Has(active) && far[active] != silent
	if !stays || far[active] != attached || most < ready {
		a.choice.yields = time.Time{}
	} else if a.yields(now, slices.Index(far[:], most)) {
		stays = false
	}
	if stays {
		if least = far[active]; least == works {
			least = heard
		}
	}
	if answered == 0 {
		return a.unlooped(staying)
	}
	st := a.st
	if enough(&st, staying&answered) {
		st.Settings.MinMembers = 1 // the others are there as well, only not to be chosen
	} else {
		least = heard
	}
	st.Members = slices.Clone(a.st.Members)
	for i := range st.Members {
		m := &st.Members[i]
		m.Usable = m.Usable && answered.Has(m.ID) && far[m.ID] >= least
	}
	return &st
}

// unlooped is the State without the members that hear their own team, unless all that stay do: a cable between two of them
// leads nowhere, but a switch without LACP may pass LACPDUs on.
func (a *aggregation) unlooped(staying spread.MemberSet) *State {
	var loops spread.MemberSet
	for i := range a.status.Ports {
		if p := &a.status.Ports[i]; p.Looped {
			loops = loops.With(p.ID)
		}
	}
	if staying&loops == 0 || staying&^loops == 0 {
		return &a.st
	}
	st := a.st
	if enough(&st, staying) {
		st.Settings.MinMembers = 1 // the others are there as well, only not to be chosen
	}
	st.Members = slices.Clone(a.st.Members)
	for i := range st.Members {
		m := &st.Members[i]
		m.Usable = m.Usable && !loops.Has(m.ID)
	}
	return &st
}

// yields reports whether who works for all is given up: its partner is not in sync there, but by another member, and
// that for long enough. Otherwise nobody might ever work.
func (a *aggregation) yields(now time.Time, other int) bool {
	c := &a.choice
	if c.yields.IsZero() {
		c.yields = now.Add(lacp.Patience(a.config.System, a.port(c.active).Partner.System, a.port(other).Partner.System, c.shown == c.active))
	}
	return !now.Before(c.yields)
}

// gradual reports whether one that works goes on until another one may send.
func (a *aggregation) gradual(from, to int) bool {
	p, q := a.port(from), a.port(to)
	return p != nil && q != nil && a.may().Has(from) && !q.Distributing()
}

// lost says why the active member is so no more, "" if it could be.
func (a *aggregation) lost(id int) string {
	if why := lost(&a.st, &a.st, id); why != "" {
		return why
	}
	if p := a.port(id); p != nil && !p.Distributing() && p.Why != "" {
		return a.name(id) + ": " + p.Why
	}
	return ""
}

func (a *aggregation) name(id int) string {
	if m := find(&a.st, id); m != nil {
		return m.Name
	}
	return ""
}

// port returns the state of a member's port, nil where there is none.
func (a *aggregation) port(id int) *lacp.PortStatus {
	for i := range a.status.Ports {
		if a.status.Ports[i].ID == id {
			return &a.status.Ports[i]
		}
	}
	return nil
}
