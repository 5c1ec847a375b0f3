// SPDX-License-Identifier: MIT

package team

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Observed is what the kernel reports of the adapter and of members' NICs, whoever changed it. What is left out is
// unchanged. Members are identified by ifindex, since names change; other NICs, and members that are absent, are
// ignored.
type Observed struct {
	MTU  int // the adapter's; 0: as it was
	NICs []ObservedNIC
}

// ObservedNIC is a member's NIC as it is.
type ObservedNIC struct {
	Link
	MTU int
}

// observed adopts changes of NICs and adapter. A member whose MTU becomes the adapter's has followed it: no event.
func (l *Loop) observed(now time.Time, in Observed, out *Output) {
	if in.MTU != 0 && in.MTU != l.mtu {
		if l.mtu != 0 {
			l.addEvent(out, now, "mtu-changed", "", fmt.Sprintf("%d, was %d", in.MTU, l.mtu))
		}
		l.mtu = in.MTU
	}
	names := map[string]string{} // old to new
	for _, n := range in.NICs {
		m := l.byIndex(n.Index)
		if m == nil || m.absent || m.reopening {
			continue
		}
		if n.Name != m.link.Name {
			names[m.link.Name] = n.Name
		}
		if n.MAC != m.link.MAC {
			l.addEvent(out, now, "mac-changed", n.Name, fmt.Sprintf("%v, was %v", n.MAC, m.link.MAC))
			m.link.MAC, l.dirty = n.MAC, true
		}
		if n.MTU != m.info.MTU {
			if n.MTU != l.mtu {
				l.addEvent(out, now, "mtu-changed", n.Name, fmt.Sprintf("%d, was %d", n.MTU, m.info.MTU))
			}
			m.info.MTU = n.MTU
		}
	}
	l.rename(now, names, out)
}

func (l *Loop) byIndex(index int) *member {
	for _, m := range l.members {
		if m.link.Index == index {
			return m
		}
	}
	return nil
}

// NameAfterRenames returns the name of an absent member after others were renamed, old to new. If one of them took its
// name, it gets the name that this one left, so that names stay unique.
func NameAfterRenames(name string, renamed map[string]string) string {
	for was, is := range renamed {
		if is == name && was != is {
			return NameAfterRenames(was, renamed)
		}
	}
	return name
}

// rename adopts new names of members' NICs, all at once: two may have swapped names.
func (l *Loop) rename(now time.Time, present map[string]string, out *Output) {
	if len(present) == 0 {
		return
	}
	l.dirty = true
	names := maps.Clone(present)
	configured := slices.Clone(l.cfg.Members) // it is published
	for _, c := range configured {
		if _, ok := present[c.Name]; !ok && NameAfterRenames(c.Name, present) != c.Name {
			names[c.Name] = NameAfterRenames(c.Name, present)
		}
	}
	for _, was := range slices.Sorted(maps.Keys(names)) {
		l.addEvent(out, now, "member-renamed", names[was], "was "+was)
	}
	renamed := func(s string) string { return cmp.Or(names[s], s) }
	l.cfg.Primary, l.cfg.Active = renamed(l.cfg.Primary), renamed(l.cfg.Active)
	for i := range configured {
		configured[i].Name = renamed(configured[i].Name)
	}
	l.cfg.Members = configured
	for _, m := range l.members {
		m.link.Name = renamed(m.link.Name)
	}
	warned := map[string]string{}
	for key, text := range l.warnings {
		if kind, was, ok := strings.Cut(key, " "); ok && names[was] != "" && slices.Contains(memberWarnings, kind) {
			key, text = kind+" "+names[was], strings.Replace(text, was, names[was], 1)
		}
		warned[key] = text
	}
	l.warnings = warned
}

// memberWarnings are the kinds of warnings about one member.
var memberWarnings = []string{"filter", "groups", "mtu", "rejoin"}
