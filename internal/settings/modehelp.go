// SPDX-License-Identifier: MIT

package settings

import (
	"fmt"
	"strings"

	"nicteam/modes"
)

// ModesHelp returns a paragraph for each mode: its name, how it spreads frames, and in brackets the kernel's names of
// it.
func ModesHelp() string {
	const indent, width = 17, 90
	var b strings.Builder
	for _, r := range modes.Table {
		text := r.Help
		if len(r.Aliases) > 0 {
			text += " [" + kernelNames(r.Aliases)
			if len(r.TransmitOnly) > 0 {
				text += "; " + kernelNames(r.TransmitOnly) + " is it with receive_balance off"
			}
			text += "]"
		}
		column := indent
		fmt.Fprintf(&b, "  %-*s", indent-2, r.Name)
		for i, word := range strings.Fields(text) {
			switch {
			case column+1+len(word) > width:
				fmt.Fprintf(&b, "\n%*s", indent, "")
				column = indent
			case i > 0:
				b.WriteByte(' ')
				column++
			}
			b.WriteString(word)
			column += len(word)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// kernelNames returns the first name and the kernel's number of a mode.
func kernelNames(aliases []string) string {
	if len(aliases) > 1 && len(aliases[1]) == 1 {
		return aliases[0] + ", " + aliases[1]
	}
	return aliases[0]
}
