// SPDX-License-Identifier: MIT

package api

// LACP is what 802.3ad adds to a Status.
type LACP struct {
	Aggregator int        `json:"aggregator"` // number of the active one, 0 none
	Actor      LACPSystem `json:"actor"`
	Partner    LACPSystem `json:"partner"` // of that aggregator; system 00:00:00:00:00:00 without a partner
}

// LACPSystem is an end of an aggregator.
type LACPSystem struct {
	System         string `json:"system"`
	SystemPriority uint16 `json:"system_priority"`
	Key            uint16 `json:"key"`
}

// MemberLACP is what 802.3ad adds to a Member. States and machines have the names of IEEE 802.1AX.
type MemberLACP struct {
	Actor        LACPPort     `json:"actor"`
	Partner      LACPPort     `json:"partner"`
	Aggregator   int          `json:"aggregator"`
	Receive      string       `json:"receive"`
	Periodic     string       `json:"periodic"`
	Mux          string       `json:"mux"`
	Selected     string       `json:"selected"`
	ActorChurn   string       `json:"actor_churn"`
	PartnerChurn string       `json:"partner_churn"`
	Why          string       `json:"why,omitempty"` // why it does not distribute
	Counters     LACPCounters `json:"counters"`
}

// LACPPort is an end of a link.
type LACPPort struct {
	LACPSystem
	Port         uint16   `json:"port"`
	PortPriority uint16   `json:"port_priority"`
	State        []string `json:"state"`
}

// LACPCounters count frames.
type LACPCounters struct {
	PDUsIn     uint64 `json:"lacpdu_rx"`
	PDUsOut    uint64 `json:"lacpdu_tx"`
	MarkersIn  uint64 `json:"marker_rx"`
	MarkersOut uint64 `json:"marker_tx"`
	Bad        uint64 `json:"bad"` // received, of both
	// LACPDUs in lacpdu_rx or bad of another actor than the partner of a working port
	Foreign uint64 `json:"lacpdu_foreign"`
}

// LACPStateBits are the names of the bits of a state octet, from bit 0 on (IEEE 802.1AX, 6.4.2.3).
var LACPStateBits = [8]string{"activity", "timeout", "aggregation", "synchronization", "collecting", "distributing",
	"defaulted", "expired"}
