// SPDX-License-Identifier: MIT

package rtnl

import "slices"

// RouteIndex has the routes of a list by key, those of one key in the list's order. A router may have a hundred
// thousand routes, so nothing may go through the whole list for each of them.
type RouteIndex map[RouteKey][]Object

func IndexRoutes(list []Object) RouteIndex {
	x := make(RouteIndex, len(list))
	for _, r := range list {
		x.Add(r)
	}
	return x
}

func (x RouteIndex) Add(r Object) {
	key := RouteKeyOf(r)
	x[key] = append(x[key], r)
}

// Has reports whether the list has the route.
func (x RouteIndex) Has(r Object) bool { return HasRoute(x[RouteKeyOf(r)], r) }

// SameKey returns the routes with the key of r.
func (x RouteIndex) SameKey(r Object) []Object { return x[RouteKeyOf(r)] }

// UnionRoutes returns a and the routes of b that a has not.
func UnionRoutes(a, b []Object) []Object {
	in := IndexRoutes(a)
	return append(slices.Clone(a), slices.DeleteFunc(slices.Clone(b), in.Has)...)
}
