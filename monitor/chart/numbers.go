// SPDX-License-Identifier: MIT

package chart

import (
	"fmt"
	"math"
	"nicteam/internal/units"
	"strconv"
	"strings"
)

// Live figures have a fixed width, so that nothing beside them moves.

// compact formats a value with its prefix in digits+2 cells: " 618M", "1.22G", "   0 ".
func compact(v float64, digits int) string {
	m, decimals, p := units.Scale(drawable(v), digits)
	if p == 0 {
		decimals = 0
	}
	return fmt.Sprintf("%*.*f%c", digits+1, decimals, m, units.Prefixes[p])
}

// symbol is the unit as printed.
func (u Unit) symbol() string {
	switch u {
	case Packets:
		return "pkt/s"
	case Kbit:
		return "kbit/s"
	case Mbit:
		return "Mbit/s"
	case Gbit:
		return "Gbit/s"
	}
	return "bit/s"
}

func (u Unit) divisor() (by float64, decimals int) {
	switch u {
	case Kbit:
		return 1e3, 0
	case Mbit:
		return 1e6, 1
	case Gbit:
		return 1e9, 3
	}
	return 1, 0
}

// An unknown rate (NaN) prints as a dash.

// longRate formats a rate with its unit in 12 cells, 15 in a fixed unit: "1.215 Gbit/s", " 1 214.6 Mbit/s".
func (u Unit) longRate(v float64) string {
	if math.IsNaN(v) {
		return fmt.Sprintf("%*s %6s", u.shortRateWidth(), "-", u.symbol())
	}
	if u == Auto || u == Packets {
		m, decimals, p := units.Scale(drawable(v), 4)
		if p == 0 {
			decimals = 0
		}
		return fmt.Sprintf("%5.*f %6s", decimals, m, strings.TrimSpace(units.Prefixes[p:p+1])+u.symbol())
	}
	return u.shortRate(v) + " " + u.symbol()
}

// shortRate formats a rate whose unit stands elsewhere, in shortRateWidth cells.
func (u Unit) shortRate(v float64) string {
	if math.IsNaN(v) {
		return fmt.Sprintf("%*s", u.shortRateWidth(), "-")
	}
	if u == Auto || u == Packets {
		return compact(v, 3)
	}
	by, decimals := u.divisor()
	v = drawable(v) / by
	s := groupThousands(strconv.FormatFloat(v, 'f', decimals, 64))
	if len(s) > fixedWidth {
		s = groupThousands(strconv.FormatFloat(v, 'f', 0, 64))
	}
	if len(s) > fixedWidth {
		s = strings.ReplaceAll(s, " ", "")
	}
	if len(s) > fixedWidth {
		s = strings.TrimSpace(compact(v, 3))
	}
	return fmt.Sprintf("%*s", fixedWidth, s)
}

// fixedWidth is room for 99 999.9 Mbit/s.
const fixedWidth = 8

// shortRateWidth is 5 cells, 8 in a fixed unit.
func (u Unit) shortRateWidth() int {
	if u == Auto || u == Packets {
		return 5
	}
	return fixedWidth
}

// groupThousands separates thousands by blanks (ISO 80000-1).
func groupThousands(s string) string {
	whole, rest, dot := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + " " + whole[i:]
	}
	if dot {
		return whole + "." + rest
	}
	return whole
}

// tickLabel formats a value of the y axis in at most tickWidth cells.
func (u Unit) tickLabel(v float64) string {
	by, _ := u.divisor()
	v, _ = strconv.ParseFloat(strconv.FormatFloat(drawable(v)/by, 'e', 5, 64), 64) // 3 × 0.4 prints as 1.2
	if by > 1 {
		if s := strconv.FormatFloat(v, 'f', -1, 64); len(s) <= u.tickWidth() {
			return s
		}
		if s := strconv.FormatFloat(v, 'e', -1, 64); v < 1 && len(s) <= u.tickWidth() {
			return s
		}
	}
	if v < 1 && v > 0 {
		return strconv.FormatFloat(v, 'g', 1, 64)
	}
	p := 0
	for v >= 1000 && p < len(units.Prefixes)-1 {
		v /= 1000
		p++
	}
	return strings.TrimRight(strconv.FormatFloat(v, 'f', -1, 64)+units.Prefixes[p:p+1], " ")
}

func (u Unit) tickWidth() int {
	if u == Auto || u == Packets {
		return 4
	}
	return 6
}

// formatSpeed formats a link speed: "1G", "2.5G", "?" if it is unknown.
func formatSpeed(bps float64) string {
	if drawable(bps) == 0 {
		return "?"
	}
	return Auto.tickLabel(bps)
}
