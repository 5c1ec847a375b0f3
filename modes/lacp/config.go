package lacp

import (
	"fmt"

	"nicteam/internal/frame"
)

// Config is what a system goes by.
type Config struct {
	System  SystemID
	UserKey uint16 // 0 to 1023, the upper bits of every port's key
	Passive bool   // speaks when spoken to
	Fast    bool   // wants a PDU a second of its partners
	Select  Select
}

// PortConfig is a port as it is to be.
type PortConfig struct {
	ID         int // of the caller's choosing, one a port
	Name       string
	MAC        frame.MAC
	Number     uint16 // on the wire, 1 or more, another each port; the same for a NIC for ever
	Priority   uint16 // the lower the better
	Up         bool   // it has a carrier
	HalfDuplex bool   // then it cannot be aggregated
	SpeedBps   uint64 // 0 unknown
	Standby    bool   // is to stand by though it could be used
	Preferred  bool   // its aggregator is to be the active one, whatever Select says
	Leaving    bool   // is about to go: sends nothing more and says so, but still receives
}

// Select says which aggregator is active where there are several.
type Select uint8

// The policies of ad_select.
const (
	Stable       Select = iota // the one that is, as long as it works; else as Bandwidth
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

// Selects are all policies in the order in which help lists them.
func Selects() []Select { return []Select{Stable, Bandwidth, Count, PortPriority} }
