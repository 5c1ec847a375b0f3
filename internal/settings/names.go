// SPDX-License-Identifier: MIT

package settings

import (
	"fmt"
	"strings"
)

// The bounds of an MTU: from what every IPv4 host must take in (RFC 791) to the most that a TAP takes.
const (
	MinMTU = 576
	MaxMTU = 65521
)

// badLinkName says why the kernel refuses a name for a link (dev_valid_name), "" when it takes it.
func badLinkName(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) > 15:
		return fmt.Sprintf("it has %d bytes, the name of a link has at most 15", len(s))
	case s == "." || s == "..":
		return "a link cannot have that name"
	case strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == '/' || r == ':' || r == '\u00a0' || r == '\u0085'
	}):
		return "it has a space, a slash, a colon or a control character"
	}
	return ""
}

// badTeamName says why a team cannot have a name, "" when it can: it names the adapter and files.
func badTeamName(s string) string {
	if why := badLinkName(s); why != "" {
		return why
	}
	if s == "all" || s == "default" || s == "lo" {
		return "the kernel uses that name itself"
	}
	for i, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', i > 0 && strings.ContainsRune("._-", r):
		default:
			return "the name of a team has letters, digits, and after the first also . _ -"
		}
	}
	return ""
}

func checkTeamName(c *Config) *Fault {
	if why := badTeamName(c.Team); why != "" {
		return &Fault{What: fmt.Sprintf("%q cannot be the name of a team", c.Team), Why: why,
			Fix: "choose a name such as team0"}
	}
	return nil
}
