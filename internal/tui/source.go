// SPDX-License-Identifier: MIT

package tui

import (
	"context"
	"time"

	tea "charm.land/bubbletea/v2"

	"nicteam/internal/api"
	"nicteam/internal/control"
)

// Source provides the data of a team; *control.Client is one.
type Source interface {
	Status(context.Context) (*api.Status, error)
	History(context.Context, control.HistoryOptions) (*api.History, error)
	Rates(ctx context.Context, interval time.Duration, each func(*api.Rates) error) error
	Events(ctx context.Context, follow bool, each func(*api.Event) error) error
	Add(ctx context.Context, names []string, o control.ChangeOptions) ([]string, error)
	Remove(ctx context.Context, names []string, o control.ChangeOptions) ([]string, error)
	Confirm(context.Context) ([]string, error)
	Revert(context.Context) ([]string, error)
}

// Messages with data of the team.
type (
	statusMsg struct {
		status *api.Status
		back   bool // the first after the connection was lost
	}
	ratesMsg  struct{ rates *api.Rates }
	eventsMsg struct {
		events []api.Event
		first  bool // these replace all earlier events
	}
	disconnectedMsg struct{ why string }
	tickMsg         time.Time
)

// reconnectAfter is the pause before the view reconnects to a team that did not answer.
const reconnectAfter = 500 * time.Millisecond

// statusEvery is the interval of status requests without events.
const statusEvery = 5 * time.Second

// How long events are collected into one message: a team sends all recorded events at once, and a flapping link makes
// many.
const (
	collectFirst = 30 * time.Millisecond
	collect      = 200 * time.Millisecond
)

// follow sends the team's data until ctx ends. If the connection is lost, it reports that and reconnects.
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

// collectEvents sends events, and the team's status after them and at an interval.
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

// why describes an error in a few words, for the header.
func why(err error) string {
	if p, ok := err.(*api.Problem); ok {
		return p.Why
	}
	if err == nil {
		return "it has ended"
	}
	return err.Error()
}
