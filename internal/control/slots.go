// SPDX-License-Identifier: MIT

package control

import (
	"fmt"
	"sync"
)

// quota bounds the connections of one kind of peers. Reserved slots, besides those of all, only serve changes and
// refusals, which are short. So a client that fills all slots with reads blocks no change.
type quota struct {
	all      slots
	reserved slots
	streams  slots // how many of all may be streams
	leaving  slots // connections that were refused, until they are closed
	waiting  slots // connections that wait for a slot

	histories chan struct{} // bounds concurrent answers to history requests
}

// waitMost bounds the connections of one kind that wait.
const waitMost = 128

// bound allows n connections, at most three quarters of them streams, and a quarter more in reserved slots. With
// shared, no user takes more than half of anything: other users, the metrics among them, find room.
func (q *quota) bound(n int, shared bool) {
	for s, bound := range map[*slots]int{&q.all: n, &q.reserved: max(n/4, 4), &q.streams: max(n*3/4, 1),
		&q.leaving: n, &q.waiting: waitMost} {
		s.bound, s.each = bound, bound
		if shared {
			s.each = max(bound/2, 1)
		}
	}
	q.histories = make(chan struct{}, 2)
}

// slots counts taken slots, up to a bound for all users and one for each.
type slots struct {
	bound, each int

	mu    sync.Mutex
	taken int
	by    map[uint32]int // by uid
}

func (s *slots) take(uid uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.bound || s.by[uid] >= s.each {
		return false
	}
	if s.by == nil {
		s.by = map[uint32]int{}
	}
	s.taken++
	s.by[uid]++
	return true
}

func (s *slots) leave(uid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.by[uid]--; s.by[uid] == 0 {
		delete(s.by, uid)
	}
}

// full says which bound keeps a user out.
func (s *slots) full(uid uint32, what string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.each < s.bound && s.taken < s.bound {
		return fmt.Sprintf("%d %s of uid %d are open", s.each, what, uid)
	}
	return fmt.Sprintf("%d %s are open", s.bound, what)
}
