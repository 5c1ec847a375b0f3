// SPDX-License-Identifier: MIT

package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"nicteam/internal/api"
	"nicteam/internal/control"
)

// Source is where the view learns of a team; *control.Client is one.
type Source interface {
	Status(context.Context) (*api.Status, error)
	History(context.Context, control.HistoryOptions) (*api.History, error)
	Rates(ctx context.Context, interval time.Duration, each func(*api.Rates) error) error
	Events(ctx context.Context, follow bool, each func(*api.Event) error) error
	Add(ctx context.Context, names []string, accept bool) ([]string, error)
	Remove(ctx context.Context, names []string, force bool) ([]string, error)
}

// What the team says, as messages.
type (
	statusMsg struct {
		status *api.Status
		back   bool // the first after the connection was lost
	}
	ratesMsg  struct{ rates *api.Rates }
	eventsMsg struct {
		events []api.Event
		first  bool // the memory of events begins anew
	}
	disconnectedMsg struct{ why string }
	tickMsg         time.Time
)

// reconnectAfter is how long the view waits before it asks a team again that did not answer.
const reconnectAfter = 500 * time.Millisecond

// statusEvery is how old the state of the NICs gets when nothing happens.
const statusEvery = 5 * time.Second

// How long events are gathered: a team tells all that it remembers at once, and a cable that
// flutters makes many.
const (
	collectFirst = 30 * time.Millisecond
	collect      = 200 * time.Millisecond
)

// follow sends what the team says until ctx ends. A team that goes away is reported and waited for.
func follow(ctx context.Context, src Source, send func(tea.Msg)) {
	for back := false; ctx.Err() == nil; back = true {
		err := followOnce(ctx, src, send, back)
		if ctx.Err() != nil {
			return
		}
		send(disconnectedMsg{why(err)})
		select {
		case <-ctx.Done():
		case <-time.After(reconnectAfter):
		}
	}
}

// followOnce follows one connection; it returns when any of its streams ends.
func followOnce(ctx context.Context, src Source, send func(tea.Msg), back bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	st, err := src.Status(ctx)
	if err != nil {
		return err
	}
	send(statusMsg{st, back})
	done := make(chan error, 3)
	go func() {
		done <- src.Rates(ctx, time.Second, func(r *api.Rates) error { send(ratesMsg{r}); return nil })
	}()
	events := make(chan *api.Event)
	go func() {
		done <- src.Events(ctx, true, func(e *api.Event) error {
			select {
			case events <- e:
			case <-ctx.Done():
			}
			return nil
		})
	}()
	go func() { done <- collectEvents(ctx, src, events, send) }()
	err = <-done
	cancel()
	<-done
	<-done
	return err
}

// collectEvents sends events, and the state that the team is in after them or when some time has passed.
func collectEvents(ctx context.Context, src Source, events <-chan *api.Event, send func(tea.Msg)) error {
	next := eventsMsg{first: true}
	wait := time.NewTimer(statusEvery)
	defer wait.Stop()
	for {
		select {
		case e := <-events:
			switch {
			case len(next.events) > 0:
			case next.first:
				wait.Reset(collectFirst)
			default:
				wait.Reset(collect)
			}
			next.events = append(next.events, *e)
			continue
		case <-wait.C:
		case <-ctx.Done():
			return nil
		}
		if len(next.events) > 0 {
			send(next)
			next = eventsMsg{}
		}
		st, err := src.Status(ctx)
		if err != nil {
			return err
		}
		send(statusMsg{status: st})
		wait.Reset(statusEvery)
	}
}

// why is an error in the words that fit into a header.
func why(err error) string {
	if p, ok := err.(*api.Problem); ok {
		return p.Why
	}
	if err == nil {
		return "it has ended"
	}
	return err.Error()
}
