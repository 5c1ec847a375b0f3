// SPDX-License-Identifier: MIT

package host

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nicteam/internal/host/journal"
	"nicteam/internal/rtnl"
)

// Change is a set of changes of a team's links by others.
type Change uint32

// The elements of Change.
const (
	AdapterLink   Change = 1 << iota // name, MAC, MTU, up or down, existence
	AdapterConfig                    // addresses, routes and neighbours of the adapter
	MemberLink                       // as AdapterLink, of a member
	MemberConfig                     // as AdapterConfig, of a member
	OtherLink                        // as AdapterLink, of another link: maybe a new NIC
	OtherConfig                      // addresses of another link
	UpperLink                        // a link on top of the adapter, or the bridge that it is a port of
	UpperConfig                      // addresses of such a link
	UpperRoutes                      // routes of such a link
	Rules                            // policy rules of any link
	AdapterGroups                    // multicast groups of the adapter's stack
	AnyChange     Change = 1<<iota - 1
)

// A Follower reports changes of a team's links by others, from one subscription to rtnetlink. Events only say that
// something changed, and what the adapter had when it went down. Everything else is read from the kernel when it is
// needed.
//
//	kernel ─ socket filter ─ drain ─ handle ┬ Subscription   each with its own set of Changes
//	                                        └ config         the adapter's, event by event
//	Sync   reads the adapter, compares, restores what it lost by going down
//
// The kernel reports that a link goes down before it removes the link's routes and IPv6 addresses. So a reading during
// which no such event came is from before.
type Follower struct {
	h       *Host
	adapter int

	mu               sync.Mutex
	file             *os.File
	buf              []byte
	members          map[int]bool
	uppers           map[int]upperLink // as last read
	removed          []rtnl.Object     // removed from the adapter by others since the last Sync
	removedElsewhere []rtnl.Object     // removed from links that are not members
	subscriptions    []*Subscription

	up         bool // the adapter's, according to the events read
	downs      int  // how often the adapter went down
	missed     int  // how often events were lost
	config     journal.Config
	configAt   int64           // CLOCK_BOOTTIME of config's lifetimes
	beforeDown *configSnapshot // config before the adapter went down, until it is restored
	whileDown  *configSnapshot // the same with changes while it is down, as it may be going for good
	pending    []rtnl.Message  // events about the adapter since config was read

	syncing    sync.Mutex     // serialises Sync
	lastConfig journal.Config // at the last Sync
}

// configSnapshot is a config whose lifetimes are of one time.
type configSnapshot struct {
	journal.Config
	at    int64 // CLOCK_BOOTTIME
	downs int   // how often the adapter had gone down, this time included
}

// Subscription signals changes to one subscriber.
type Subscription struct {
	mask    Change
	changed atomic.Uint32
	c       chan struct{}
}

// C receives when there are Changes.
func (n *Subscription) C() <-chan struct{} { return n.c }

// Changes returns the changes since the last call.
func (n *Subscription) Changes() Change { return Change(n.changed.Swap(0)) }

func (n *Subscription) notify(c Change) {
	if c &= n.mask; c == 0 {
		return
	}
	n.changed.Or(uint32(c))
	rtnl.Signal(n.c)
}

// Follow subscribes to rtnetlink events, in the namespace of the calling thread. Run reads them.
func (h *Host) Follow(adapter int) (*Follower, error) {
	f := &Follower{h: h, adapter: adapter, buf: make([]byte, rtnl.EventBufferLen), members: map[int]bool{}}
	var err error
	if f.file, err = rtnl.SubscribeFiltered(); err != nil {
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	a, err := h.ReadLink(adapter)
	if err != nil {
		f.file.Close()
		return nil, err
	}
	f.up = a.Up
	return f, nil
}

// Subscribe returns a subscription to the changes in of.
func (f *Follower) Subscribe(of Change) *Subscription {
	n := &Subscription{mask: of, c: make(chan struct{}, 1)}
	f.mu.Lock()
	f.subscriptions = append(f.subscriptions, n)
	f.mu.Unlock()
	return n
}

// Members sets which links are members. A new one counts as a change: its events so far were nobody's.
func (f *Follower) Members(indexes []int) {
	next := map[int]bool{}
	for _, i := range indexes {
		next[i] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range next {
		if !f.members[i] {
			f.notify(MemberLink | MemberConfig)
			break
		}
	}
	f.members = next
}

// Run reads events until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	// A deadline ends the read. Close would wait for it, and it waits for mu.
	defer context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		_ = f.file.SetReadDeadline(time.Unix(1, 0))
	})()
	for ctx.Err() == nil {
		f.mu.Lock()
		file := f.file
		f.mu.Unlock()
		f.read(file)
		if ctx.Err() != nil {
			break
		}
		f.reopen(ctx)
	}
	f.mu.Lock()
	f.file.Close()
	f.mu.Unlock()
}

// read reads events until the socket breaks.
func (f *Follower) read(file *os.File) {
	raw, err := file.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.drain(int(fd)) != nil
	})
}

// reopen opens a new socket. Events in between are lost.
func (f *Follower) reopen(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(rtnl.ReopenGap):
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if file, err := rtnl.SubscribeFiltered(); err == nil {
		f.file.Close()
		f.file = file
	}
	f.eventsLost()
}

// eventsLost signals every change, because events were lost.
func (f *Follower) eventsLost() {
	f.missed++
	f.notify(AnyChange)
}

func (f *Follower) notify(c Change) {
	for _, n := range f.subscriptions {
		n.notify(c)
	}
}

