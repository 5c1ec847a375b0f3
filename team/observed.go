package team

import (
	"fmt"
	"time"
)

// Observed is what the kernel says of the adapter and of members' NICs, whoever made it so. What it leaves out is as it
// was; a NIC of another index than the member's, or of a member that is absent, is ignored.
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
		m := l.byName(n.Name)
		if m == nil || m.absent || m.vacant || m.link.Index != n.Index {
			continue
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
