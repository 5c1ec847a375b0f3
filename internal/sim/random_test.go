// SPDX-License-Identifier: MIT

package sim

import (
	"flag"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

var (
	seeds = flag.Uint64("seeds", 100, "how many random worlds to run")
	start = flag.Uint64("start", 1, "seed of the first one; 0: a random one")
)

// TestRandomWorlds runs worlds of which everything is drawn from a seed. A seed that fails prints what happened, and
// goes into TestSeedsThatFailed.
func TestRandomWorlds(t *testing.T) {
	t.Parallel()
	runSeeds(t, *seeds, Run)
}

// runSeeds runs some worlds of a kind.
func runSeeds(t *testing.T, n uint64, run func(uint64) error) {
	if testing.Short() {
		n = min(n, 4)
	}
	first := *start
	if first == 0 {
		first = rand.Uint64() >> 16
	}
	t.Logf("seeds %d to %d", first, first+n-1)
	parts := uint64(runtime.GOMAXPROCS(0))
	failed := make(chan error, parts)
	var end sync.WaitGroup
	for part := range parts {
		end.Go(func() {
			for seed := first + part; seed < first+n; seed += parts {
				if err := run(seed); err != nil {
					failed <- err
				}
			}
		})
	}
	go func() { end.Wait(); close(failed) }()
	for err := range failed {
		t.Error(err)
	}
}

// TestRandomAggregations runs worlds in which all teams are in 802.3ad.
func TestRandomAggregations(t *testing.T) {
	t.Parallel()
	runSeeds(t, (*seeds+2)/3, RunAggregated)
}

// TestRandomReplacements runs worlds in which one process of a team follows the other.
func TestRandomReplacements(t *testing.T) {
	t.Parallel()
	runSeeds(t, (*seeds+4)/5, RunReplaced)
}

// TestRandomAggregatedReplacements is the same in 802.3ad.
func TestRandomAggregatedReplacements(t *testing.T) {
	t.Parallel()
	runSeeds(t, (*seeds+9)/10, RunReplacedAggregated)
}
