// SPDX-License-Identifier: MIT

// Package units writes quantities with SI prefixes, for people.
package units

import (
	"math"
	"strconv"
)

// Prefixes are the SI prefixes of a thousand to the power of their index.
const Prefixes = " kMGTPE"

// Scale splits v (0 or more) into a mantissa below 1000, rounded to digits significant digits, the decimals that show
// them, and the index of its prefix in [Prefixes].
func Scale(v float64, digits int) (mantissa float64, decimals, prefix int) {
	for {
		decimals = digits - 1
		switch {
		case v >= 100:
			decimals = digits - 3
		case v >= 10:
			decimals = digits - 2
		}
		decimals = max(decimals, 0)
		scale := math.Pow10(decimals)
		rounded := math.Round(v*scale) / scale
		if rounded < 1000 || prefix == len(Prefixes)-1 {
			// 9.9996 is written as 10.00: rounding may cost a decimal.
			if (rounded >= 10 && v < 10 || rounded >= 100 && v < 100) && decimals > 0 {
				decimals--
			}
			return rounded, decimals, prefix
		}
		v /= 1000
		prefix++
	}
}

// SI writes v with three significant digits: SI(2.5e9, "bit/s") is "2.5 Gbit/s".
func SI(v float64, unit string) string {
	m, decimals, p := Scale(v, 3)
	if p > 0 {
		unit = Prefixes[p:p+1] + unit
	} else {
		m, decimals = math.Round(m), 0
	}
	scale := math.Pow10(decimals)
	return strconv.FormatFloat(math.Round(m*scale)/scale, 'f', -1, 64) + " " + unit
}

// Rate writes bit/s.
func Rate(bps float64) string { return SI(bps, "bit/s") }

// Bytes writes a number of bytes.
func Bytes(n uint64) string { return SI(float64(n), "B") }
