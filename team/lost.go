// SPDX-License-Identifier: MIT

package team

// fromDatapath returns the input that a report of the data path is: one of a lost link, if the link watch believes it,
// is what that watch would have reported itself.
func (t *Team) fromDatapath(c Control) Input {
	if c.Kind == ControlLost {
		if s, believed := t.watch.Lost(c.Index, c.Down); believed {
			return LinkChanged{s}
		}
	}
	return FromDatapath{c}
}
