package team

import (
	"context"
	"sync"
	"time"

	"nicteam/internal/api"
)

const (
	historyLen = 1000 // events remembered
	followRoom = 256  // events that a follower may be behind before it loses some
)

// history remembers the last events and passes on new ones. A follower that is slow loses events;
// it never holds anybody up.
type history struct {
	mu        sync.Mutex
	ring      []api.Event
	next      int // where the next one goes once the ring is full
	followers map[chan api.Event]struct{}
	ended     bool
}

func (h *history) add(events []api.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range events {
		if len(h.ring) < historyLen {
			h.ring = append(h.ring, e)
		} else {
			h.ring[h.next] = e
			h.next = (h.next + 1) % historyLen
		}
		for f := range h.followers {
			select {
			case f <- e:
			default:
			}
		}
	}
}

// since returns the events remembered that are not before t, oldest first.
func (h *history) since(t time.Time) []api.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sinceLocked(t)
}

func (h *history) sinceLocked(t time.Time) []api.Event {
	list := []api.Event{}
	for i := range h.ring {
		if e := h.ring[(h.next+i)%len(h.ring)]; !e.Time.Before(t) {
			list = append(list, e)
		}
	}
	return list
}

// follow delivers past, if wanted, and then what comes until ctx ends, with no gap between.
func (h *history) follow(ctx context.Context, replay bool, t time.Time) <-chan api.Event {
	h.mu.Lock()
	defer h.mu.Unlock()
	var past []api.Event
	if replay {
		past = h.sinceLocked(t)
	}
	c := make(chan api.Event, followRoom+len(past))
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

func (h *history) leave(c chan api.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.followers[c]; ok {
		delete(h.followers, c)
		close(c)
	}
}

// end closes all followers.
func (h *history) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	for c := range h.followers {
		close(c)
	}
	h.followers = nil
}
