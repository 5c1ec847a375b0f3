// SPDX-License-Identifier: MIT

package sim

import "testing"

// TestRandomForgeries runs worlds in 802.3ad in which LACPDUs are forged.
func TestRandomForgeries(t *testing.T) {
	t.Parallel()
	runSeeds(t, (*seeds+2)/3, RunForged)
}
