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

// Change is a set of what others can change about a team's links.
type Change uint32

// The members of Change.
const (
	AdapterLink   Change = 1 << iota // its name, MAC, MTU, up or down, there or not
	AdapterConfig                    // its addresses, routes and neighbours
	MemberLink                       // the same of members
	MemberConfig                     // …
	OtherLink                        // links that are neither; a NIC may have come
	OtherConfig                      // addresses of those
	UpperLink                        // links on the adapter, and the bridge it is a port of: one comes, changes or goes
	UpperConfig                      // their addresses
	Rules                            // policy rules of whomever
	AdapterGroups                    // the adapter's stack joined or left a group
	AnyChange     Change = 1<<iota - 1
)

// A Follower tells what becomes of a team's links by other hands, from one subscription to rtnetlink. It reads events for
// one purpose: to know that there is something to look at, and what the adapter had at the moment it went down. Everything
// else is read from the kernel, as it is when somebody looks.
//
//	kernel ─ eventFilter ─ drain ─ take ┬ News            whoever wants to know, each with its own Change
//	                                    └ kept            the adapter's belongings, event by event
//	Look  ─ reads the adapter, compares, and puts back what it lost by going down
//
// The kernel tells that a link goes down before it takes the link's routes and IPv6 addresses away. A reading during which
// no such event has come is therefore one from before.
type Follower struct {
	h       *Host
	adapter int

	mu               sync.Mutex
	file             *os.File
	buf              []byte
	members          map[int]bool
	uppers           map[int]upperLink // as they were read last
	removed          []rtnl.Object     // addresses of the adapter that went by other hands since the last look …
	removedElsewhere []rtnl.Object     // … and of links that are not members: some of these may be behind it
	subscriptions    []*Subscription

	up         bool // the adapter is, as far as events have been read
	downs      int  // how often it went down
	missed     int  // how often events were lost
	config     journal.Config
	configAt   int64           // CLOCK_BOOTTIME of kept's lifetimes
	beforeDown *configSnapshot // what it had before it went down, until that has been put back
	whileDown  *configSnapshot // the same with all that goes while it is down, unless somebody has looked: it may be going for good; and what comes
	pending    []rtnl.Message  // events about the adapter since kept was read

	syncing    sync.Mutex     // one at a time
	lastConfig journal.Config // what the adapter had when it was last looked at
}

// configSnapshot are belongings with lifetimes as of a time.
type configSnapshot struct {
	journal.Config
	at int64 // CLOCK_BOOTTIME
}

// Subscription wakes somebody who wants to know of changes.
type Subscription struct {
	mask    Change
	changed atomic.Uint32
	c       chan struct{}
}

// C delivers when there is something to Take.
func (n *Subscription) C() <-chan struct{} { return n.c }

// Changes returns what has changed since it was last asked for.
func (n *Subscription) Changes() Change { return Change(n.changed.Swap(0)) }

func (n *Subscription) notify(c Change) {
	if c &= n.mask; c == 0 {
		return
	}
	n.changed.Or(uint32(c))
	rtnl.Signal(n.c)
}

// Follow subscribes to events, in the namespace of the calling thread, and reads what the adapter has. Run delivers news.
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

// Subscribe returns one who is told of changes.
func (f *Follower) Subscribe(of Change) *Subscription {
	n := &Subscription{mask: of, c: make(chan struct{}, 1)}
	f.mu.Lock()
	f.subscriptions = append(f.subscriptions, n)
	f.mu.Unlock()
	return n
}

// Members says which links are members. Of those that are new nobody was told anything so far, so that there is news.
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
	defer context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.file.Close()
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

// read takes events in until the socket breaks.
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

// reopen subscribes anew. What came in between is not known.
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

// eventsLost takes in that events did not arrive.
func (f *Follower) eventsLost() {
	f.missed++
	f.notify(AnyChange)
}

func (f *Follower) notify(c Change) {
	for _, n := range f.subscriptions {
		n.notify(c)
	}
}

// CatchUp takes in the events that wait.
func (f *Follower) catchUp() {
	if raw, err := f.file.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _ = f.drain(int(fd)) }) // a broken socket is Run's to mend
	}
}

// drain reads the events that wait; the error is what a broken socket says.
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

// handle takes one event in.
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
	case f.uppers[index].index != 0 || f.standsOnUpper(m.Body):
		f.notify(UpperLink | OtherLink)
	default:
		f.notify(OtherLink)
	}
}

// noteRemoval notes an address that goes: one that comes and goes between two looks has been used, too.
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

// maxRemoved is how many addresses that went are kept until somebody looks.
const maxRemoved = 64

// standsOnUpper reports whether the link of an event stands on the adapter, or on what does.
func (f *Follower) standsOnUpper(body []byte) (yes bool) {
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

// setUp takes in whether the adapter is up. When it goes down, what it had is what was read last with what has come since.
func (f *Follower) setUp(up bool) {
	if f.up && !up {
		f.downs++
		for _, m := range f.pending {
			f.config.ApplyEvent(m, f.adapter, f.configAt)
		}
		f.pending = nil
		if f.beforeDown == nil {
			f.beforeDown = &configSnapshot{f.config, f.configAt}
			f.whileDown = &configSnapshot{f.config, f.configAt}
		}
	}
	f.up = up
}

func (f *Follower) handleRoute(m rtnl.Message) {
	adapter, member := false, false
	rtnl.EventLinks(m.Body, func(index int) {
		adapter = adapter || index == f.adapter
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

// maxPending is how many events are kept between two readings. In a flood the first of them have to do.
const maxPending = 256

// recordEvent takes in what became of the adapter's belongings. While it is down the kernel takes them away, all but IPv4
// addresses: those that go are taken by somebody.
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
	if f.whileDown != nil && m.Kind == unix.RTM_NEWADDR {
		f.whileDown.ApplyEvent(m, f.adapter, f.whileDown.at)
	}
}
