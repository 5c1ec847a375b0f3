// SPDX-License-Identifier: MIT

package fastpath

import (
	"regexp"
	"testing"
)

// underRace is set under the race detector.
var underRace bool

// serialNames are the tests that `make test` runs without the race detector, too.
var serialNames = regexp.MustCompile(`(AsTheRelay|AsGo)$`)

// serial is for a test that draws many frames and starts no goroutine: the race detector, which would find nothing,
// makes it ten times as slow, so the test is skipped under it.
func serial(t *testing.T) {
	t.Helper()
	if !serialNames.MatchString(t.Name()) {
		t.Fatalf("make test runs tests whose names end in %v without the race detector", serialNames)
	}
	if underRace {
		t.Skip("make test runs it without the race detector")
	}
}
