// SPDX-License-Identifier: MIT

package modes

import (
	"slices"
	"time"

	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// singleElection elects the member that sends everything where the ports do not work together. It follows
// active-backup's rules (election.go), among members with a partner:
//
//   - with balance off. The others stand by, agreed with the partner, so that one exchange of LACPDUs puts them in use.
//     Of two that could send, the new one is in use before the old one stands by.
//   - while no port has a partner, if Settings.LACP.Fallback is on: that is a switch without LACP, which treats the
//     member as any NIC. An LACPDU on any port ends it.
type singleElection struct {
	active     int              // the elected member, which may not be able to send yet; -1 none
	reason     string           // of the election, in words
	departed   string           // what became of an active member that has left, in words
	previous   string           // the active member of the mode or process before, "" unknown
	awaitUntil time.Time        // until then no other member takes previous's place; zero: it is taken
	yieldAt    time.Time        // when active is given up, as its partner uses another member; zero: it is not
	alone      bool             // no port has a partner, so active works without one
	inUse      spread.MemberSet // members that do not stand by
	reported   int              // the active member that was reported last, unreported if it has left
}

// unreported is no member's id.
const unreported = -2

// follow reads the next State: an id may be another NIC's by then.
func (s *singleElection) follow(was, st *State) {
	m, n := find(was, s.active), find(st, s.active)
	if m != nil && (n == nil || n.Name != m.Name) {
		s.departed = lost(was, st, s.active)
		s.active, s.reported = -1, unreported
	}
}

// awaitTime is how long the active member of the process before may take to show its carrier.
const awaitTime = time.Second

// resume begins with the active member of the mode or process before.
func (s *singleElection) resume(now time.Time, st *State) {
	if st.Before != nil && st.Before.Rule == spread.RuleSingle {
		if m := find(st, st.Before.Active); m != nil {
			s.previous = m.Name
		}
	}
	if st.Memory == nil {
		return
	}
	heard, known := false, false
	for _, p := range st.Memory.Ports {
		if p.Mux == lacp.MuxDistributing && s.previous == "" {
			s.previous, s.awaitUntil = p.Name, now.Add(awaitTime)
		}
		heard = heard || p.Heard
		known = known || p.Key != 0 // else only its number is remembered
	}
	// That process had no partner, so this one is not likely to have one.
	s.alone = known && !heard
}

// candidate returns the member that the rules elect, and why.
func (a *aggregation) candidate(now time.Time) (int, string) {
	st, s := a.candidates(now), &a.single
	if now.Before(s.awaitUntil) {
		if m := named(&a.st, s.previous); m == nil || !m.Usable {
			return -1, s.previous + ", which was active before, is awaited"
		}
		st = &a.st // its port resumes, but does not distribute yet
	}
	s.awaitUntil = time.Time{}
	current := s.active
	if m := named(st, s.previous); m != nil && current < 0 {
		current = m.ID
	}
	if _, staying := sets(st); !staying.Has(current) {
		current = -1
	}
	to, reason := elect(st, current)
	if to >= 0 && to != s.active && reason == "" {
		reason = a.name(to) + " was active before"
	}
	return to, reason
}

// elect updates the election.
func (a *aggregation) elect(now time.Time) {
	s, wasAlone := &a.single, a.single.alone
	s.alone, s.inUse = a.worksAlone(), 0
	if a.st.Settings.Balance && !s.alone {
		switch {
		case wasAlone:
			s.reason = "a partner answers"
		case s.active >= 0:
			s.reported = -1 // that all ports work together is no change of the active member
		}
		s.active, s.departed = -1, ""
		return
	}
	to, reason := a.candidate(now)
	if to >= 0 {
		s.inUse = s.inUse.With(to)
	}
	if to == s.active && s.departed == "" {
		if s.alone && !wasAlone {
			s.reason = "nobody answers"
		}
		return
	}
	if !s.alone && a.makeBeforeBreak(s.active, to) {
		s.inUse = s.inUse.With(s.active)
		return
	}
	why := s.departed
	if why == "" {
		why = a.lost(s.active)
	}
	s.active, s.reason, s.departed = to, reason, ""
	if why != "" {
		s.reason = why + ", " + s.reason
	}
	if s.alone {
		s.reason = "nobody answers, " + s.reason
	}
}

// worksAlone reports whether a member works without a partner. That begins when every port has waited in vain, and
// lasts until one receives an LACPDU; a port that has just come up still waits.
func (a *aggregation) worksAlone() bool {
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
	return a.single.alone || up && !waiting
}

// readiness is how close a port is to distributing.
type readiness int

const (
	noPartner   readiness = iota
	waiting               // for wait_while
	attached              // the partner is not in sync
	inSync                // both are
	distributes           // by the protocol
)

// readinessOf returns that of a port; distributing are those that distribute.
func readinessOf(p *lacp.PortStatus, distributing spread.MemberSet) readiness {
	switch {
	case !p.Confirmed:
		return noPartner
	case distributing.Has(p.ID):
		return distributes
	case p.Mux < lacp.MuxAttached:
		return waiting
	case !p.Partner.State.Has(lacp.Synchronization):
		return attached
	}
	return inSync
}

// candidates returns the State restricted to electable members. If any port has a partner, members without one are
// excluded. So are those that are less ready than needed: as ready as the active member while that goes on, else as the
// readiest.
func (a *aggregation) candidates(now time.Time) *State {
	_, staying := sets(&a.st)
	var ready [spread.MaxMembers]readiness
	var most readiness
	withPartner, distributing := spread.MemberSet(0), a.distributing()
	for i := range a.status.Ports {
		p := &a.status.Ports[i]
		ready[p.ID] = readinessOf(p, distributing)
		if ready[p.ID] != noPartner {
			withPartner = withPartner.With(p.ID)
		}
		if staying.Has(p.ID) {
			most = max(most, ready[p.ID])
		}
	}
	active := a.single.active
	least := most
	stays := active >= 0 && staying.Has(active) && ready[active] != noPartner
	if !stays || ready[active] != attached || most < inSync {
		a.single.yieldAt = time.Time{}
	} else if a.yields(now, slices.Index(ready[:], most)) {
		stays = false
	}
	if stays {
		if least = ready[active]; least == distributes {
			least = waiting
		}
	}
	if withPartner == 0 {
		return a.withoutLoops(staying)
	}
	st := a.st
	if enough(&st, staying&withPartner) {
		st.Settings.MinMembers = 1 // the others are usable as well, only not electable
	} else {
		least = waiting
	}
	st.Members = slices.Clone(a.st.Members)
	for i := range st.Members {
		m := &st.Members[i]
		m.Usable = m.Usable && withPartner.Has(m.ID) && ready[m.ID] >= least
	}
	return &st
}

// withoutLoops returns the State without the members that receive their own team's LACPDUs, unless all do: a cable
// between two members leads nowhere, but a switch without LACP may forward LACPDUs.
func (a *aggregation) withoutLoops(staying spread.MemberSet) *State {
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
		st.Settings.MinMembers = 1 // the others are usable as well, only not electable
	}
	st.Members = slices.Clone(a.st.Members)
	for i := range st.Members {
		m := &st.Members[i]
		m.Usable = m.Usable && !loops.Has(m.ID)
	}
	return &st
}

// yields reports whether the active member is given up, as its partner has been in sync by another member only for long
// enough. Otherwise no member might ever distribute.
func (a *aggregation) yields(now time.Time, other int) bool {
	s := &a.single
	if s.yieldAt.IsZero() {
		s.yieldAt = now.Add(lacp.Patience(a.config.System, a.port(s.active).Partner.System,
			a.port(other).Partner.System,
			s.reported == s.active))
	}
	return !now.Before(s.yieldAt)
}

// makeBeforeBreak reports whether a member that distributes stays in use until another one does.
func (a *aggregation) makeBeforeBreak(from, to int) bool {
	p, q := a.port(from), a.port(to)
	return p != nil && q != nil && a.distributing().Has(from) && !q.Distributing()
}

// lost returns why the active member cannot stay so, "" if it could.
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

// port returns the status of a member's port, nil if there is none.
func (a *aggregation) port(id int) *lacp.PortStatus {
	for i := range a.status.Ports {
		if a.status.Ports[i].ID == id {
			return &a.status.Ports[i]
		}
	}
	return nil
}
