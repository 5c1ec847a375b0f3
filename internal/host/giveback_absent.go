// SPDX-License-Identifier: MIT

package host

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/api"
	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// A NIC that is absent when its team ends keeps its part of the journal until it returns in this boot. Then it gets its
// config back, except addresses that the host has elsewhere by then.

// finishJournal ends the team's journal: it is removed, or kept for absent NICs.
func (h *Host) finishJournal(j *journal.Journal) error {
	left := journal.State{Begin: j.State.Begin, Ended: true}
	for _, m := range j.State.Members {
		if !m.NeedsRestore() && !m.ConfigOnAdapter || !m.HadConfig() {
			continue
		}
		if _, _, err := h.memberLink(m); m.Away || errors.Is(err, ErrNoNIC) {
			m.Left, m.Away = true, true
			left.Members = append(left.Members, m)
		}
	}
	if err := h.journalAbsent(j, left); err != nil || h.journal == nil {
		return err
	}
	out, err := h.restoreAbsent() // some may have returned before
	for _, note := range out.Notes {
		h.log.Info("restored", "team", h.o.Team, "what", note)
	}
	return err
}

// journalAbsent reduces the journal to the NICs that are still absent.
func (h *Host) journalAbsent(j *journal.Journal, left journal.State) error {
	if len(left.Members) == 0 {
		if err := j.Remove(); err != nil {
			return err
		}
		h.journal = nil
		return nil
	}
	next, err := journal.Create(j.Path, left.Records(), h.faultPoint)
	if err != nil {
		return err
	}
	j.Close()
	h.journal = next
	return nil
}

// AbsentMembers names the NICs that were absent when their team ended.
func (h *Host) AbsentMembers() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	if h.journal != nil {
		for _, m := range h.journal.State.Members {
			if m.Away {
				names = append(names, m.Name)
			}
		}
	}
	return names
}

// RestoreAbsent restores NICs that were absent when their team ended and are back.
func (h *Host) RestoreAbsent() (Restored, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal == nil || !h.journal.State.Ended {
		return Restored{}, nil
	}
	return h.restoreAbsent()
}

func (h *Host) restoreAbsent() (Restored, error) {
	j := h.journal
	b := &giveBack{h: h, j: j, indexNow: map[int]int{}}
	left := j.State
	left.Members = nil
	for _, m := range j.State.Members {
		l, n, err := h.memberLink(m)
		switch {
		case err != nil:
			left.Members = append(left.Members, m)
			b.notef(
				"NIC %s is absent: its config stays in the journal (when it is back: nicteam restore %s; to drop "+
					"it: --forget %s)", m.Name, h.o.Team, m.Name)
		case n.Master != "":
			b.notef("NIC %s now belongs to %s: nothing is restored", n.Name, n.Owner())
		case h.takenBy(n) != "":
			b.notef("NIC %s is now in team %s: nothing is restored", n.Name, h.takenBy(n))
		default:
			b.indexNow[m.Index] = n.Index
			b.addMember(m, l, n)
		}
	}
	out := Restored{}
	for _, r := range b.members {
		out.Members = append(out.Members, r.nic.Name)
	}
	err := runAll(func() error { return b.restoreLinks(false) }, b.restoreAbsentAddresses, b.restoreNeighbours,
		b.restoreLateSysctls)
	out.Notes = b.notes
	if err != nil {
		return out, fmt.Errorf("restore absent NICs: %w", err)
	}
	if len(left.Members) == len(j.State.Members) {
		return out, nil
	}
	return out, h.journalAbsent(j, left)
}

// restoreAbsentAddresses restores addresses and routes that the host has nowhere else.
func (b *giveBack) restoreAbsentAddresses() error {
	for _, r := range b.members {
		others, err := b.h.rt.AddressesElsewhere(r.nic.Index)
		if err != nil {
			return err
		}
		var want []rtnl.Object
		complete := true
		for _, a := range r.was.Addresses {
			later, ok := rtnl.Aged(a, (rtnl.BootTime()-r.was.At)/1e9)
			if !ok {
				continue
			}
			if i := slices.IndexFunc(others, func(o rtnl.Object) bool { return rtnl.SameAddress(a, o) }); i >= 0 &&
				!rtnl.IsLinkLocal(a) {
				b.notef("%s of %s is on another link and stays there", rtnl.AddressPrefix(a), r.nic.Name)
				complete = false
				continue
			}
			want = append(want, later)
		}
		if err := b.setAddresses(r, want); err != nil {
			return err
		}
		if !complete {
			r.was.Routes = slices.DeleteFunc(r.was.Routes, func(o rtnl.Object) bool { return !r.usesAddress(o, want) })
		}
	}
	return b.restoreAbsentRoutes()
}

// usesAddress reports whether a route depends on one of the NIC's addresses.
func (r *member) usesAddress(o rtnl.Object, have []rtnl.Object) bool {
	at := rtnl.Gateways(o, r.was.Index)
	if len(at) == 0 {
		return slices.ContainsFunc(have, func(a rtnl.Object) bool {
			return o.Get(unix.RTA_PREFSRC) != nil &&
				slices.Equal(rtnl.AddressPrefix(a).Addr().AsSlice(), o.Get(unix.RTA_PREFSRC))
		})
	}
	return slices.ContainsFunc(have, func(a rtnl.Object) bool { return rtnl.AddressPrefix(a).Contains(at[0]) })
}

// restoreAbsentRoutes adds the members' routes that the host lacks.
func (b *giveBack) restoreAbsentRoutes() error {
	routes, err := b.h.rt.Routes()
	if err != nil {
		return err
	}
	all := rtnl.IndexRoutes(routes)
	for _, r := range b.members {
		list := slices.Clone(r.was.Routes)
		rtnl.SortByDependence(list)
		for _, o := range list {
			o = rtnl.RouteRequest(o, b.indexNow)
			if !r.was.Up || len(all.SameKey(o)) > 0 {
				continue
			}
			if err := b.noteUnlessFatal(b.h.rt.AddRoute(o)); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckForget refuses a NIC that the journal does not know.
func (h *Host) CheckForget(nic string) *api.Problem {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.journal != nil && h.journal.State.ByName(nic) != nil {
		return nil
	}
	return &api.Problem{Kind: api.NotFound, What: "forget NIC " + nic, Why: "the journal of " + h.o.Team +
		" has nothing for it",
		Fix: "nicteam restore " + h.o.Team + " lists the absent NICs"}
}

// ForgetAbsent drops the journal's part for a NIC that was absent when its team ended, and reports whether there was
// one.
func (h *Host) ForgetAbsent(nic string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var m *journal.MemberState
	if h.journal != nil && h.journal.State.Ended {
		m = h.journal.State.ByName(nic)
	}
	if m == nil {
		return false, nil
	}
	left := h.journal.State
	left.Members = slices.DeleteFunc(slices.Clone(left.Members), func(o *journal.MemberState) bool { return o == m })
	return true, h.journalAbsent(h.journal, left)
}
