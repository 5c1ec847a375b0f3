// SPDX-License-Identifier: MIT

package tui

import (
	"fmt"
	"time"

	"nicteam/internal/api"
	"nicteam/monitor/chart"
)

// The longest and the shortest period to watch; a team remembers a day.
const (
	minPeriod = 10 * time.Second
	maxPeriod = maxAge
)

// ViewFlags are the settings of a view as a user gives them. Glyphs may be "": what the terminal can.
type ViewFlags struct {
	Glyphs, Unit, View, Scale string
	Last                      time.Duration
	Term, Locale              string // $TERM, and the first of $LC_ALL, $LC_CTYPE and $LANG that says something
}

// Options reads them. An error says what is allowed.
func (w ViewFlags) Options() (o chart.Options, err error) {
	bad := func(flag, value string, err error, fix string) error {
		return &api.Problem{Kind: api.Usage, What: fmt.Sprintf("--%s: %q", flag, value), Why: err.Error(), Fix: fix,
			Err: err}
	}
	if w.Last < minPeriod || w.Last > maxPeriod {
		return o, bad("last", w.Last.String(), fmt.Errorf("a period to watch is from %v to %v", minPeriod, maxPeriod),
			"write --last 10m")
	}
	o.Last = w.Last.Truncate(time.Second)
	o.Glyphs = chart.GlyphsFor(w.Term, w.Locale)
	if w.Glyphs != "" {
		if o.Glyphs, err = chart.ParseGlyphs(w.Glyphs); err != nil {
			return o, bad("glyphs", w.Glyphs, err, "write --glyphs braille")
		}
	}
	if o.Unit, err = chart.ParseUnit(w.Unit); err != nil {
		return o, bad("unit", w.Unit, err, "write --unit mbit")
	}
	if o.View, err = chart.ParseView(w.View); err != nil {
		return o, bad("view", w.View, err, "write --view nic")
	}
	if o.Scale, err = chart.ParseScale(w.Scale); err != nil {
		return o, bad("scale", w.Scale, err, "write --scale fit")
	}
	return o, nil
}
