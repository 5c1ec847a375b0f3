// SPDX-License-Identifier: MIT

package settings

import (
	"fmt"
	"strings"

	"nicteam/internal/ifname"
)

// The bounds of an MTU: from what every IPv4 host must take in (RFC 791) to the most that a TAP takes.
const (
	MinMTU = 576
	MaxMTU = 65521
)

// badTeamName says why a team cannot have a name, "" when it can: it names the adapter and files.
func badTeamName(s string) string {
	if why := ifname.Invalid(s); why != "" {
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
