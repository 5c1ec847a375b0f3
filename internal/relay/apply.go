package relay

import (
	"fmt"

	"nicteam/internal/nic"
	"nicteam/modes/spread"
)

// Apply puts pl in force.
func (r *Relay) Apply(pl *spread.Plan) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fmt.Errorf("apply plan: %w", nic.ErrClosed)
	}
	was := r.rule.Swap(NewRule(pl))
	r.tx.epoch.wait()
	if pl.From != nil || was.From != nil {
		r.beginTurn(pl)
	}
	for m := range r.joined {
		m.epoch.wait()
	}
	r.filters.due()
	r.groups.due()
	return nil
}

// beginTurn has the Picker know when slots begin to go over, which is now and not when the next frame comes. Where
// programs transmit it is not now: they follow the Plan in a moment only, and the table is theirs.
func (r *Relay) beginTurn(pl *spread.Plan) {
	// A relay that is about to be closed moves nothing any more.
	_ = r.Post(func(p *spread.Picker, _ int64) {
		if r.rule.Load().Plan == pl && !r.tx.yielded {
			p.Follow(pl)
		}
	})
}

// joined yields the members that have joined.
func (r *Relay) joined(yield func(*member) bool) {
	for id := range r.members {
		if m := r.members[id].Load(); m != nil && !yield(m) {
			return
		}
	}
}
