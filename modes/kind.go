package modes

import (
	"fmt"

	"nicteam/modes/spread"
)

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

// Kinds are all modes in the order in which help lists them.
func Kinds() []Kind { return []Kind{ELB, RoundRobin, ActiveBackup, XOR, LACP, Broadcast} }

// Alias is what a mode's name means. The kernel's balance-tlb balances only what is sent:
// that is elb without its receive side.
type Alias struct {
	Kind              Kind
	ReceiveBalanceOff bool // receive_balance is to be off unless the user says otherwise
}

// kindAliases are the kernel's names and numbers, and what people type for them.
var kindAliases = map[string]Alias{
	"balance-rr": {Kind: RoundRobin}, "0": {Kind: RoundRobin}, "rr": {Kind: RoundRobin}, "roundrobin": {Kind: RoundRobin},
	"1": {Kind: ActiveBackup}, "activebackup": {Kind: ActiveBackup}, "failover": {Kind: ActiveBackup},
	"balance-xor": {Kind: XOR}, "2": {Kind: XOR},
	"3":    {Kind: Broadcast},
	"lacp": {Kind: LACP}, "4": {Kind: LACP}, "8023ad": {Kind: LACP},
	"balance-tlb": {Kind: ELB, ReceiveBalanceOff: true}, "5": {Kind: ELB, ReceiveBalanceOff: true}, "tlb": {Kind: ELB, ReceiveBalanceOff: true},
	"balance-alb": {Kind: ELB}, "6": {Kind: ELB}, "alb": {Kind: ELB},
}

// ParseKind reads a mode's name, the kernel's name of it, or the kernel's number.
// The error is an *UnknownError.
func ParseKind(s string) (Kind, error) {
	a, err := ParseAlias(s)
	return a.Kind, err
}

// ParseAlias is ParseKind that also tells the kernel's modes 5 and 6 apart.
func ParseAlias(s string) (Alias, error) {
	name := spread.Normal(s)
	var known []string
	for _, k := range Kinds() {
		if name == k.String() {
			return Alias{Kind: k}, nil
		}
		known = append(known, k.String())
	}
	if a, ok := kindAliases[name]; ok {
		return a, nil
	}
	also := make([]string, 0, len(kindAliases))
	for n := range kindAliases {
		also = append(also, n)
	}
	return Alias{}, spread.Unknown("mode", s, known, also)
}
