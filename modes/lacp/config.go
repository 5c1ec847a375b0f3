// SPDX-License-Identifier: MIT

package lacp

import (
	"fmt"

	"nicteam/internal/frame"
)

// Config configures a system.
type Config struct {
	System  SystemID
	UserKey uint16 // 0 to 1023, the upper bits of every port's key
	Passive bool   // sends LACPDUs only to an active partner
	Fast    bool   // asks its partners for a PDU a second
	Select  Select
}

// PortConfig configures a port.
type PortConfig struct {
	ID         int // chosen by the caller, unique
	Name       string
	MAC        frame.MAC
	Number     uint16 // on the wire, from 1 on, unique; a NIC keeps it for ever
	Priority   uint16 // the lower the better
	Up         bool   // it has a carrier
	HalfDuplex bool   // then it cannot be aggregated
	SpeedBps   uint64 // 0 unknown
	Standby    bool   // stands by, though it could be used
	Preferred  bool   // its aggregator becomes active, whatever Select says
	Leaving    bool   // sends nothing more and says so, but still receives
}

// Select is which of several aggregators is active.
type Select uint8

// The policies of ad_select.
const (
	Stable       Select = iota // the active one while it works, else as Bandwidth
	Bandwidth                  // with the most bandwidth
	Count                      // with the most ports
	PortPriority               // with the best port priorities
)

var selectNames = [...]string{Stable: "stable", Bandwidth: "bandwidth", Count: "count", PortPriority: "port-priority"}

func (s Select) String() string {
	if int(s) < len(selectNames) {
		return selectNames[s]
	}
	return fmt.Sprintf("select(%d)", uint8(s))
}

// Selects returns all policies in the order of help.
func Selects() []Select { return []Select{Stable, Bandwidth, Count, PortPriority} }
