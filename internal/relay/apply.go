package relay

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nicteam/internal/nic"
	"nicteam/modes"
	"nicteam/team"
)

// Apply puts pl in force.
func (r *Relay) Apply(pl *modes.Plan) error {
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
	return nil
}

// beginTurn has the Picker know when slots begin to go over, which is now and not when the next frame comes. Where
// programs transmit it is not now: they follow the Plan in a moment only, and the table is theirs.
func (r *Relay) beginTurn(pl *modes.Plan) {
	// A relay that is about to be closed moves nothing any more.
	_ = r.Post(func(p *modes.Picker, _ int64) {
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

// filters brings what NICs take in in line with the rule in force. It has a goroutine of its own: the kernel takes its
// configuration lock for every address, and holds it itself for milliseconds just when a link is lost. What an
// address leaves takes it in until what it comes to does.
type filters struct {
	wake chan struct{}
	stop chan struct{}
	done chan struct{}
}

func newFilters() *filters {
	return &filters{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
}

// due says that there is another rule, or another member, or that one is to listen otherwise.
func (f *filters) due() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// end returns when the last filter has been set.
func (f *filters) end() {
	close(f.stop)
	<-f.done
}

func (r *Relay) keepFilters() {
	defer close(r.filters.done)
	for {
		select {
		case <-r.filters.wake:
		case <-r.filters.stop:
			return
		}
		u := r.rule.Load()
		for m := range r.joined {
			r.admit(m.socket, u, m.id)
		}
		for m := range r.joined {
			r.settled(m.id, m.socket.TrimFilter(u.Filter[m.id]))
			r.settled(m.id, m.socket.SetPromiscuous(u.Promiscuous))
			r.settled(m.id, m.ear.settle())
		}
	}
}

// admit has the NIC of member id take in what the rule wants of it.
func (r *Relay) admit(s *nic.Socket, u *Rule, id int) {
	if err := s.AddFilter(u.Filter[id]); err != nil && !gone(err) {
		r.news.tell(team.Control{Kind: team.ControlRefused, Member: id, Err: err})
	}
	if u.Promiscuous {
		r.settled(id, s.SetPromiscuous(true))
	}
}

// settled logs what nothing can be done about.
func (r *Relay) settled(id int, err error) {
	if err != nil && !gone(err) {
		r.log.Warn("NIC's filter not set", "member", id, "err", err)
	}
}

// gone reports whether err is that of a NIC, or of a socket, that has just gone: there is nothing that could be set.
func gone(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, nic.ErrClosed) }
