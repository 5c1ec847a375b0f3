package steer

import (
	"net/netip"
	"time"
)

// What we asked all is remembered for a while, so that an answer can be told from what the network says by itself.
const (
	askedAge = 3 * time.Second
	maxAsked = 1024
)

// question is a request of ours for a peer's MAC.
type question struct {
	vlan       uint16
	peer, ours netip.Addr
}

// asked are the questions that wait for an answer, the oldest first in a ring.
type asked struct {
	at   map[question]time.Duration
	ring []asking
	head int // of ring: the oldest
}

type asking struct {
	question
	at time.Duration
}

// add notes a question. When there are too many the oldest is given up.
func (a *asked) add(t time.Duration, q question) {
	if a.at == nil {
		a.at = map[question]time.Duration{}
	}
	a.at[q] = t
	e := asking{q, t}
	if len(a.ring) < maxAsked {
		a.ring = append(a.ring, e)
		return
	}
	// A question that was asked anew, or answered, has no claim to its old place.
	if old := a.ring[a.head]; a.at[old.question] == old.at && old.question != q {
		delete(a.at, old.question)
	}
	a.ring[a.head] = e
	a.head = (a.head + 1) % maxAsked
}

// forget gives up what was asked for an address of ours.
func (a *asked) forget(k groupKey) {
	for _, e := range a.ring {
		if e.ours == k.ours && e.vlan == k.vlan {
			delete(a.at, e.question)
		}
	}
}

// take returns when the question was asked, and forgets it; false if it was not, or too long ago.
func (a *asked) take(t time.Duration, q question) (time.Duration, bool) {
	at, ok := a.at[q]
	delete(a.at, q)
	return at, ok && t-at < askedAge
}
