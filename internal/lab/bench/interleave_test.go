// SPDX-License-Identifier: MIT

package main

import (
	"context"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Contestants that have their turns at a measure after others get rows of their own.
func TestTurnsAfterOthers(t *testing.T) {
	b := &bench{options: options{only: regexp.MustCompile("")}, report: &report{}}
	m := b.measure("create", "", "ms")
	for i, name := range []string{relay, fast} {
		b.repeat(t.Context(), 2, name, m, func(_ context.Context, n int) (float64, error) {
			return float64(10*i + n), nil
		})
	}
	got := map[string]figures{}
	for _, r := range m.Cases {
		got[r.Name] = r.Samples
	}
	if diff := cmp.Diff(map[string]figures{relay: {0, 1}, fast: {10, 11}}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