// catchUp reads the pending events.
func (f *Follower) catchUp() {
	if raw, err := f.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = f.drain(int(fd)) }) // Run handles a broken socket
	}
}

// drain reads the pending events; the error is that of a broken socket.
func (f *Follower) drain(fd int) error {
	for {
		n, err := unix.Read(fd, f.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			f.eventsLost()
			continue
		case err != nil:
			return err
		}
		rtnl.EachMessage(f.buf[:n], f.handle)
	}
}

// handle dispatches one event.
func (f *Follower) handle(m rtnl.Message) {
	index, ok := m.Index()
	if !ok {
		return
	}
	switch m.Kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		f.handleLink(m, index)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		switch {
		case index == f.adapter:
			f.recordEvent(m)
			f.noteRemoval(m)
			f.notify(AdapterConfig)
		case f.members[index]:
			f.notify(MemberConfig)
		case f.uppers[index].index != 0:
			f.noteRemoval(m)
			f.notify(UpperConfig)
		default:
			f.noteRemoval(m)
			f.notify(OtherConfig)
		}
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		switch {
		case index == f.adapter:
			f.recordEvent(m)
		case f.members[index] && m.Kind == unix.RTM_NEWNEIGH:
			f.notify(MemberConfig)
		}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		f.handleRoute(m)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		f.notify(Rules)
	case rtnl.RTMNewMulticast, rtnl.RTMDelMulticast:
		if index == f.adapter {
			f.notify(AdapterGroups)
		}
	}
}

func (f *Follower) handleLink(m rtnl.Message, index int) {
	switch {
	case index == f.adapter:
		if len(m.Body) >= rtnl.LinkHeaderLen && m.Kind == unix.RTM_NEWLINK {
			f.setUp(binary.NativeEndian.Uint32(m.Body[8:])&unix.IFF_UP != 0)
		}
		f.notify(AdapterLink)
	case f.members[index]:
		f.notify(MemberLink)
	case f.uppers[index].index != 0 || f.isOnUpper(m.Body):
		f.notify(UpperLink | OtherLink)
	default:
		f.notify(OtherLink)
	}
}

// noteRemoval keeps a removed address: one that came and went between two calls of Sync was in use, too.
func (f *Follower) noteRemoval(m rtnl.Message) {
	a, err := rtnl.ParseObject(m.Body, rtnl.AddressHeaderLen)
	if m.Kind != unix.RTM_DELADDR || err != nil {
		return
	}
	switch {
	case a.Index() != f.adapter:
		f.removedElsewhere = append(f.removedElsewhere[max(0, len(f.removedElsewhere)+1-maxRemoved):], a)
	case f.up || a.Family() == unix.AF_INET:
		f.removed = append(f.removed[max(0, len(f.removed)+1-maxRemoved):], a)
	}
}

// maxRemoved bounds the removed addresses that are kept between two calls of Sync.
const maxRemoved = 64

// isOnUpper reports whether the link of an event is on top of the adapter or of an upper link.
func (f *Follower) isOnUpper(body []byte) (yes bool) {
	if len(body) < rtnl.LinkHeaderLen {
		return false
	}
	rtnl.EachAttribute(body[rtnl.LinkHeaderLen:], func(kind uint16, value []byte) {
		if kind == unix.IFLA_LINK && len(value) >= 4 {
			on := int(int32(binary.NativeEndian.Uint32(value)))
			yes = yes || on == f.adapter || f.uppers[on].index != 0
		}
	})
	return yes
}

// setUp records whether the adapter is up. When it goes down, its config was the last one read plus the events since.
func (f *Follower) setUp(up bool) {
	if f.up && !up {
		f.downs++
		for _, m := range f.pending {
			f.config.ApplyEvent(m, f.adapter, f.configAt)
		}
		f.pending = nil
		if f.beforeDown == nil {
			f.beforeDown = &configSnapshot{Config: f.config, at: f.configAt}
			f.whileDown = &configSnapshot{Config: f.config, at: f.configAt}
		}
		f.beforeDown.downs = f.downs
	}
	f.up = up
}

func (f *Follower) handleRoute(m rtnl.Message) {
	adapter, member := false, false
	rtnl.EventLinks(m.Body, func(index int) {
		adapter = adapter || index == f.adapter
		if f.uppers[index].index != 0 {
			f.notify(UpperRoutes)
		}
		member = member || f.members[index]
	})
	if adapter || m.Flags&unix.NLM_F_REPLACE != 0 {
		f.recordEvent(m)
	}
	switch {
	case adapter:
		f.notify(AdapterConfig)
	case member && m.Kind == unix.RTM_NEWROUTE:
		f.notify(MemberConfig)
	}
}

// maxPending bounds the events kept between two readings. Of a flood, the first ones are kept.
const maxPending = 256

// recordEvent updates the snapshots. While the adapter is down the kernel removes its config except IPv4 addresses:
// those are removed by somebody.
func (f *Follower) recordEvent(m rtnl.Message) {
	if f.up {
		if len(f.pending) < maxPending {
			f.pending = append(f.pending, rtnl.Message{Kind: m.Kind, Flags: m.Flags, Body: slices.Clone(m.Body)})
		}
	}
	v4 := m.Body[0] == unix.AF_INET && (m.Kind == unix.RTM_NEWADDR || m.Kind == unix.RTM_DELADDR)
	if f.beforeDown != nil && (f.up || v4) {
		f.beforeDown.ApplyEvent(m, f.adapter, f.beforeDown.at)
	}
	if f.whileDown != nil && (f.up || m.Kind == unix.RTM_NEWADDR) {
		f.whileDown.ApplyEvent(m, f.adapter, f.whileDown.at)
	}
}
