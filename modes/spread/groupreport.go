// SPDX-License-Identifier: MIT

package spread

import "nicteam/internal/frame"

// Messages by which hosts join and leave groups (RFC 2236, RFC 3376, RFC 3810).
const (
	igmpReport1, igmpReport2, igmpReport3, igmpLeave = 0x12, 0x16, 0x22, 0x17
	mldReport1, mldDone, mldReport2                  = 131, 132, 143
)

// GroupReport reports whether b joins or leaves a group. With Plan.PerMember such frames leave by the active member and
// with its MAC, also if they are from behind the adapter: a switch that snoops sends a group only to the port that
// asked for it, and the active member is the one that accepts groups. h is what frame.Parse found in b.
func GroupReport(h *frame.Headers, b []byte) bool {
	if h.L4 == 0 || !h.Dst.Multicast() {
		return false
	}
	switch {
	case h.EtherType == frame.TypeIPv4 && h.IPProto == frame.ProtoIGMP:
		switch b[h.L4] {
		case igmpReport1, igmpReport2, igmpReport3, igmpLeave:
			return true
		}
	case h.EtherType == frame.TypeIPv6 && h.IPProto == frame.ProtoICMPv6:
		switch b[h.L4] {
		case mldReport1, mldDone, mldReport2:
			return true
		}
	}
	return false
}
