// SPDX-License-Identifier: MIT

package control

import (
	"context"

	"nicteam/internal/api"
)

// Backend is a running team as the server needs it. All methods may be called from any
// goroutine. An error that is a *api.Problem is passed on as it is; any other is Failed.
type Backend interface {
	// Status is the team's state as it is now; the caller only reads it.
	Status() *api.Status
	// Meter returns a function that returns what moved since its last call, at first since Meter was called.
	Meter() func() *api.Rates
	// Totals reads the counters.
	Totals() *api.Totals
	// History says what was carried when.
	History(api.HistoryQuery) (*api.History, error)
	// Events delivers the events remembered, oldest first; with follow the later ones too, until
	// ctx ends. The channel is closed at the end. A receiver that is slow loses events.
	Events(ctx context.Context, follow bool) <-chan api.Event
	// Explain says which member carries the flow ("tcp 10.0.0.1:5000 10.0.0.2:80") and why.
	Explain(flow string) (*api.Explanation, error)
	// Peers lists the peers that the team steers; ctx bounds the wait for the control loop.
	Peers(ctx context.Context) (*api.Peers, error)

	// Those that change something return what was done in steps, for people to read.
	// accept says that the caller has looked at what of others cannot go along with the NICs, and answers for it.
	Add(ctx context.Context, names []string, accept bool) (steps []string, err error)
	Remove(ctx context.Context, names []string, force bool) (steps []string, err error)
	Set(ctx context.Context, settings map[string]string) (steps []string, err error)
	// Delete begins the end of the team. It returns when the host is as it was; the process ends
	// after the answer is sent. force ends what stands on the adapter with it.
	Delete(ctx context.Context, force bool) (steps []string, err error)
}
