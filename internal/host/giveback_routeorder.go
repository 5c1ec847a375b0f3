// SPDX-License-Identifier: MIT

package host

import (
	"slices"

	"golang.org/x/sys/unix"

	"nicteam/internal/rtnl"
)

// reorderRoutes restores the order of members' routes among routes of the same key. Routes of other links are never
// touched, so a place between two of them cannot be restored.
func (b *giveBack) reorderRoutes() error {
	routes, err := b.h.rt.Routes()
	if err != nil {
		return err
	}
	all := rtnl.IndexRoutes(routes)
	done := map[rtnl.RouteKey]bool{}
	for _, r := range b.members {
		order := rtnl.IndexRoutes(r.was.Order)
		for _, first := range r.was.Order {
			key := rtnl.RouteKeyOf(first)
			if done[key] {
				continue
			}
			done[key] = true
			if err := b.reorderSameKey(routeRequests(all[key]), order[key]); err != nil {
				return err
			}
		}
	}
	return nil
}

func routeRequests(list []rtnl.Object) []rtnl.Object {
	var out []rtnl.Object
	for _, r := range list {
		out = append(out, rtnl.RouteRequest(r, nil))
	}
	return out
}

// reorderSameKey moves members' routes to the front or the end if the order differs.
func (b *giveBack) reorderSameKey(have, was []rtnl.Object) error {
	var want []rtnl.Object
	for _, r := range was {
		if r = rtnl.RouteRequest(r, b.indexNow); rtnl.HasRoute(have, r) {
			want = append(want, r)
		}
	}
	known := slices.DeleteFunc(slices.Clone(have), func(r rtnl.Object) bool { return !rtnl.HasRoute(want, r) })
	if slices.EqualFunc(known, want, rtnl.SameRoute) {
		return nil
	}
	foreign := func(r rtnl.Object) bool { return !b.onlyByMembers(r) }
	first := max(slices.IndexFunc(want, foreign), 0)
	for _, r := range slices.Backward(want[:first]) {
		if err := b.reinsert(r, 0); err != nil {
			return err
		}
	}
	for _, r := range want[first:] {
		if foreign(r) {
			continue
		}
		if err := b.reinsert(r, unix.NLM_F_APPEND); err != nil {
			return err
		}
	}
	return nil
}

// onlyByMembers reports whether all hops of a route are members.
func (b *giveBack) onlyByMembers(r rtnl.Object) bool {
	for _, link := range rtnl.RouteLinks(r) {
		if !slices.ContainsFunc(b.members, func(m *member) bool { return m.nic.Index == link }) {
			return false
		}
	}
	return true
}

// reinsert deletes a route and adds it elsewhere; another one of the key serves in between.
func (b *giveBack) reinsert(r rtnl.Object, where int) error {
	if err := b.noteUnlessFatal(b.h.rt.DeleteRoute(r)); err != nil {
		return err
	}
	return b.noteUnlessFatal(b.h.rt.Change("add "+rtnl.RouteText(r), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|where, r))
}
