// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/team"
)

// Invariants, and where they are checked:
//
//	an adapter receives no frame twice                      Stack.in, Flow.doubled
//	a member that may not distribute sends no frame         Team.put
//	the next Plan lacks a lost member                       Team.planned
//	active-backup has at most one active member             Team.planned
//	the adapter does not receive its own frames             Team.deliver
//	flows keep their order while the network is calm        Flow.overtaken
//	frames sent while the network is calm arrive            Calmly
//	link watches blame no member that works both ways       Team.blames, life.judged
//	a member that loses everything is out of use in time    life.fallsSilent

// planned checks a Plan before it takes effect.
func (t *Team) planned(pl *spread.Plan) {
	if t.config.Mode == modes.ActiveBackup || !t.config.Balance {
		if pl.Distributing.Len() > 1 || pl.Rule == spread.RuleSingle && !pl.Distributing.Has(pl.Active) {
			t.w.breach("%s: active-backup distributes on %b", t.Name, pl.Distributing)
		}
	}
	for set := pl.Distributing | pl.Collecting; set != 0; set = set.Without(set.First()) {
		id := set.First()
		m := t.members[id]
		if m == nil {
			t.w.breach("%s: the Plan names member %d, which there is not", t.Name, id)
			return
		}
		if pl.Distributing.Has(id) && m.told && !m.toldUp && t.config.DownDelay == 0 {
			t.w.breach("%s: the Plan sends by %s, whose carrier is known to be lost", t.Name, m.nic.Name)
		}
	}
}

// doubled handles a frame that has arrived twice.
func (f *Flow) doubled(p *Packet) {
	if t := f.to.team; t != nil && !t.twice(p) {
		f.w.breach("%s: frame %d has come into the adapter twice", f.Name, p.mark)
	}
}

// overtaken handles a frame that arrives after a later one.
func (f *Flow) overtaken(p *Packet) {
	w := f.w
	if !w.order || !w.wasCalm(p.sent) || w.now < f.excused || f.from.scatters() || f.to.scatters() {
		return
	}
	for _, s := range []*Stack{f.from, f.to} {
		if s.team != nil && s.team.forgiven() {
			f.excused = w.now + time.Second
			return
		}
	}
	w.breach("%s: frame %d of %v ago has been overtaken by frame %d", f.Name, p.mark, w.now-p.sent, f.top)
}

// maxOverlap is how long after a change of the members' filters two members may accept the same flooded frame: the
// overlap avoids losses while switches learn.
const maxOverlap = modes.Overlap + 10*time.Millisecond

// overlaps starts such an overlap.
func (t *Team) overlaps() { t.overlap = t.w.now + maxOverlap + t.w.jam }

// twice reports whether a team's adapter may receive a frame twice.
func (t *Team) twice(p *Packet) bool { return p.copied || p.flooded && t.w.now < t.overlap }

// scatters reports whether the host spreads the frames of a flow over several paths.
func (s *Stack) scatters() bool {
	return s.team != nil && s.team.config.Balance &&
		(s.team.config.Mode == modes.RoundRobin || s.team.config.Mode == modes.Broadcast)
}

// forgiven reports whether a recent event excuses one reordering.
func (t *Team) forgiven() bool {
	if n := t.forced(); n > t.forcedSeen {
		t.forcedSeen, t.forcedAt = n, t.w.now
	}
	return t.w.now < t.steered+time.Second || t.w.now < t.forcedAt+time.Second
}

// steers records frames of the control loop: a peer that is given another member's MAC changes its path. What link
// watches ask gives nobody a MAC.
func (t *Team) steers(p *Packet) {
	var n frame.Neighbour
	if !frame.ParseNeighbour(p.b, &n) || n.Op == frame.ARPRequest && n.From.IsUnspecified() ||
		n.From == frame.AskingAddress(n.Src) {
		return
	}
	t.steered = t.w.now
	t.Steers++
}

// Calmly runs for a time without disturbance, then requires that every frame sent in it has arrived. settle is how long
// earlier frames may be in flight.
func (w *World) Calmly(d, settle time.Duration, flows ...*Flow) error {
	w.Calm(true)
	for _, f := range flows {
		f.calmSent, f.calmGot, f.counting = 0, 0, true
	}
	if err := w.Run(d); err != nil {
		return err
	}
	for _, f := range flows {
		f.counting = false
	}
	sent := make([]uint64, len(flows))
	for i, f := range flows {
		sent[i] = f.calmSent
		f.calmLate, f.calmEnd = true, w.now
	}
	err := w.Run(settle)
	w.Calm(false)
	for i, f := range flows {
		f.calmLate = false
		if err == nil && f.calmGot < sent[i] {
			w.breach("%s: of %d frames sent while nothing disturbed %d have arrived", f.Name, sent[i], f.calmGot)
			err = w.fail
		}
	}
	return err
}

// drops counts the frames that a team's data path dropped.
type drops [team.Drops]uint64
