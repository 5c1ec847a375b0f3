// SPDX-License-Identifier: MIT

package lacp

import "nicteam/internal/frame"

// SystemID identifies a system.
type SystemID struct {
	Priority uint16    `json:"priority"`
	MAC      frame.MAC `json:"mac"`
}

// Info is a PDU's information about one end of a link.
type Info struct {
	System       SystemID `json:"system"`
	Key          uint16   `json:"key"` // ports of a system with the same key can be aggregated
	PortPriority uint16   `json:"port_priority"`
	Port         uint16   `json:"port"` // number
	State        State    `json:"state"`
}

// State is the octet of flags in an Info.
type State uint8

// The flags of State, from bit 0 on.
const (
	Activity        State = 1 << iota // sends to a silent partner, too
	ShortTimeout                      // asks for a PDU a second, else for one every 30 s
	Aggregation                       // can be aggregated with other ports
	Synchronization                   // is in the right aggregator
	Collecting                        // receives
	Distributing                      // sends
	Defaulted                         // has no partner information
	Expired                           // the partner's PDUs have stopped
)

var stateNames = [8]string{"activity", "timeout", "aggregation", "synchronization",
	"collecting", "distributing", "defaulted", "expired"}

// Has reports whether all flags of f are set.
func (s State) Has(f State) bool { return s&f == f }

// Names lists the flags that are set, from bit 0 on.
func (s State) Names() []string {
	names := []string{}
	for i, n := range stateNames {
		if s>>i&1 != 0 {
			names = append(names, n)
		}
	}
	return names
}

// put writes an Info to b.
func (i *Info) put(b []byte) {
	put16(b[0:], i.System.Priority)
	i.System.MAC.Put(b, 2)
	put16(b[8:], i.Key)
	put16(b[10:], i.PortPriority)
	put16(b[12:], i.Port)
	b[14] = byte(i.State)
}

// infoAt reads an Info.
func infoAt(b []byte) Info {
	return Info{System: SystemID{Priority: get16(b[0:]), MAC: frame.MACAt(b, 2)}, Key: get16(b[8:]),
		PortPriority: get16(b[10:]), Port: get16(b[12:]), State: State(b[14])}
}

func put16(b []byte, v uint16) { b[0], b[1] = byte(v>>8), byte(v) }
func get16(b []byte) uint16    { return uint16(b[0])<<8 | uint16(b[1]) }
