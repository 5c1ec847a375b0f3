// SPDX-License-Identifier: MIT

package settings

import (
	"fmt"
	"strings"

	"nicteam/internal/nearest"
)

// Fault is what is wrong with a setting, wherever its value came from.
type Fault struct {
	Key      string // mtu, members[1].weight; "": of no setting
	What     string // after the key
	Why, Fix string
	NotFound bool // a NIC is named that is not a member
}

// Want is the fault of a value of another type.
func Want(t Type, got string) *Fault {
	return &Fault{What: fmt.Sprintf("want %v, got %s", t, got), Why: "values are not converted",
		Fix: fmt.Sprintf("write %v", t)}
}

// unknownWord is the fault of a word that is none of words; also are further words that may have been meant.
func unknownWord(got string, words []string, also ...string) *Fault {
	return &Fault{What: fmt.Sprintf("unknown value %q", got),
		Why: "there is no such value" + nearest.Hint(got, append(also, words...)),
		Fix: "use " + OneOf(words)}
}

func outOfRange(got, values, standard string) *Fault {
	return &Fault{What: got + " is out of range", Why: "want " + values,
		Fix: "choose a value in that range; the default is " + standard}
}

// NoMember is the fault of a NIC that is named and is not a member.
func NoMember(nic string, c *Config) *Fault {
	names := c.MemberNames()
	why := "the team has no members"
	if len(names) > 0 {
		why = "the members are " + strings.Join(names, ", ") + nearest.Hint(nic, names)
	}
	return &Fault{What: fmt.Sprintf("%q is not a member", nic), Why: why, Fix: "name a member", NotFound: true}
}

// OneOf writes a list as "a, b or c".
func OneOf(list []string) string {
	if n := len(list); n > 1 {
		return strings.Join(list[:n-1], ", ") + " or " + list[n-1]
	}
	return strings.Join(list, "")
}
