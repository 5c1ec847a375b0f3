// SPDX-License-Identifier: MIT

package steer

import (
	"container/list"
	"net/netip"
	"time"
)

const (
	requestAge  = 3 * time.Second
	maxRequests = 1024
)

// request is one of ours for a peer's MAC, sent to a group.
type request struct {
	addressKey
	peer netip.Addr
}

// pendingRequests tell an answer to a request of ours from what others send unasked.
type pendingRequests struct {
	at    list.List // pending, the oldest in front
	index map[request]*list.Element
}

type pending struct {
	request
	at time.Time
}

// add notes a request. The oldest one makes room.
func (p *pendingRequests) add(now time.Time, r request) {
	if p.index == nil {
		p.index = map[request]*list.Element{}
	}
	if e := p.index[r]; e != nil {
		p.at.Remove(e)
	} else if p.at.Len() == maxRequests {
		p.remove(p.at.Front())
	}
	p.index[r] = p.at.PushBack(pending{r, now})
}

func (p *pendingRequests) remove(e *list.Element) {
	delete(p.index, e.Value.(pending).request)
	p.at.Remove(e)
}

// take returns when a request was sent, and removes it; false if it is not pending.
func (p *pendingRequests) take(now time.Time, r request) (time.Time, bool) {
	e := p.index[r]
	if e == nil {
		return time.Time{}, false
	}
	at := e.Value.(pending).at
	p.remove(e)
	return at, now.Sub(at) < requestAge
}

// forget removes the requests for an address of ours.
func (p *pendingRequests) forget(k addressKey) {
	for e := p.at.Front(); e != nil; {
		next := e.Next()
		if e.Value.(pending).addressKey == k {
			p.remove(e)
		}
		e = next
	}
}
