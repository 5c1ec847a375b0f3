// SPDX-License-Identifier: MIT

package units

import (
	"math"
	"strconv"
	"time"
)

// Delay writes a round trip time as ping does, in milliseconds: "0.31 ms".
func Delay(d time.Duration) string {
	ms := float64(d) / 1e6
	decimals := 2
	switch {
	case ms >= 999.5:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	case ms >= 99.95:
		decimals = 0
	case ms >= 9.995:
		decimals = 1
	case d > 0:
		ms = max(ms, 0.01)
	}
	return strconv.FormatFloat(ms, 'f', decimals, 64) + " ms"
}

// Percent writes a share of 1 in whole percent; what is not zero is at least 1.
func Percent(share float64) string {
	p := math.Round(100 * share)
	if share > 0 {
		p = max(p, 1)
	}
	return strconv.FormatFloat(p, 'f', 0, 64) + " %"
}
