package relay

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/nic"
	"nicteam/modes"
	"nicteam/team"
)

// admit has the NIC of a member that joins take in what the rule wants of it.
func admit(s *nic.Socket, u *rule, id int) error {
	if err := s.SetFilter(u.Filter[id]); err != nil {
		return &team.FilterError{Members: []int{id}, Err: err}
	}
	return s.SetPromiscuous(u.Promiscuous)
}

// Apply puts pl in force. Addresses that pl wants received are in the NICs' filters before, those it does
// not want leave them after. On an error of those, which wraps a *team.FilterError where NICs refused an address, the
// Plan is in force all the same.
func (r *Relay) Apply(pl *modes.Plan) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fmt.Errorf("apply plan: %w", nic.ErrClosed)
	}
	var errs, refusals []error
	var refused []int
	for m := range r.joined {
		if err := m.socket.AddFilter(pl.Filter[m.id]); err != nil && !gone(err) {
			refused = append(refused, m.id)
			refusals = append(refusals, err)
		}
		if pl.Promiscuous {
			errs = append(errs, m.socket.SetPromiscuous(true))
		}
	}

	r.rule.Store(newRule(pl))
	r.tx.epoch.wait()
	for m := range r.joined {
		m.epoch.wait()
	}

	for m := range r.joined {
		errs = append(errs, m.socket.TrimFilter(pl.Filter[m.id]), m.socket.SetPromiscuous(pl.Promiscuous))
	}
	errs = slices.DeleteFunc(errs, gone)
	if len(refused) > 0 {
		errs = append(errs, &team.FilterError{Members: refused, Err: errors.Join(refusals...)})
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("apply plan: %w", err)
	}
	return nil
}

// gone reports whether err is that of a NIC that has just gone: it has nothing that could be set.
func gone(err error) bool { return errors.Is(err, unix.ENODEV) }

// joined yields the members that have joined. The caller holds the mutex.
func (r *Relay) joined(yield func(*member) bool) {
	for id := range r.members {
		if m := r.members[id].Load(); m != nil && !yield(m) {
			return
		}
	}
}
