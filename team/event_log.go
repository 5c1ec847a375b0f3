// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"sync"
	"time"

	"nicteam/internal/api"
)

const (
	maxEvents      = 1000 // events remembered
	followerBuffer = 256  // events that a follower may be behind before it loses some
)

// eventLog keeps the last events and delivers new ones. A slow follower loses events; it never blocks anybody.
type eventLog struct {
	mu        sync.Mutex
	ring      []api.Event
	next      int // where the next one goes once the ring is full
	followers map[chan api.Event]struct{}
	ended     bool
}

func (h *eventLog) add(events []api.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		if len(h.ring) < maxEvents {
			h.ring = append(h.ring, e)
		} else {
			h.ring[h.next] = e
			h.next = (h.next + 1) % maxEvents
		}
		for f := range h.followers {
			select {
			case f <- e:
			default:
			}
		}
	}
}

// sinceTime returns the events from t on, oldest first.
func (h *eventLog) sinceTime(t time.Time) []api.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sinceLocked(t)
}

func (h *eventLog) sinceLocked(t time.Time) []api.Event {
	list := []api.Event{}
	for i := range h.ring {
		if e := h.ring[(h.next+i)%len(h.ring)]; !e.Time.Before(t) {
			list = append(list, e)
		}
	}
	return list
}

// follow delivers past events, if replay, and then new ones until ctx ends, with no gap between.
func (h *eventLog) follow(ctx context.Context, replay bool, t time.Time) <-chan api.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var past []api.Event
	if replay {
		past = h.sinceLocked(t)
	}
	c := make(chan api.Event, followerBuffer+len(past))
	for _, e := range past {
		c <- e
	}
	if h.ended || ctx.Err() != nil {
		close(c)
		return c
	}
	if h.followers == nil {
		h.followers = map[chan api.Event]struct{}{}
	}
	h.followers[c] = struct{}{}
	context.AfterFunc(ctx, func() { h.leave(c) })
	return c
}

func (h *eventLog) leave(c chan api.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.followers[c]; ok {
		delete(h.followers, c)
		close(c)
	}
}

// end closes all followers.
func (h *eventLog) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for c := range h.followers {
		close(c)
	}
	h.followers = nil
}
