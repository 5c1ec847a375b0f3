// SPDX-License-Identifier: MIT

package chart

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Options choose how to draw. The zero value is automatic units, fit to the data, by NIC, in braille.
type Options struct {
	Width, Height int // cells; pixels for SVG and PNG, 0 there is 960 × 480
	Glyphs        Glyphs
	Unit          Unit
	Scale         Scale
	View          View
	Last          time.Duration // the period to show, rounded up to a column; 0 is all there is

	// Axis keeps the scale steady between drawings, see Axis.Follow. The zero value fits each drawing.
	Axis Axis
	// EventRows is the number of rows of event texts below the chart. 0 is one row if there is room, a negative
	// value none.
	EventRows int
	// OwnScales gives each member strip its own scale.
	OwnScales bool
	// Solid fills all layers alike, for callers that colour them.
	Solid bool
	// Dark selects the colours on a dark background for SVG and PNG.
	Dark bool
	// Footer is the text in the last line of Screen.
	Footer string

	shownPeriod time.Duration // the period of the chart that the parts of a Screen stand beside
}

// Glyphs is the set of characters to draw with.
type Glyphs uint8

const (
	Braille Glyphs = iota // 2 × 4 dots a cell
	Block                 // eighths of a cell above the axis, thirds below
	ASCII                 // thirds of a cell, nothing but ASCII in any text
)

// Unit is the unit of rates.
type Unit uint8

const (
	Auto    Unit = iota // bits per second with a fitting SI prefix
	Packets             // packets per second
	Kbit
	Mbit
	Gbit
)

// View is what the layers of the areas are.
type View uint8

const (
	ByMember View = iota
	ByProtocol
	Total
)

// ScaleKind is the rule for the top of the y axis.
type ScaleKind uint8

const (
	Fit   ScaleKind = iota // the highest peak shown
	Link                   // the sum of the link speeds; Fit if that is unknown or the unit is packets
	Log                    // logarithmic, from 1 kbit/s or 1 packet/s
	Fixed                  // Value; higher rates are cut off and marked
)

// Scale is the scale of the y axis.
type Scale struct {
	Kind  ScaleKind
	Value float64 // of Fixed, in bits per second, or packets per second with that unit
}

var (
	glyphNames = []string{"braille", "block", "ascii"}
	unitNames  = []string{"auto", "packets", "kbit", "mbit", "gbit"}
	viewNames  = []string{"nic", "protocol", "total"}
	scaleNames = []string{"fit", "link", "log"}
)

// Names returns the names that the parser of an option reads: of glyphs, unit, view or scale.
func Names(option string) []string {
	return slices.Clone(map[string][]string{"glyphs": glyphNames, "unit": unitNames, "view": viewNames,
		"scale": scaleNames}[option])
}

// GlyphsFor returns the set for a terminal: braille for UTF-8, ASCII elsewhere and on the Linux console, whose font has
// neither braille nor eighths. Term is $TERM; locale is the first of $LC_ALL, $LC_CTYPE and $LANG that is not empty.
func GlyphsFor(term, locale string) Glyphs {
	locale = strings.ToLower(locale)
	utf8 := strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
	if !utf8 || term == "linux" || term == "dumb" || term == "" {
		return ASCII
	}
	return Braille
}

func (g Glyphs) String() string { return nameOf(glyphNames, int(g)) }
func (u Unit) String() string   { return nameOf(unitNames, int(u)) }
func (v View) String() string   { return nameOf(viewNames, int(v)) }

func (s Scale) String() string {
	if s.Kind == Fixed {
		return strings.TrimSpace(compact(s.Value, 3))
	}
	return nameOf(scaleNames, int(s.Kind))
}

// ParseGlyphs reads a name that String writes.
func ParseGlyphs(s string) (Glyphs, error) {
	i, err := parseName("glyphs", s, glyphNames)
	return Glyphs(i), err
}

// ParseUnit reads a name that String writes, and pps and bit.
func ParseUnit(s string) (Unit, error) {
	switch strings.ToLower(s) {
	case "pps", "pkt", "pkt/s", "packets/s":
		return Packets, nil
	case "bit", "bit/s", "bps":
		return Auto, nil
	}
	i, err := parseName("unit", strings.TrimSuffix(strings.ToLower(s), "/s"), unitNames)
	return Unit(i), err
}

// ParseView reads a name that String writes, and member.
func ParseView(s string) (View, error) {
	if strings.EqualFold(s, "member") {
		return ByMember, nil
	}
	i, err := parseName("view", s, viewNames)
	return View(i), err
}

// ParseScale reads fit, link, log or a fixed value such as 500M or 2.5G.
func ParseScale(s string) (Scale, error) {
	if v, ok := parseValue(s); ok {
		return Scale{Kind: Fixed, Value: v}, nil
	}
	i, err := parseName("scale", s, scaleNames)
	if err != nil {
		return Scale{}, fmt.Errorf("%w, or a value such as 500M or 2.5G", err)
	}
	return Scale{Kind: ScaleKind(i)}, nil
}

func parseValue(s string) (float64, bool) {
	factor := 1.0
	if s != "" {
		if i := strings.IndexByte("kMGT", s[len(s)-1]); i >= 0 {
			factor, s = math.Pow10(3*(i+1)), s[:len(s)-1]
		}
	}
	v, err := strconv.ParseFloat(s, 64)
	v *= factor
	return v, err == nil && v >= 1 && v <= maxValue
}

func parseName(what, s string, names []string) (int, error) {
	for i, n := range names {
		if strings.EqualFold(n, s) {
			return i, nil
		}
	}
	return 0, fmt.Errorf("unknown %s %q: one of %s", what, s, strings.Join(names, ", "))
}

func nameOf(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return strconv.Itoa(i)
}

func (o *Options) packets() bool { return o.Unit == Packets }
