package spread

import "nicteam/internal/frame"

// Messages by which a host says which groups it wants, or wants no more (RFC 2236, RFC 3376, RFC 3810).
const (
	igmpReport1, igmpReport2, igmpReport3, igmpLeave = 0x12, 0x16, 0x22, 0x17
	mldReport1, mldDone, mldReport2                  = 131, 132, 143
)

// GroupReport reports whether b says which groups somebody wants. Where a Plan is PerMember such frames leave by the
// member that takes in what is for groups, and with its address also if they are of a MAC behind the adapter: a
// switch that listens to them sends a group only to where it was asked for. h is what frame.Parse found in b.
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
