// SPDX-License-Identifier: MIT

package control

import (
	"context"
	"net/http"
	"net/url"

	"nicteam/internal/api"
	"nicteam/internal/metrics"
)

// metrics answers in Prometheus' text format.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request, _ url.Values) (any, error) {
	if s.b.Status() == nil {
		return nil, &api.Problem{Kind: api.NoAnswer, What: "metrics", Why: "the team is starting",
			Fix: "retry in a moment"}
	}
	s.deadline(w)
	s.scrapes.ServeHTTP(w, r)
	return nil, nil
}

// scrapes makes the handler; one for all requests, because it bounds concurrent scrapes.
func scrapes(b Backend, o Options) http.Handler {
	return metrics.Handler(metrics.Gatherer(metrics.Team{Source: b, Failovers: o.Failovers, Version: o.Version}), o.Log)
}

// Metrics asks for the team's metrics in Prometheus' text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return c.fetch(ctx, c.wait, "GET", "/metrics", nil)
}
