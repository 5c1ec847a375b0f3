package relay

import (
	"errors"
	"fmt"
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

// schedule says that there is another rule, or another member, or that one is to listen otherwise.
func (b *background) schedule() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// close returns when f runs no more.
func (b *background) close() {
	close(b.stop)
	<-b.done
}

// setFilters brings what NICs take in in line with the rule in force, but for groups. What an address leaves takes it in
// until what it comes to does.
func (r *Relay) setFilters() {
	u := r.rule.Load()
	for m := range r.joined {
		r.setFilter(m.socket, u, m.id)
	}
	for m := range r.joined {
		r.logFilterError(m.id, m.socket.TrimFilter(u.filterOf(m.id)))
		r.logFilterError(m.id, m.socket.SetPromiscuous(u.Promiscuous))
		r.logFilterError(m.id, m.slow.update())
	}
}

// setFilter has the NIC of member id take in what the rule wants of it.
func (r *Relay) setFilter(s *nic.Socket, u *Rule, id int) {
	if err := s.AddFilter(u.filterOf(id)); err != nil && !gone(err) {
		r.control.report(team.Control{Kind: team.ControlRefused, Member: id, Err: err})
	}
	if u.Promiscuous {
		r.logFilterError(id, s.SetPromiscuous(true))
	}
}

// filterOf are the unicast addresses besides its own that member id's NIC is to take in.
func (u *Rule) filterOf(id int) []frame.MAC {
	if u.Watched[id] == 0 {
		return u.Filter[id]
	}
	return append(slices.Clone(u.Filter[id]), u.Watched[id])
}

// logFilterError logs what nothing can be done about.
func (r *Relay) logFilterError(id int, err error) {
	if err != nil && !gone(err) {
		r.log.Warn("NIC's filter not set", "member", id, "err", err)
	}
}

// gone reports whether err is that of a NIC, or of a socket, that has just gone: there is nothing that could be set.
func gone(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, nic.ErrClosed) }

// groupSetter is what a NIC's socket can be asked for groups.
type groupSetter interface {
	AddGroups(groups []frame.MAC) error
	TrimGroups(groups []frame.MAC) error
	SetAllMulti(on bool) error
}

var _ groupSetter = (*nic.Socket)(nil)

// groupFilter is how a member's NIC takes in groups. The groups' goroutine owns it.
type groupFilter struct {
	refused error // of the multicast list: from then on the NIC is asked for all groups
	told    error // as the control loop knows it
}

// setGroups has NICs take in the groups that the rule in force wants. It has a goroutine of its own, because many groups
// take long, and a unicast address that another member inherits must not wait for that.
func (r *Relay) setGroups() {
	u := r.rule.Load()
	// Who is to be ready, first; what the others need no more has time.
	for _, wanted := range []bool{true, false} {
		for m := range r.joined {
			if u.GroupMembers.Has(m.id) != wanted {
				continue
			}
			var groups []frame.MAC
			if wanted {
				groups = u.Groups
			}
			r.tellGroups(m, m.groups.set(m.socket, groups, wanted && u.AllMulti))
		}
	}
}

// set has a NIC take in these groups, or all of them. The error says how it takes in groups instead, and why.
func (f *groupFilter) set(s groupSetter, groups []frame.MAC, all bool) error {
	if f.refused == nil {
		f.refused = s.AddGroups(groups)
	}
	all = all || f.refused != nil && len(groups) > 0
	if err := s.SetAllMulti(all); all && err != nil {
		if gone(err) {
			return nil
		}
		return fmt.Errorf("does not take in groups, so neither IPv6 nor multicast reach the team by it: %w", err)
	}
	if err := s.TrimGroups(groups); err != nil && !gone(err) {
		return fmt.Errorf("takes in groups that the team has left: %w", err)
	}
	if f.refused != nil && len(groups) > 0 && !gone(f.refused) {
		return fmt.Errorf("takes in all groups, which costs processor time, because it refused some: %w", f.refused)
	}
	return nil
}

// tellGroups tells the control loop what has changed in how a NIC takes in groups.
func (r *Relay) tellGroups(m *member, err error) {
	if f := &m.groups; fmt.Sprint(err) != fmt.Sprint(f.told) && r.control.report(team.Control{Kind: team.ControlGroups, Member: m.id, Err: err}) {
		f.told = err
	}
}
