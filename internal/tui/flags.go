// SPDX-License-Identifier: MIT

package tui

import (
	"fmt"
	"time"

	"nicteam/internal/api"
	"nicteam/monitor/chart"
)

// Bounds of the period to watch; a team records a day.
const (
	minPeriod = 10 * time.Second
	maxPeriod = maxAge
)

// ViewFlags are the flags of a view. Glyphs "": the best that the terminal shows.
type ViewFlags struct {
	Glyphs, Unit, View, Scale string
	Last                      time.Duration
	Term, Locale              string // $TERM, and the first of $LC_ALL, $LC_CTYPE and $LANG that is set
}

// Options parses the flags. Errors name the allowed values.
func (w ViewFlags) Options() (o chart.Options, err error) {
	bad := func(flag, value string, err error, fix string) error {
		return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("--%s: %q", flag, value), Why: err.Error(), Fix: fix,
			Err: err}
	}
	if w.Last < minPeriod || w.Last > maxPeriod {
		return o, bad("last", w.Last.String(), fmt.Errorf("want a period from %v to %v", minPeriod, maxPeriod),
			"use --last 10m")
	}
	o.Last = w.Last.Truncate(time.Second)
	o.Glyphs = chart.GlyphsFor(w.Term, w.Locale)
	if w.Glyphs != "" {
		if o.Glyphs, err = chart.ParseGlyphs(w.Glyphs); err != nil {
			return o, bad("glyphs", w.Glyphs, err, "use --glyphs braille")
		}
	}
	if o.Unit, err = chart.ParseUnit(w.Unit); err != nil {
		return o, bad("unit", w.Unit, err, "use --unit mbit")
	}
	if o.View, err = chart.ParseView(w.View); err != nil {
		return o, bad("view", w.View, err, "use --view nic")
	}
	if o.Scale, err = chart.ParseScale(w.Scale); err != nil {
		return o, bad("scale", w.Scale, err, "use --scale fit")
	}
	return o, nil
}

// FlagWords are the names that a flag of the view takes: glyphs, unit, view or scale.
func FlagWords(flag string) []string { return chart.Names(flag) }
