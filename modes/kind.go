package modes

import "fmt"

// Kind names a mode.
type Kind uint8

// The modes, in the order in which help lists them.
const (
	ELB Kind = iota + 1
	RoundRobin
	ActiveBackup
	XOR
	LACP
	Broadcast
)

var kindNames = map[Kind]string{
	ELB: "elb", RoundRobin: "round-robin", ActiveBackup: "active-backup",
	XOR: "xor", LACP: "802.3ad", Broadcast: "broadcast",
}

func (k Kind) String() string {
	if s, ok := kindNames[k]; ok {
		return s
	}
	return fmt.Sprintf("mode(%d)", uint8(k))
}

// HashPolicy names the fields of a frame that make a flow.
type HashPolicy uint8

// The policies, named as the kernel names them.
const (
	Layer34    HashPolicy = iota // layer3+4, the default
	Layer2                       // both MACs and the ethertype
	Layer23                      // MACs and addresses
	VLANSrcMAC                   // outer VLAN id and source MAC
)

// Reselect says when a primary that is usable again becomes active again.
type Reselect uint8

// The policies of primary_reselect.
const (
	ReselectAlways  Reselect = iota // as soon as it is usable
	ReselectBetter                  // when it is faster than the active member
	ReselectFailure                 // only when the active member fails
)
