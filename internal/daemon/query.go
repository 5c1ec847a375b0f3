// SPDX-License-Identifier: MIT

package daemon

import (
	"context"
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/settings"
	"nicteam/modes/spread"
	"nicteam/modes/steer"
)

// Status returns the status document.
func (s *session) Status() *api.Status {
	st := s.team.Status()
	s.life.addTo(st)
	s.addSupervisor(st)
	if r := s.pending.Load(); r != nil {
		st.Pending = r.Status()
	}
	return st
}

// Meter returns a function that returns what moved since its last call.
func (s *session) Meter() func() *api.Rates { return s.team.Meter() }

// Totals reads the counters.
func (s *session) Totals() *api.Totals { return s.team.Totals() }

// History returns the traffic history. A member may be named by an altname.
func (s *session) History(q api.HistoryQuery) (*api.History, error) {
	if q.Member != "" && !slices.Contains(s.team.Config().MemberNames(), q.Member) {
		q.Member = s.host.RealName(q.Member)
	}
	return s.team.History(q)
}

// Events delivers the events in memory, and with follow the later ones.
func (s *session) Events(ctx context.Context, follow bool) <-chan api.Event {
	if follow {
		return s.team.Replay(ctx, time.Time{})
	}
	past := s.team.Events(time.Time{})
	c := make(chan api.Event, len(past))
	for _, e := range past {
		c <- e
	}
	close(c)
	return c
}

// Explain returns which member carries a flow, such as "tcp 10.0.0.1:5000 10.0.0.2:80", and why.
func (s *session) Explain(flow string) (*api.Explanation, error) {
	f, err := spread.ParseFlow(flow)
	if err != nil {
		return nil, &api.Problem{Kind: api.Usage, What: "read flow " + flow, Why: err.Error(),
			Fix: "write it as: tcp 10.0.0.1:5000 10.0.0.2:80", Err: err}
	}
	st, x := s.team.Status(), s.team.Explain(f)
	e := &api.Explanation{Schema: api.ExplainSchema, Team: st.Team, Flow: flow, Mode: st.Mode, Slot: -1,
		Member: s.team.MemberName(x.Member), Why: x.Why, Next: s.team.MemberName(x.IfDead), NextWhy: x.IfDeadWhy}
	if x.Hashed {
		e.Hash, e.Slot = st.Settings.Hash, x.Slot
	}
	if x.Age > 0 {
		e.Since = time.Now().Add(-x.Age)
	}
	e.Not = excluded(st, &x, s.team.MemberName)
	return e, nil
}

// Peers returns the peers that elb steers.
func (s *session) Peers(ctx context.Context) (*api.Peers, error) {
	list, err := s.team.Peers(ctx)
	if err != nil {
		return nil, err
	}
	return peersOf(s.team.Status(), list, s.team.MemberName), nil
}

// peersOf makes the document; name returns a member's name.
func peersOf(st *api.Status, list []steer.Peer, name func(id int) string) *api.Peers {
	doc := &api.Peers{Schema: api.PeersSchema, Team: st.Team, Reason: unsteered(st), Peers: []api.Peer{}}
	for _, p := range list {
		doc.Peers = append(doc.Peers, api.Peer{Address: p.Address.String(), Ours: p.Ours.String(), MAC: p.MAC.String(),
			VLAN:   p.VLAN,
			Member: name(p.Member), Since: p.Since, Seen: p.Seen, RxBps: p.RxBps, Told: p.Notifications})
	}
	return doc
}

// unsteered returns why a team steers no peers, "" when it does.
func unsteered(st *api.Status) string {
	switch {
	case st.Mode != settings.Find("receive_balance").Mode.String():
		return "mode " + st.Mode + " leaves it to the switch by which NIC peers reach the team"
	case !st.Balance:
		return "balance is off: every peer reaches the team by the active NIC"
	case !st.Settings.ReceiveBalance:
		return "receive_balance is off: every peer reaches the team by the active NIC"
	}
	return ""
}
