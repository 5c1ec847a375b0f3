// SPDX-License-Identifier: MIT

package chart

import (
	"fmt"
	"nicteam/internal/units"
	"strconv"
	"strings"
	"time"
)

// Plain says what a chart shows in sentences, one a line, for screen readers and logs. No character controls a
// terminal. Peaks, shares and events are those of the period shown.
func Plain(d Data, o Options) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	rate := func(v float64) string {
		if v != v {
			return "unknown"
		}
		return strings.Join(strings.Fields(o.Unit.longRate(v)), " ")
	}
	n := o.shownBins(&d)
	w := newWindow(&d, o.Last, 1)
	from := d.End.Add(-time.Duration(min(float64(n)*float64(w.step), float64(longest))))
	total := d.total()
	say("%s at %s: in %s, out %s.", spoken(o.Glyphs, d.Name), d.End.Format(time.TimeOnly),
		rate(latestRate(total.In, o.packets())), rate(latestRate(total.Out, o.packets())))
	peak := func(bins []Bin) float64 { return highestPeak(lastBins(bins, n), o.packets()) }
	if in, out := peak(total.In), peak(total.Out); in == in || out == out {
		say("Highest of the last %s: in %s, out %s.", spokenPeriod(d.End.Sub(from)), rate(in), rate(out))
	}
	for i := range d.Members {
		m := &d.Members[i]
		say("%s%s, %s: in %s, out %s%s%s.", spoken(o.Glyphs, m.Name), spokenLink(m.Link),
			strings.ReplaceAll(spoken(o.Glyphs, m.State), ": ", ", "),
			rate(latestRate(m.In, o.packets())), rate(latestRate(m.Out, o.packets())), spokenUse(m), spokenWatch(m))
	}
	for _, note := range d.Notes {
		say("%s.", strings.TrimSuffix(spoken(o.Glyphs, note), "."))
	}
	if parts := protocolParts(&d, &o); len(parts) > 0 {
		amounts := make([]float64, len(parts))
		for i := range parts {
			amounts[i] = parts[i].amount
		}
		words := make([]string, len(parts))
		for i, share := range Shares(amounts, 100) {
			words[i] = parts[i].name + " " + strconv.Itoa(share) + " percent"
		}
		say("Protocols: %s.", strings.Join(words, ", "))
	}
	for _, e := range d.Events {
		if !e.At.Before(from) && !e.At.After(d.End) {
			at := e.At.In(d.End.Location()).Format(time.TimeOnly)
			say("At %s: %s.", at, strings.TrimSuffix(spoken(o.Glyphs, e.Text), "."))
		}
	}
	return b.String()
}

// spoken replaces the signs that a screen reader would spell.
func spoken(g Glyphs, s string) string {
	return strings.NewReplacer(" · ", ", ", " → ", ": ", "→", " to ").Replace(strings.Map(func(r rune) rune {
		if r == '→' || r == '·' {
			return r
		}
		return []rune(g.clean(string(r)))[0]
	}, s))
}

func spokenPeriod(d time.Duration) string {
	number, unit, _ := strings.Cut(formatPeriod(d), " ")
	word := map[string]string{"s": "second", "min": "minute", "h": "hour", "d": "day"}[unit]
	if number == "1" {
		return word
	}
	return number + " " + word + "s"
}

func spokenLink(bps float64) string {
	if drawable(bps) == 0 {
		return ""
	}
	return ", " + units.Rate(drawable(bps))
}

func spokenUse(m *Member) string {
	use := strings.TrimSpace(utilisation(m))
	if use == "-" {
		return ""
	}
	return ", " + strings.TrimSuffix(use, "%") + " percent used"
}

// spokenWatch says how what link watches ask answers by a member.
func spokenWatch(m *Member) (text string) {
	if m.Watched && m.RTT > 0 {
		text = ", round trip " + units.Delay(m.RTT)
	}
	if m.Watched && m.Loss > 0 {
		text += ", " + strings.ReplaceAll(units.Percent(m.Loss), " %", " percent") + " of asks lost"
	}
	return text
}
