package relay

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/frame"
	"nicteam/internal/nic"
	"nicteam/team"
)

// background does what must not delay a Plan in a goroutine of its own: the kernel takes its configuration lock for every
// address that a NIC is to take in, and holds it itself for milliseconds just when a link is lost.
type background struct {
	wake chan struct{}
	stop chan struct{}
	done chan struct{}
}

// runInBackground has f run whenever it is due.
func (r *Relay) runInBackground(f func()) *background {
	b := &background{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(b.done)
		for {
			select {
			case <-b.wake:
				r.panics.Do("members' filters", f)
			case <-b.stop:
				return
			}
		}
	}()
	return b
}

// due says that there is another rule, or another member, or that one is to listen otherwise.
func (b *background) due() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// end returns when f runs no more.
func (b *background) end() {
	close(b.stop)
	<-b.done
}

// setFilters brings what NICs take in in line with the rule in force, but for groups. What an address leaves takes it in
// until what it comes to does.
func (r *Relay) setFilters() {
	u := r.rule.Load()
	for m := range r.joined {
		r.admit(m.socket, u, m.id)
	}
	for m := range r.joined {
		r.settled(m.id, m.socket.TrimFilter(u.filterOf(m.id)))
		r.settled(m.id, m.socket.SetPromiscuous(u.Promiscuous))
		r.settled(m.id, m.ear.settle())
	}
}

// admit has the NIC of member id take in what the rule wants of it.
func (r *Relay) admit(s *nic.Socket, u *Rule, id int) {
	if err := s.AddFilter(u.filterOf(id)); err != nil && !gone(err) {
		r.news.tell(team.Control{Kind: team.ControlRefused, Member: id, Err: err})
	}
	if u.Promiscuous {
		r.settled(id, s.SetPromiscuous(true))
	}
}

// filterOf are the unicast addresses besides its own that member id's NIC is to take in.
func (u *Rule) filterOf(id int) []frame.MAC {
	if u.Watched[id] == 0 {
		return u.Filter[id]
	}
	return append(slices.Clone(u.Filter[id]), u.Watched[id])
}

// settled logs what nothing can be done about.
func (r *Relay) settled(id int, err error) {
	if err != nil && !gone(err) {
		r.log.Warn("NIC's filter not set", "member", id, "err", err)
	}
}

// gone reports whether err is that of a NIC, or of a socket, that has just gone: there is nothing that could be set.
func gone(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, nic.ErrClosed) }
