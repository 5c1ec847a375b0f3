package host

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Among IPv4 routes of one destination, metric and table the kernel takes the first that works, so their
// order is part of what must be as before.

// rivals are the IPv4 routes of all links that share their key with one of mine, in the kernel's order, where there is
// more than one.
func rivals(all, mine []object) []object {
	count := map[routeKey]int{}
	for _, r := range all {
		count[keyOf(r)]++
	}
	var out []object
	for _, r := range all {
		shares := func(m object) bool { return keyOf(m) == keyOf(r) }
		if r.family() == unix.AF_INET && count[keyOf(r)] > 1 && slices.ContainsFunc(mine, shares) {
			out = append(out, r)
		}
	}
	return out
}

// reorder brings members' routes into the place among their rivals that they had. Routes of other links are never
// touched, so a place between two of those cannot be had again.
func (b *back) reorder() error {
	all, err := b.h.allRoutes()
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

func group(list []object, key routeKey) []object {
	var out []object
	for _, r := range list {
		if keyOf(r) == key {
			out = append(out, routed(r, nil))
		}
	}
	return out
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
	if err := b.soften(b.h.deleteRoute(r)); err != nil {
		return err
	}
	return b.soften(b.h.change("add "+routeText(r), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|where, r))
}
