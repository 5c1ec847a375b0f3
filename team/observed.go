package team

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Observed is what the kernel says of the adapter and of members' NICs, whoever made it so. What it leaves out is as it
// was; a NIC that is no member's, or of a member that is absent, is ignored. Members are known by their ifindex: the
// name may be another.
type Observed struct {
	MTU  int // the adapter's; 0: as it was
	NICs []ObservedNIC
}

// ObservedNIC is a member's NIC as it is.
type ObservedNIC struct {
	Link
	MTU int
}

// observed takes over what NICs and adapter are like. A member that comes to have the adapter's MTU has followed it,
// which is no event of its own.
func (l *Loop) observed(now time.Time, in Observed, out *Output) {
	if in.MTU != 0 && in.MTU != l.mtu {
		if l.mtu != 0 {
			l.event(out, now, "mtu-changed", "", fmt.Sprintf("%d, was %d", in.MTU, l.mtu))
		}
		l.mtu = in.MTU
	}
	for _, n := range in.NICs {
		m := l.byIndex(n.Index)
		if m == nil || m.absent || m.vacant {
			continue
		}
		if n.Name != m.link.Name {
			l.renamed(now, m, n.Name, out)
		}
		if n.MAC != m.link.MAC {
			l.event(out, now, "mac-changed", n.Name, fmt.Sprintf("%v, was %v", n.MAC, m.link.MAC))
			m.link.MAC, l.dirty = n.MAC, true
		}
		if n.MTU != m.info.MTU {
			if n.MTU != l.mtu {
				l.event(out, now, "mtu-changed", n.Name, fmt.Sprintf("%d, was %d", n.MTU, m.info.MTU))
			}
			m.info.MTU = n.MTU
		}
	}
}

func (l *Loop) byIndex(index int) *member {
	for _, m := range l.members {
		if m.link.Index == index {
			return m
		}
	}
	return nil
}

// renamed follows a member's NIC to its new name, by which it is managed from here on.
func (l *Loop) renamed(now time.Time, m *member, name string, out *Output) {
	was := m.link.Name
	l.event(out, now, "member-renamed", name, "was "+was)
	m.link.Name, l.dirty = name, true
	for _, s := range []*string{&l.cfg.Primary, &l.cfg.Active} {
		if *s == was {
			*s = name
		}
	}
	for i, c := range l.cfg.Members {
		if c.Name == was {
			l.cfg.Members = slices.Clone(l.cfg.Members) // it is published
			l.cfg.Members[i].Name = name
		}
	}
	for _, kind := range []string{"filter ", "groups ", "mtu "} {
		if text, ok := l.warned[kind+was]; ok {
			delete(l.warned, kind+was)
			l.warned[kind+name] = strings.Replace(text, was, name, 1)
		}
	}
}
