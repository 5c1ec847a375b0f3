// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"strings"
	"testing"
)

// TestSeedsThatFailed runs worlds again that once showed something wrong, in the code that they test or in this
// package.
func TestSeedsThatFailed(t *testing.T) {
	for _, seed := range []uint64{1, 4, 7, 11, 12, 19, 24, 34, 37, 66, 70, 75, 89, 101, 122, 150, 159, 182, 315, 784,
		791, 100351, 102106, 300515, 301521, 303022, 304653, 304711, 504737} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if err := Run(seed); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAggregationSeedsThatFailed is the same for worlds in 802.3ad.
func TestAggregationSeedsThatFailed(t *testing.T) {
	for _, seed := range []uint64{116, 121, 182, 187, 218, 219, 325, 400, 521, 839, 935, 943, 950, 3115, 3400,
		4965, 6831} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			if err := RunAggregated(seed); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSeedsReplay: a seed leads to the same world, to the last frame.
func TestSeedsReplay(t *testing.T) {
	trace := func(seed uint64, build func(uint64) *life) string {
		l := build(seed)
		if err := l.World.Run(1e9); err != nil {
			return err.Error()
		}
		l.traffic()
		_ = l.settle()
		_ = l.phase()
		var s strings.Builder
		s.WriteString(l.story.text() + fmt.Sprint(l.now, l.packets, l.rng.Uint64()))
		for _, f := range l.flows {
			s.WriteString(fmt.Sprint(f.Name, f.Sent, f.Got, f.Last))
		}
		return s.String()
	}
	n := uint64(20)
	if testing.Short() {
		n = 4
	}
	for seed := range n {
		for _, build := range []func(uint64) *life{build, buildAggregated} {
			if a, b := trace(seed, build), trace(seed, build); a != b {
				t.Fatalf("seed %d goes two ways:\n%s\nand\n%s", seed, a, b)
			}
		}
	}
}
