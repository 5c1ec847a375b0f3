// SPDX-License-Identifier: MIT

package export

import (
	"fmt"

	"nicteam/monitor/chart"
)

// Picture chooses how to draw, in a user's words. A zero field is the default.
type Picture struct {
	Width, Height     int    // pixels
	Unit, View, Scale string // names of monitor/chart
	Dark              bool
}

// BadOption is a field of a Picture that is not valid. Instead is a valid value.
type BadOption struct {
	Name, Value, Instead string
	Err                  error
}

func (b *BadOption) Error() string { return fmt.Sprintf("%s %q: %v", b.Name, b.Value, b.Err) }
func (b *BadOption) Unwrap() error { return b.Err }

// options parses the fields.
func (p Picture) options() (o chart.Options, err error) {
	for _, size := range []struct {
		name string
		v    int
	}{{"width", p.Width}, {"height", p.Height}} {
		if size.v != 0 && (size.v < chart.LeastPixels || size.v > chart.MostPixels) {
			err := fmt.Errorf("want %d to %d pixels", chart.LeastPixels, chart.MostPixels)
			return o, &BadOption{size.name, fmt.Sprint(size.v), "960", err}
		}
	}
	o = chart.Options{Width: p.Width, Height: p.Height, Dark: p.Dark}
	if p.Unit != "" {
		if o.Unit, err = chart.ParseUnit(p.Unit); err != nil {
			return o, &BadOption{"unit", p.Unit, "mbit", err}
		}
	}
	if p.View != "" {
		if o.View, err = chart.ParseView(p.View); err != nil {
			return o, &BadOption{"view", p.View, "nic", err}
		}
	}
	if p.Scale != "" {
		if o.Scale, err = chart.ParseScale(p.Scale); err != nil {
			return o, &BadOption{"scale", p.Scale, "fit", err}
		}
	}
	return o, nil
}

// Check returns a *BadOption for the first field that is not valid.
func (p Picture) Check() error {
	_, err := p.options()
	return err
}
