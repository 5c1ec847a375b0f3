// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// Invariants of 802.3ad, and where they are checked:
//
//	the Plan matches the Mux machines                                              Team.agrees
//	no port sends after its partner has reported that it does not collect          Team.denies
//	no frame arrives at a port that stopped collecting more than a PDU's delay ago Port.refused, member.refused
//
// Frames lost on a wire or at an end that is down violate nothing: the other end cannot know.

// agrees compares the current Plan with the machines.
func (t *Team) agrees() {
	a := t.Agreed()
	if a == nil || t.config.Mode != modes.LACP || t.ended {
		return
	}
	pl := t.plan
	var sends, takes, leaving spread.MemberSet
	for i := range a.Ports {
		p := &a.Ports[i]
		m := t.members[p.ID]
		if m == nil {
			continue
		}
		if p.Distributing() && p.Aggregator == a.Active {
			sends = sends.With(p.ID)
		}
		if p.Collecting() {
			takes = takes.With(p.ID)
		}
		if m.draining {
			leaving = leaving.With(p.ID)
		}
		if p.Mux >= lacp.MuxCollecting && p.Selected != lacp.InUse && !m.draining {
			t.w.breach("%s: %s is %v and %v", t.Name, m.nic.Name, p.Selected, p.Mux)
		}
	}
	if a.Alone >= 0 {
		sends, takes = sends.With(a.Alone), takes.With(a.Alone)
		for _, id := range t.ids { // its LACPDUs teach switches that the adapter is there
			if t.members[id].nic.MAC == pl.Adapter {
				takes = takes.With(id)
			}
		}
	}
	if over := pl.Distributing &^ sends; over != 0 {
		t.w.breach("%s: the Plan sends by %b, by which LACP does not distribute", t.Name, over)
	}
	if t.config.Balance && sends.Len() >= max(1, t.config.MinMembers) && sends&^leaving&^pl.Distributing != 0 {
		t.w.breach("%s: LACP distributes by %b, the Plan sends by %b", t.Name, sends, pl.Distributing)
	}
	for _, id := range t.ids {
		m := t.members[id]
		takes := takes.Has(id) || leaving.Has(id)
		if m.takes && !takes {
			m.took = t.w.now
		}
		m.takes = takes
		if !takes && pl.Collecting.Has(id) && t.w.now > max(m.took+maxOverlap, t.overlap) {
			t.w.breach("%s: the Plan takes in what comes by %s, on which LACP has not collected for %v", t.Name,
				m.nic.Name, t.w.now-m.took)
		}
	}
	if pl.Distributing&^pl.Collecting != 0 {
		t.w.breach("%s: the Plan sends by %b and takes in by %b", t.Name, pl.Distributing, pl.Collecting)
	}
}

// denies reports whether the member's partner reported, long enough ago, that it does not collect.
func (m *member) denies() bool {
	if m.denied == never || m.t.w.now <= m.denied+maxPDUDelay || m.heard.many() {
		return false
	}
	a := m.t.Agreed()
	return a != nil && a.Alone != m.id
}

// refused handles a frame that arrived at a port on which the partner does not collect.
func (p *Port) refused(f *Packet) {
	w := p.sw.w
	// A coupled partner reports Collecting before it collects, and does not always report the end. Here it is enough
	// that nothing is sent after it has reported the end (denies).
	if f.from == nil || f.from.team == nil || p.partner.machines == nil || p.partner.Habits.Coupled {
		return
	}
	t := f.from.team
	if since := max(p.End.whole(), p.far.whole(), p.troubled, t.since()); p.closed < since {
		return
	}
	if f.sent > p.closed+p.paced.way(p.closed) {
		w.breach("%s: has not collected for %v when %s was sent to it", p.name, f.sent-p.closed, describe(f))
	}
}

// since returns the time from which the team must respect the agreement; never: it need not.
func (t *Team) since() time.Duration {
	if t.began == never || t.config.Mode != modes.LACP {
		return never
	}
	return max(t.began, t.entered) + time.Second
}

// refused handles a frame that arrived by a member on which the Plan does not collect.
func (m *member) refused(f *Packet) {
	t := m.t
	far := t.w.port(m.nic.far)
	if f.from == nil || far == nil || far.partner == nil || far.partner.Habits.Coupled {
		return
	}
	t.Refused++
	if since := max(m.nic.whole(), far.whole(), far.troubled, t.since()); m.closed < since {
		return
	}
	if f.sent > m.closed+m.paced.way(m.closed) {
		t.w.breach("%s: %s has not collected for %v when %s was sent to it", t.Name, m.nic.Name, f.sent-m.closed,
			describe(f))
	}
}

// port returns the switch port of an end, nil for none.
func (w *World) port(e *End) *Port {
	for _, s := range w.switches {
		for _, p := range s.ports {
			if p.End == e {
				return p
			}
		}
	}
	return nil
}
