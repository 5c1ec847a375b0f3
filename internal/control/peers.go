package control

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"nicteam/modes"
	"nicteam/modes/steer"
	"nicteam/team"
)

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

// peersTime bounds the wait for the control loop.
const peersTime = 2 * time.Second

// PeersOf makes the document of what the mode of a team knows; name gives a member's name.
func PeersOf(st *team.Status, list []steer.Peer, name func(id int) string) *Peers {
	doc := &Peers{Schema: "nicteam.peers/v1", Team: st.Team, Reason: unsteered(st), Peers: []Peer{}}
	for _, p := range list {
		doc.Peers = append(doc.Peers, Peer{Address: p.Address.String(), Ours: p.Ours.String(), MAC: p.MAC.String(), VLAN: p.VLAN,
			Member: name(p.Member), Since: p.Since, Seen: p.Seen, RxBps: p.RxBps, Told: p.Told})
	}
	return doc
}

// unsteered says why a team steers no peers, "" when it does.
func unsteered(st *team.Status) string {
	switch {
	case st.Mode != modes.ELB.String():
		return "mode " + st.Mode + " leaves it to the switch by which NIC peers reach the team"
	case !st.Balance:
		return "balance is off: every peer reaches the team by the active NIC"
	case !st.Settings.ReceiveBalance:
		return "receive_balance is off: every peer reaches the team by the active NIC"
	}
	return ""
}

func (s *Server) peers(_ http.ResponseWriter, r *http.Request, _ url.Values) (any, error) {
	ctx, cancel := context.WithTimeout(r.Context(), peersTime)
	defer cancel()
	p, err := s.b.Peers(ctx)
	if err != nil {
		return nil, err
	}
	return p, nil
}
