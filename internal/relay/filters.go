// SPDX-License-Identifier: MIT

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

// background is a goroutine for changes that must not delay a Plan: the kernel takes its configuration lock (RTNL) for
// each address of a receive filter, and holds it for milliseconds just when a link is lost.
type background struct {
	wake chan struct{}
	stop chan struct{}
	done chan struct{}
}

// runInBackground starts a goroutine that runs f after each schedule.
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

// schedule runs f soon: the Plan, the members, or the need of a slowReceiver have changed.
func (b *background) schedule() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// close ends the goroutine and waits for it.
func (b *background) close() {
	close(b.stop)
	<-b.done
}

// setFilters sets the NICs' receive filters by the Plan in force, except groups. It adds before it removes: an address
// that moves between members is always accepted by one.
func (r *Relay) setFilters() {
	held := r.held.Load()
	u := r.active.Load()
	for m := range r.joined {
		r.setFilter(m.socket, u, m.id)
	}
	for m := range r.joined {
		r.logFilterError(m.id, m.socket.TrimFilter(u.filterOf(m.id)))
		r.logFilterError(m.id, m.socket.SetPromiscuous(u.Promiscuous))
		r.logFilterError(m.id, m.slow.update())
		if !held {
			m.noteFollowed(unicastFollows)
		}
	}
}

// The parts of a NIC's receive filter.
const (
	unicastFollows = 1 << iota
	groupsFollow
)

// noteFollowed notes that a part of the NIC's receive filter follows a Plan of this process. With all of them there,
// the filter of the process before is not needed any more.
func (m *member) noteFollowed(part uint32) {
	const all = unicastFollows | groupsFollow
	if was := m.followed.Or(part); was != all && was|part == all {
		m.socket.ReleaseInherited()
	}
}

// setFilter adds what the Plan wants to the receive filter of member id.
func (r *Relay) setFilter(s *nic.Socket, u *ActivePlan, id int) {
	if err := s.AddFilter(u.filterOf(id)); err != nil && !gone(err) {
		r.control.report(team.Control{Kind: team.ControlRefused, Member: id, Err: err})
	}
	if u.Promiscuous {
		r.logFilterError(id, s.SetPromiscuous(true))
	}
}

// filterOf returns the unicast addresses besides its own that member id's NIC must accept.
func (u *ActivePlan) filterOf(id int) []frame.MAC {
	if u.Watched[id] == 0 {
		return u.Filter[id]
	}
	return append(slices.Clone(u.Filter[id]), u.Watched[id])
}

// logFilterError logs an error that has no remedy.
func (r *Relay) logFilterError(id int, err error) {
	if err != nil && !gone(err) {
		r.log.Warn("NIC's filter not set", "member", id, "err", err)
	}
}

// gone reports whether err says that the NIC no longer exists or the socket is closed.
func gone(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, nic.ErrClosed) }

// groupSetter is the part of a nic.Socket that sets groups.
type groupSetter interface {
	AddGroups(groups []frame.MAC) error
	TrimGroups(groups []frame.MAC) error
	SetAllMulti(on bool) error
}

var _ groupSetter = (*nic.Socket)(nil)

// groupFilter is the state of a member's multicast filter. The goroutine of setGroups owns it.
type groupFilter struct {
	refused error // the NIC refused a group: it receives all groups from then on
	told    error // last reported to the control loop
}

// setGroups sets the NICs' groups by the Plan in force. It has a goroutine of its own, because many groups take long
// and a unicast address that another member inherits must not wait for them.
func (r *Relay) setGroups() {
	held := r.held.Load()
	u := r.active.Load()
	// First the members that need groups; the others are not urgent.
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
			if !held {
				m.noteFollowed(groupsFollow)
			}
		}
	}
}

// set makes a NIC receive these groups, or all. The error says how the NIC deviates, and why.
func (f *groupFilter) set(s groupSetter, groups []frame.MAC, all bool) error {
	if f.refused == nil {
		f.refused = s.AddGroups(groups)
	}
	all = all || f.refused != nil && len(groups) > 0
	if err := s.SetAllMulti(all); all && err != nil {
		if gone(err) {
			return nil
		}
		return fmt.Errorf("does not receive multicast, so neither IPv6 nor multicast reach the team through it: %w",
			err)
	}
	if err := s.TrimGroups(groups); err != nil && !gone(err) {
		return fmt.Errorf("still receives groups that the team has left: %w", err)
	}
	if f.refused != nil && len(groups) > 0 && !gone(f.refused) {
		return fmt.Errorf("receives all multicast, which costs processor time, because it refused some groups: %w",
			f.refused)
	}
	return nil
}

// tellGroups reports to the control loop how a NIC deviates from the wanted groups, if that has changed.
func (r *Relay) tellGroups(m *member, err error) {
	if f := &m.groups; fmt.Sprint(err) != fmt.Sprint(f.told) &&
		r.control.report(team.Control{Kind: team.ControlGroups, Member: m.id, Err: err}) {
		f.told = err
	}
}
