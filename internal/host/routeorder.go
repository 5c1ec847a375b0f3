package host

import (
	"slices"

	"golang.org/x/sys/unix"
)

// reorder brings members' routes into the place among their rivals that they had. Routes of other links are never
// touched, so a place between two of those cannot be had again.
func (b *back) reorder() error {
	all, err := b.h.rt.allRoutes()
	if err != nil {
		return err
	}
	done := map[routeKey]bool{}
	for _, r := range b.members {
		for _, first := range r.m.Order {
			key := keyOf(first)
			if done[key] {
				continue
			}
			done[key] = true
			if err := b.reorderGroup(group(all, key), group(r.m.Order, key)); err != nil {
				return err
			}
		}
	}
	return nil
}

// reorderGroup moves members' routes to the front or the end where the order is not as it was.
func (b *back) reorderGroup(have, was []object) error {
	var want []object
	for _, r := range was {
		if r = routed(r, b.by); hasRoute(have, r) {
			want = append(want, r)
		}
	}
	known := slices.DeleteFunc(slices.Clone(have), func(r object) bool { return !hasRoute(want, r) })
	if slices.EqualFunc(known, want, sameRoute) {
		return nil
	}
	foreign := func(r object) bool { return !b.named(r) }
	first := slices.IndexFunc(want, foreign)
	if first < 0 {
		first = 0
	}
	for _, r := range slices.Backward(want[:first]) {
		if err := b.replace(r, 0); err != nil {
			return err
		}
	}
	for _, r := range want[first:] {
		if foreign(r) {
			continue
		}
		if err := b.replace(r, unix.NLM_F_APPEND); err != nil {
			return err
		}
	}
	return nil
}

// named reports whether a route leads by members only.
func (b *back) named(r object) bool {
	for _, link := range routeLinks(r) {
		if !slices.ContainsFunc(b.members, func(m *returning) bool { return m.nic.Index == link }) {
			return false
		}
	}
	return true
}

// replace takes a route out and puts it in again elsewhere; a rival serves in between.
func (b *back) replace(r object, where int) error {
	if err := b.soften(b.h.rt.deleteRoute(r)); err != nil {
		return err
	}
	return b.soften(b.h.rt.change("add "+routeText(r), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|where, r))
}
