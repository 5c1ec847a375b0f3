// SPDX-License-Identifier: MIT

package rtnl

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// randomRoutes makes routes of few keys with few differences, so that many are equal or rivals.
func randomRoutes(rng *rand.Rand) []Object {
	var list []Object
	for range rng.IntN(12) {
		r := Object{Head: make([]byte, HeaderLen)}
		r.Head[0], r.Head[rtDstLen], r.Head[rtProto] = unix.AF_INET, 24, byte(3+rng.IntN(2))
		r.Set(unix.RTA_DST, []byte{10, 0, byte(rng.IntN(3)), 0})
		if rng.IntN(3) == 0 {
			r.Head[0] = unix.AF_INET6
		}
		if rng.IntN(3) == 0 {
			r.Set32(unix.RTA_PRIORITY, 100)
		}
		if rng.IntN(3) == 0 {
			hop := make([]byte, nextHopLen)
			hop[0], hop[2] = nextHopLen, byte(rng.IntN(2)) // flags, which are state
			binary.NativeEndian.PutUint32(hop[4:], uint32(rng.IntN(2)))
			r.Set(unix.RTA_MULTIPATH, hop)
		} else {
			r.Set32(unix.RTA_OIF, uint32(rng.IntN(2)))
		}
		list = append(list, r)
	}
	return list
}

// TestRouteIndex compares what uses an index with the definition.
func TestRouteIndex(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		a, b := randomRoutes(rng), randomRoutes(rng)
		in := IndexRoutes(a)
		for _, r := range b {
			if in.Has(r) != HasRoute(a, r) {
				t.Fatalf("%v: Has is %v in %v", r, in.Has(r), a)
			}
			same := slices.DeleteFunc(slices.Clone(a), func(o Object) bool { return RouteKeyOf(o) != RouteKeyOf(r) })
			if got := in.SameKey(r); !slices.EqualFunc(got, same, Object.Equal) {
				t.Fatalf("%v: same key %v, want %v", r, got, same)
			}
		}
		if got, want := UnionRoutes(a, b), Union(a, b, SameRoute); !slices.EqualFunc(got, want, Object.Equal) {
			t.Fatalf("union of %v and %v is %v, want %v", a, b, got, want)
		}
		want := slices.Clone(a)
		for _, r := range b {
			i := slices.IndexFunc(want, func(o Object) bool { return RouteID(o) == RouteID(r) })
			if i < 0 {
				want = append(want, r)
			} else {
				want[i] = r
			}
		}
		if got := Replace(a, b, RouteID); !slices.EqualFunc(got, want, Object.Equal) {
			t.Fatalf("%v replaced by %v is %v, want %v", a, b, got, want)
		}
		want = nil
		for _, r := range a {
			rivals := func(list []Object) (n int) {
				for _, o := range list {
					if RouteKeyOf(o) == RouteKeyOf(r) {
						n++
					}
				}
				return n
			}
			if r.Family() == unix.AF_INET && rivals(a) > 1 && rivals(b) > 0 {
				want = append(want, r)
			}
		}
		if got := RoutesOfSameKey(a, b); !slices.EqualFunc(got, want, Object.Equal) {
			t.Fatalf("of %v share a key with %v: %v, want %v", a, b, got, want)
		}
	}
}
