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
//	nothing comes twice into an adapter                     Stack.in, Flow.doubled
//	no frame leaves by a member that may not send           Team.put
//	a member that was lost is not in the next Plan          Team.planned
//	active-backup has one active member at most             Team.planned
//	own frames do not come back into the adapter            Team.deliver
//	frames of a flow keep their order while it is calm      Flow.overtaken
//	frames that were sent while it was calm arrive          Calmly

// planned looks at a Plan that is about to be in force.
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

// doubled is met with a frame that has come a second time.
func (f *Flow) doubled(p *Packet) {
	if t := f.to.team; t != nil && !t.twice(p) {
		f.w.breach("%s: frame %d has come into the adapter twice", f.Name, p.mark)
	}
}

// overtaken is met with a frame that a later one has overtaken.
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

// maxOverlap is how long after a change of what members take in a frame that a switch has flooded may come in by two
// of them: the overlap is there so that a switch that learns loses nothing.
const maxOverlap = modes.Overlap + 10*time.Millisecond

// overlaps notes that members may accept other frames from now on.
func (t *Team) overlaps() { t.overlap = t.w.now + maxOverlap + t.w.jam }

// twice reports whether a frame may come into a team's adapter twice.
func (t *Team) twice(p *Packet) bool { return p.copied || p.flooded && t.w.now < t.overlap }

// scatters reports whether the host sends frames of one flow by several ways.
func (s *Stack) scatters() bool {
	return s.team != nil && s.team.config.Balance &&
		(s.team.config.Mode == modes.RoundRobin || s.team.config.Mode == modes.Broadcast)
}

// forgiven reports whether something has just happened that costs order once.
func (t *Team) forgiven() bool {
	if n := t.forced(); n > t.forcedSeen {
		t.forcedSeen, t.forcedAt = n, t.w.now
	}
	return t.w.now < t.steered+time.Second || t.w.now < t.forcedAt+time.Second
}

// steers notes what the control loop sends: peers that are told another member send by another way from then on.
func (t *Team) steers(h *frame.Headers) {
	if h.Protocol == frame.ARP || h.Protocol == frame.ND {
		t.steered = t.w.now
		t.Steers++
	}
}

// Calmly lets time pass in which nothing disturbs, and then holds every frame of the flows that was sent in it to have
// arrived. settle is how long frames sent before may be under way.
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

// drops are what a team's data path did not carry.
type drops [team.Drops]uint64
