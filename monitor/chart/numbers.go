package chart

import (
	"fmt"
	"math"
	"nicteam/internal/units"
	"strconv"
	"strings"
)

// Every number that changes while one looks has a fixed width, so that nothing beside it moves.

// compact is a value with its prefix in digits+2 cells: " 618M", "1.22G", "   0 ".
func compact(v float64, digits int) string {
	m, decimals, p := units.Scale(number(v), digits)
	if p == 0 {
		decimals = 0
	}
	return fmt.Sprintf("%*.*f%c", digits+1, decimals, m, units.Prefixes[p])
}

// unitName is what stands behind a number of a fixed unit.
func (u Unit) unitName() string {
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

// A rate that is not known (NaN) is a dash.

// long is a rate with its unit: "1.215 Gbit/s", " 1 214.6 Mbit/s"; always 12 cells, 15 in a fixed unit.
func (u Unit) long(v float64) string {
	if math.IsNaN(v) {
		return fmt.Sprintf("%*s %6s", u.shortWidth(), "-", u.unitName())
	}
	if u == Auto || u == Packets {
		m, decimals, p := units.Scale(number(v), 4)
		if p == 0 {
			decimals = 0
		}
		return fmt.Sprintf("%5.*f %6s", decimals, m, strings.TrimSpace(units.Prefixes[p:p+1])+u.unitName())
	}
	return u.short(v) + " " + u.unitName()
}

// short is a rate where the unit is told elsewhere: 5 cells, 8 in a fixed unit.
func (u Unit) short(v float64) string {
	if math.IsNaN(v) {
		return fmt.Sprintf("%*s", u.shortWidth(), "-")
	}
	if u == Auto || u == Packets {
		return compact(v, 3)
	}
	by, decimals := u.divisor()
	v = number(v) / by
	s := group(strconv.FormatFloat(v, 'f', decimals, 64))
	if len(s) > fixedWidth {
		s = group(strconv.FormatFloat(v, 'f', 0, 64))
	}
	if len(s) > fixedWidth {
		s = strings.ReplaceAll(s, " ", "")
	}
	if len(s) > fixedWidth {
		s = strings.TrimSpace(compact(v, 3))
	}
	return fmt.Sprintf("%*s", fixedWidth, s)
}

// fixedWidth holds 99 999.9 Mbit/s.
const fixedWidth = 8

// shortWidth is the width of short.
func (u Unit) shortWidth() int {
	if u == Auto || u == Packets {
		return 5
	}
	return fixedWidth
}

// group parts thousands by blanks, as ISO 80000 writes them.
func group(s string) string {
	whole, rest, dot := strings.Cut(s, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + " " + whole[i:]
	}
	if dot {
		return whole + "." + rest
	}
	return whole
}

// tick is the label of a value on the y axis, at most tickWidth cells.
func (u Unit) tick(v float64) string {
	by, _ := u.divisor()
	v, _ = strconv.ParseFloat(strconv.FormatFloat(number(v)/by, 'e', 5, 64), 64) // 3 × 0.4 is not 1.2
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

// speed is a link speed: "1G", "2.5G", "?" for an unknown one.
func speed(bps float64) string {
	if number(bps) == 0 {
		return "?"
	}
	return Auto.tick(bps)
}
