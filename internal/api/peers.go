package api

import "time"

// Peers is the document nicteam.peers/v1.
type Peers struct {
	Schema string `json:"schema"`
	Team   string `json:"team"`
	// Reason says why the team steers no peers at all; "" when it does, whether it knows some or not.
	Reason string `json:"reason"`
	Peers  []Peer `json:"peers"` // by address
}

// Peer is a host that was told by which member to reach an address of the team.
type Peer struct {
	Address string    `json:"address"` // the peer's
	Ours    string    `json:"ours"`    // the adapter's
	MAC     string    `json:"mac"`     // the peer's
	VLAN    uint16    `json:"vlan"`    // 0 untagged
	Member  string    `json:"member"`
	Since   time.Time `json:"since"`  // Member has been its member
	Seen    time.Time `json:"seen"`   // the last sign of it
	RxBps   uint64    `json:"rx_bps"` // what it sends here, smoothed
	Told    uint64    `json:"told"`   // how often it was told without having asked
}
