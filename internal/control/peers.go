package control

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"nicteam/internal/api"
	"nicteam/modes"
	"nicteam/modes/steer"
)

// peersTime bounds the wait for the control loop.
const peersTime = 2 * time.Second

// PeersOf makes the document of what the mode of a team knows; name gives a member's name.
func PeersOf(st *api.Status, list []steer.Peer, name func(id int) string) *api.Peers {
	doc := &api.Peers{Schema: "nicteam.peers/v1", Team: st.Team, Reason: unsteered(st), Peers: []api.Peer{}}
	for _, p := range list {
		doc.Peers = append(doc.Peers, api.Peer{Address: p.Address.String(), Ours: p.Ours.String(), MAC: p.MAC.String(), VLAN: p.VLAN,
			Member: name(p.Member), Since: p.Since, Seen: p.Seen, RxBps: p.RxBps, Told: p.Notifications})
	}
	return doc
}

// unsteered says why a team steers no peers, "" when it does.
func unsteered(st *api.Status) string {
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
