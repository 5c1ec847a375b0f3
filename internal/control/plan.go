// SPDX-License-Identifier: MIT

package control

import (
	"context"
	"net/url"

	"nicteam/internal/api"
)

// Change is a change of a running team that is planned, not made.
type Change struct {
	Verb     string            // add, remove, set, apply, delete
	NICs     []string          // add, remove
	Settings map[string]string // set
	Config   Config            // apply
	Options  ChangeOptions
}

// plan answers a change with dry_run: nothing is changed. It waits for no other change, and is not logged as one.
func (s *Server) plan(ctx context.Context, c Change) (any, error) {
	p, err := s.b.Plan(ctx, c)
	if err != nil {
		return nil, err
	}
	r := api.NewResult(s.name(), nil)
	r.Plan = p
	return r, nil
}

// Plan asks what a change would do. Nothing is changed.
func (c *Client) Plan(ctx context.Context, change Change) (*api.Plan, error) {
	o := change.Options
	o.DryRun = true
	var r api.Result
	var err error
	switch change.Verb {
	case "add":
		err = c.ask(ctx, changeTime, "POST", "/v1/members"+o.query(nil), membersBody{change.NICs}, &r)
	case "remove":
		if err := checkNames(change.NICs); err != nil {
			return nil, err
		}
		err = c.ask(ctx, changeTime, "DELETE", "/v1/members/"+url.PathEscape(change.NICs[0])+
			o.query(url.Values{"also": change.NICs[1:]}), nil, &r)
	case "apply":
		err = c.ask(ctx, changeTime, "PUT", "/v1/config"+o.query(nil), change.Config, &r)
	case "set":
		err = c.ask(ctx, changeTime, "PATCH", "/v1/settings"+o.query(nil), change.Settings, &r)
	default:
		err = c.ask(ctx, changeTime, "DELETE", "/v1/team"+o.query(nil), nil, &r)
	}
	if err == nil && r.Plan == nil {
		err = &api.Problem{Kind: api.NoAnswer, What: "plan: ask " + c.team, Why: "its answer has no plan",
			Fix: "check that both are of one version: nicteam version"}
	}
	return r.Plan, err
}
