// SPDX-License-Identifier: MIT

package tui

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"

	"nicteam/internal/api"
)

// flaky is a team whose process goes away and comes back.
type flaky struct {
	fake
	away   atomic.Bool
	leaves chan struct{}
	many   int // events that it remembers
}

func (f *flaky) Status(ctx context.Context) (*api.Status, error) {
	if f.away.Load() {
		return nil, &api.Problem{Why: "its process is gone"}
	}
	return f.fake.Status(ctx)
}

func (f *flaky) Rates(ctx context.Context, _ time.Duration, each func(*api.Rates) error) error {
	for {
		select {
		case <-time.After(time.Second):
			_ = each(rates(time.Now()))
		case <-f.leaves:
			f.away.Store(true)
			return &api.Problem{Why: "its process ended"}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *flaky) Events(ctx context.Context, _ bool, each func(*api.Event) error) error {
	for i := range f.many {
		_ = each(&api.Event{Event: "member-up", Reason: fmt.Sprint(i)})
	}
	<-ctx.Done()
	return ctx.Err()
}

// TestFollow: a team is followed, lost, waited for and followed again; what it remembers comes at once.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{leaves: make(chan struct{}), many: 900}
		ctx, cancel := context.WithCancel(t.Context())
		count := map[string]int{}
		var mu sync.Mutex // messages come from several goroutines
		done := make(chan struct{})
		go func() {
			defer close(done)
			follow(ctx, f, func(m tea.Msg) {
				mu.Lock()
				defer mu.Unlock()
				switch m := m.(type) {
				case statusMsg:
					count[fmt.Sprintf("status, back %v", m.back)]++
				case disconnectedMsg:
					count["lost: "+m.why]++
				case eventsMsg:
					count["of them"] += len(m.events)
					count["events"]++
				case ratesMsg:
					count["rates"]++
				}
			})
		}()
		after := func(d time.Duration, want map[string]int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			for what, n := range want {
				if count[what] != n {
					t.Errorf("%s: %d times, want %d", what, count[what], n)
				}
			}
		}
		after(3500*time.Millisecond, map[string]int{"rates": 3, "events": 1, "of them": 900, "status, back false": 2})
		f.leaves <- struct{}{}
		after(1800*time.Millisecond, map[string]int{"lost: its process ended": 1, "lost: its process is gone": 3})
		f.away.Store(false)
		after(2*time.Second, map[string]int{"status, back true": 1, "rates": 4, "events": 2})
		cancel()
		<-done
	})
}
