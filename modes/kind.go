// SPDX-License-Identifier: MIT

package modes

import (
	"fmt"
	"slices"

	"nicteam/modes/spread"
)

// Kind names a mode.
type Kind uint8

// The modes. A new one is a constant here, its row in Table and a file of its name.
const (
	ELB Kind = iota + 1
	RoundRobin
	ActiveBackup
	XOR
	LACP
	Broadcast
)

// Row is what others need to know of a mode.
type Row struct {
	Kind         Kind
	Name         string
	Aliases      []string // the kernel's name and number, and what people type
	TransmitOnly []string // aliases that also switch receive_balance off
	Help         string   // how it spreads frames, and what the switch must know

	oneActive   bool // one member sends everything, whatever Balance says
	ownMACs     bool // with Balance every member sends with its own MAC
	hasPartner  bool // agrees with a partner, and remembers it for the next process
	liveBalance bool // takes another Balance in a State; others are made anew

	new func() Mode
}

// Table has the row of each mode, in the order of help. Nobody may change it.
var Table = []Row{
	{Kind: ELB, Name: "elb", Aliases: []string{"balance-alb", "6", "alb"},
		TransmitOnly: []string{"balance-tlb", "5", "tlb"},
		Help: "balances both directions over mixed NICs, flow by flow; any switch. The default: nicteam " +
			"help elb.",
		ownMACs: true, new: func() Mode { return newELB() }},
	{Kind: RoundRobin, Name: "round-robin", Aliases: []string{"balance-rr", "0", "rr", "roundrobin"},
		Help: "frame by frame, by weight: one connection can use all NICs, frames may overtake each other; " +
			"the switch needs a static LAG.",
		new: func() Mode { return newSpreader(roundRobin{}) }},
	{Kind: ActiveBackup, Name: "active-backup", Aliases: []string{"1", "activebackup", "failover"},
		Help:      "one NIC works, the others stand by; any switch.",
		oneActive: true, new: func() Mode { return newActiveBackup() }},
	{Kind: XOR, Name: "xor", Aliases: []string{"balance-xor", "2"},
		Help: "each flow keeps to a NIC, chosen by its hash; the switch needs a static LAG.",
		new:  func() Mode { return newSpreader(xor{}) }},
	{Kind: LACP, Name: "802.3ad", Aliases: []string{"lacp", "4", "8023ad"},
		Help:       "as xor, agreed with the switch by LACP, which must know it: nicteam help 802.3ad.",
		hasPartner: true, liveBalance: true, new: func() Mode { return newAggregation() }},
	{Kind: Broadcast, Name: "broadcast", Aliases: []string{"3"},
		Help: "every frame by every NIC; for two networks that must both get it.",
		new:  func() Mode { return newSpreader(broadcast{}) }},
}

// row returns the row of a mode; the zero Row if there is no such mode.
func (k Kind) row() *Row {
	for i := range Table {
		if Table[i].Kind == k {
			return &Table[i]
		}
	}
	return &Row{}
}

func (k Kind) String() string {
	if name := k.row().Name; name != "" {
		return name
	}
	return fmt.Sprintf("mode(%d)", uint8(k))
}

// OneActive reports whether one member sends everything while the others stand by.
func (k Kind) OneActive(balance bool) bool { return k.row().oneActive || !balance }

// OwnMACs reports whether every member sends with its own MAC instead of the adapter's.
func (k Kind) OwnMACs(balance bool) bool { return k.row().ownMACs && balance }

// HasPartner reports whether the mode agrees with a partner, which must not notice a restart.
func (k Kind) HasPartner() bool { return k.row().hasPartner }

// StaticLAG reports whether a switch may take the members for one link without having agreed to it.
func (k Kind) StaticLAG(balance bool) bool {
	return !k.OneActive(balance) && !k.OwnMACs(balance) && !k.HasPartner()
}

// LiveBalance reports whether the mode takes another Balance in a State; others are made anew.
func (k Kind) LiveBalance() bool { return k.row().liveBalance }

// New returns the mode that the settings ask for. It plans nothing until it has a State. All settings but Kind, and
// Balance where LiveBalance is false, may change in a later State.
func New(s Settings) (Mode, error) {
	r := s.Kind.row()
	switch {
	case r.new == nil:
		return nil, fmt.Errorf("%v: no such mode", s.Kind)
	case !s.Balance && !r.liveBalance:
		return newActiveBackup(), nil
	}
	return r.new(), nil
}

// Kinds returns all modes in the order of help.
func Kinds() (kinds []Kind) {
	for _, r := range Table {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}

// Alias is what a mode's name means. The kernel's balance-tlb balances only what is sent: that is elb without its
// receive side.
type Alias struct {
	Kind              Kind
	ReceiveBalanceOff bool // receive_balance is off unless the user says otherwise
}

// ParseKind reads a mode's name, the kernel's name of it, or the kernel's number. The error is a *spread.UnknownError.
func ParseKind(s string) (Kind, error) {
	a, err := ParseAlias(s)
	return a.Kind, err
}

// ParseAlias is ParseKind that also tells the kernel's modes 5 and 6 apart.
func ParseAlias(s string) (Alias, error) {
	name := spread.Normal(s)
	var known, also []string
	for _, r := range Table {
		off := slices.Contains(r.TransmitOnly, name)
		if name == r.Name || off || slices.Contains(r.Aliases, name) {
			return Alias{r.Kind, off}, nil
		}
		known = append(known, r.Name)
		also = append(append(also, r.Aliases...), r.TransmitOnly...)
	}
	return Alias{}, spread.Unknown("mode", s, known, also)
}
