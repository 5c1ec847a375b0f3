// SPDX-License-Identifier: MIT

// Package ifname has the kernel's rules for the names of links.
package ifname

import (
	"fmt"
	"strings"
)

// maxLen is IFNAMSIZ less its zero byte.
const maxLen = 15

// Invalid says why the kernel refuses a name for a link (dev_valid_name), "" if it accepts it.
func Invalid(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > maxLen:
		return fmt.Sprintf("it has %d bytes, the name of a link has at most %d", len(name), maxLen)
	case name == "." || name == "..":
		return "a link cannot have that name"
	case strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '/' || r == ':' || r == '\u00a0' || r == '\u0085'
	}):
		return "it has a space, a slash, a colon or a control character"
	}
	return ""
}
