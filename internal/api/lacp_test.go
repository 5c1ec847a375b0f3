// SPDX-License-Identifier: MIT

package api_test

import (
	"slices"
	"testing"

	"nicteam/internal/api"
	"nicteam/modes/lacp"
)

func TestLACPStateBits(t *testing.T) {
	if want := lacp.State(0xff).Names(); !slices.Equal(want, api.LACPStateBits[:]) {
		t.Errorf("%q, want %q", api.LACPStateBits, want)
	}
}
