// SPDX-License-Identifier: MIT

package control

import (
	"context"

	"nicteam/internal/api"
)

// Backend is a running team, for the server. Any goroutine may call all methods. The client gets an error that is a
// *api.Problem unchanged, any other as a Problem of kind Failed.
type Backend interface {
	// Status returns the team's current state, nil while the team starts; the caller only reads it.
	Status() *api.Status
	// Meter returns a function that returns the traffic since its last call, at first since Meter was called.
	Meter() func() *api.Rates
	// Totals reads the counters.
	Totals() *api.Totals
	// History returns the recorded traffic of a period.
	History(api.HistoryQuery) (*api.History, error)
	// Events delivers the recorded events, oldest first, with follow also new ones until ctx ends. Then it closes the
	// channel. A slow receiver loses events.
	Events(ctx context.Context, follow bool) <-chan api.Event
	// Explain returns which member carries the flow ("tcp 10.0.0.1:5000 10.0.0.2:80") and why.
	Explain(flow string) (*api.Explanation, error)
	// Peers lists the peers that the team steers; ctx bounds the wait for the control loop.
	Peers(ctx context.Context) (*api.Peers, error)

	// The changes return the steps done, as texts for people.
	Add(ctx context.Context, names []string, o ChangeOptions) (steps []string, err error)
	Remove(ctx context.Context, names []string, o ChangeOptions) (steps []string, err error)
	Set(ctx context.Context, settings map[string]string, o ChangeOptions) (steps []string, err error)
	// Apply makes NICs and settings what a configuration says, as one change. No steps: they are so.
	Apply(ctx context.Context, want Config, o ChangeOptions) (steps []string, err error)
	// Delete releases the NICs and returns when the host is as it was; the process exits after the answer is sent.
	Delete(ctx context.Context, o ChangeOptions) (steps []string, err error)
	// Plan returns what a change would do, and changes nothing. What --force would accept is in the plan, not an error.
	Plan(ctx context.Context, c Change) (*api.Plan, error)
	// Confirm keeps the change that waits for confirmation; Revert undoes it at once. After the Revert of a create the
	// process exits.
	Confirm(ctx context.Context) (steps []string, err error)
	Revert(ctx context.Context) (steps []string, err error)
	// Stop ends the process. With handover it leaves everything to the next process; else it releases the NICs first,
	// as Delete does, and keeps what a later start uses.
	Stop(ctx context.Context, handover bool) (steps []string, err error)
}
