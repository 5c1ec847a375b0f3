package modes

import "nicteam/modes/lacp"

// Agreement is what 802.3ad has agreed with who is at the other end.
type Agreement struct {
	lacp.Status
	Alone  int         // the member that works though nobody answers, -1 none
	Memory lacp.Memory // for a process that takes this one's place
}

// Agreed returns what m has agreed, nil for modes that agree nothing.
func Agreed(m Mode) *Agreement { return nil }
