package daemon

import (
	"context"
	"slices"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/control"
	"nicteam/modes/spread"
	"nicteam/team"
)

// Status returns the status document.
func (s *session) Status() *api.Status { return s.team.Status() }

// Sample reads the counters.
func (s *session) Sample() *team.Sample { return s.team.Sample() }

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
	e := &api.Explanation{Schema: "nicteam.explain/v1", Team: st.Team, Flow: flow, Mode: st.Mode, Slot: -1,
		Member: s.team.MemberName(x.Member), Why: x.Why, Next: s.team.MemberName(x.IfDead), NextWhy: x.IfDeadWhy}
	if x.Hashed {
		e.Hash, e.Slot = st.Settings.Hash, x.Slot
	}
	if x.Age > 0 {
		e.Since = time.Now().Add(-x.Age)
	}
	return e, nil
}

// Peers returns the peers that elb steers.
func (s *session) Peers(ctx context.Context) (*api.Peers, error) {
	list, err := s.team.Peers(ctx)
	if err != nil {
		return nil, err
	}
	return control.PeersOf(s.team.Status(), list, s.team.MemberName), nil
}
