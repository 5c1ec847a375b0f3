// SPDX-License-Identifier: MIT

package export

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/monitor/chart"
)

// Format is a file format.
type Format string

// The formats.
const (
	SVG  Format = "svg"
	PNG  Format = "png"
	CSV  Format = "csv"
	JSON Format = "json"
	MD   Format = "md"
)

var formats = []Format{SVG, PNG, CSV, JSON, MD}

// FormatNames returns the names of all formats.
func FormatNames() (names []string) {
	for _, f := range formats {
		names = append(names, string(f))
	}
	return names
}

// Formats returns the names of all formats as a list for people.
func Formats() string { return strings.Join(FormatNames(), ", ") }

// ParseFormat reads the name of a format, and markdown.
func ParseFormat(s string) (Format, error) {
	name := Format(strings.ToLower(s))
	if name == "markdown" {
		name = MD
	}
	for _, f := range formats {
		if f == name {
			return f, nil
		}
	}
	return "", fmt.Errorf("unknown format %q: one of %s", s, Formats())
}

// Traffic is what to write: a history and the state of the team at its end.
type Traffic struct {
	History  *api.History
	Status   *api.Status
	Location *time.Location // of times in pictures and texts; tables and documents are in UTC
	Picture  Picture
}

// Known returns how much of the period is known.
func (t *Traffic) Known() time.Duration {
	var sum int64
	for _, c := range t.History.Covered {
		sum += c
	}
	return time.Duration(sum)
}

// Write writes t in a format.
func Write(w io.Writer, f Format, t Traffic) error {
	switch f {
	case SVG, PNG:
		o, err := t.Picture.options()
		if err != nil {
			return err
		}
		if f == SVG {
			return chart.SVG(w, t.data(), o)
		}
		return chart.PNG(w, t.data(), o)
	case CSV:
		return t.csv(w)
	case MD:
		return t.markdown(w)
	case JSON:
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		if err := e.Encode(t.History); err != nil {
			return fmt.Errorf("write json: %w", err)
		}
		return nil
	}
	_, err := ParseFormat(string(f))
	return err
}
