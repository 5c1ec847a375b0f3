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
// has each frame once: so a frame is known again only if it came by the other socket, a moment ago.
type slowTwice struct {
	mu     sync.Mutex
	recent [slowRecent]slowArrival
	next   int
	since  int64 // what the main socket brought before is not in the other
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
	// mainFirst and slowFirst are how long after the main socket, and after the slowReceiver, the other one brings a
	// frame at most, unless the machine stands still. What the main socket has brought since begin always comes again.
	// What the slowReceiver has brought does not: a partner that is in order repeats nothing so soon, since the fast
	// rate is one LACPDU a second.
	mainFirst = 5 * time.Second
	slowFirst = 500 * time.Millisecond
)

var slowSeed = maphash.MakeSeed()

// begin says that from now on frames come by both sockets.
func (s *slowTwice) begin(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since = now
}

// again reports whether a frame has come by the other socket before, and else notes that it has come by this one.
func (s *slowTwice) again(now int64, b []byte, main bool) bool {
	sum := maphash.Bytes(slowSeed, b)
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.recent {
		a := &s.recent[i]
		if a.at != 0 && a.sum == sum && a.main != main && (a.main && a.at >= s.since && now-a.at < int64(mainFirst) ||
			main && now-a.at < int64(slowFirst)) {
			a.at = 0
			return true
		}
	}
	s.recent[s.next] = slowArrival{sum: sum, at: now, main: main}
	s.next = (s.next + 1) % slowRecent
	return false
}
