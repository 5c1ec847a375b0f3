// SPDX-License-Identifier: MIT

package export

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/units"
	"nicteam/monitor/chart"
)

// shownEvents is how many of the latest events are listed.
const shownEvents = 50

// markdown writes a text for a ticket.
func (t *Traffic) markdown(w io.Writer) error {
	h := t.History
	var b bytes.Buffer
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	stamp := func(at time.Time) string { return at.In(t.Location).Format("2006-01-02 15:04:05") }

	say("## %s\n", cell(t.title()))
	say("%s – %s %s, %s of %s known. State: %s%s.\n", stamp(h.From), stamp(h.To), h.To.In(t.Location).Format("MST"),
		t.Known().Round(time.Second), h.To.Sub(h.From), t.Status.State, because(t.Status.Reason))
	say("| | state | link | in | in, average | in, peak | out | out, average | out, peak |")
	say("|---|---|---:|---:|---:|---:|---:|---:|---:|")
	row := func(name, state, link string, rx, tx api.SeriesColumns) {
		say("| %s | %s | %s | %s | %s |", cell(name), state, link, t.figures(rx), t.figures(tx))
	}
	if h.Member == "" {
		row("**"+h.Team+"**", t.Status.State, "", h.RX, h.TX)
	}
	for _, m := range t.members() {
		link := ""
		if m.bps > 0 {
			link = units.Rate(m.bps)
		}
		row(m.Name, m.state, link, m.RX, m.TX)
	}

	amounts := make([]float64, len(h.Protocols))
	for i, p := range h.Protocols {
		amounts[i] = float64(sum(p.RX.Bytes) + sum(p.TX.Bytes))
	}
	say("\n| protocol | in | out | share |")
	say("|---|---:|---:|---:|")
	for i, share := range chart.Shares(amounts, 1000) {
		if p := h.Protocols[i]; amounts[i] > 0 {
			say("| %s | %s | %s | %.1f %% |", cell(api.ProtocolTitle(p.Name)), volume(p.RX), volume(p.TX),
				float64(share)/10)
		}
	}
	if n := len(h.Events); n > 0 {
		say("")
		if n > shownEvents {
			say("The last %d of %d events:\n", shownEvents, n)
		}
		for _, e := range h.Events[max(0, n-shownEvents):] {
			say("- %s %s", stamp(e.Time), cell(e.Text()))
		}
	}
	if _, err := w.Write(b.Bytes()); err != nil {
		return fmt.Errorf("write md: %w", err)
	}
	return nil
}

// figures returns the volume, the average over the known time, and the busiest second.
func (t *Traffic) figures(c api.SeriesColumns) string {
	average, peak := 0.0, 0.0
	if s := t.Known().Seconds(); s > 0 {
		average = 8 * float64(sum(c.Bytes)) / s
	}
	if len(c.BytesPeak) > 0 {
		peak = 8 * float64(slices.Max(c.BytesPeak))
	}
	return volume(c) + " | " + units.Rate(average) + " | " + units.Rate(max(average, peak))
}

func volume(c api.SeriesColumns) string { return units.Bytes(sum(c.Bytes)) }

func sum(list []uint64) (n uint64) {
	for _, v := range list {
		n += v
	}
	return n
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + cell(reason) + ")"
}

// cell keeps a text within its table cell or line.
func cell(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}
