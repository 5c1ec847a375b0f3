// SPDX-License-Identifier: MIT

package relay

import (
	"hash/maphash"
	"sync"
	"time"
)

// slowTwice knows the frames of slow protocols that come by two sockets. While the slowReceiver starts or ends, a frame
// is in its socket and in the member's main one: it must be lost by neither, and it is one frame.
//
// The kernel gives sockets nothing to know a frame by but its octets. A partner may say the same twice, but each socket
// has each frame once: so a frame is known again only if it came by the other socket since both have it.
type slowTwice struct {
	mu     sync.Mutex
	recent [slowRecent]slowArrival
	next   int
	// What the main socket brought before sinceMain is not in the other one, nor what the slowReceiver brought before
	// sinceSlow in the main one.
	sinceMain, sinceSlow int64
}

// slowArrival is a frame that came by one socket, and has not come by the other.
type slowArrival struct {
	sum  uint64
	at   int64 // ns of the relay's clock; 0: none
	main bool  // by the main socket
}

const (
	// slowRecent frames may wait in one of the sockets when the other has brought them.
	slowRecent = 2 * slowBurst
	// twiceTime is longer than a frame waits in a socket, unless the machine stands still. A frame that waited in the
	// main socket at the start does not come again: a partner that says the same a second later, as at the fast rate,
	// is not mistaken.
	twiceTime = 500 * time.Millisecond
)

var slowSeed = maphash.MakeSeed()

// starts says that from now on frames come by the slowReceiver, too.
func (s *slowTwice) starts(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sinceMain = now
}

// ends says that from now on frames come by the main socket, which has skipped all of before.
func (s *slowTwice) ends(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sinceSlow = now
}

// again reports whether a frame has come by the other socket before, and else notes that it has come by this one.
func (s *slowTwice) again(now int64, b []byte, main bool) bool {
	sum := maphash.Bytes(slowSeed, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.recent {
		a := &s.recent[i]
		since := s.sinceMain
		if main {
			since = s.sinceSlow
		}
		if a.at != 0 && a.sum == sum && a.main != main && a.at >= since && now-a.at < int64(twiceTime) {
			a.at = 0
			return true
		}
	}
	s.recent[s.next] = slowArrival{sum: sum, at: now, main: main}
	s.next = (s.next + 1) % slowRecent
	return false
}
