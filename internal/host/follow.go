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
	AdapterHas                       // its addresses, routes and neighbours
	MemberLink                       // the same of members
	MemberHas                        // …
	OtherLink                        // links that are neither; a NIC may have come
	OtherHas                         // addresses of those
	BehindLink                       // links on the adapter, and the bridge it is a port of: one comes, changes or goes
	BehindHas                        // their addresses
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

	mu      sync.Mutex
	file    *os.File
	buf     []byte
	members map[int]bool
	behind  map[int]station // as they were read last
	gone    []rtnl.Object   // addresses of the adapter that went by other hands since the last look …
	goneToo []rtnl.Object   // … and of links that are not members: some of these may be behind it
	news    []*News

	up     bool // the adapter is, as far as events have been read
	downs  int  // how often it went down
	missed int  // how often events were lost
	kept   journal.Config
	at     int64          // CLOCK_BOOTTIME of kept's lifetimes
	before *past          // what it had before it went down, until that has been put back
	fallen *past          // the same with all that goes while it is down, unless somebody has looked: it may be going for good; and what comes
	since  []rtnl.Message // events about the adapter since kept was read

	look  sync.Mutex     // one at a time
	known journal.Config // what the adapter had when it was last looked at
}

// past are belongings with lifetimes as of a time.
type past struct {
	journal.Config
	at int64 // CLOCK_BOOTTIME
}

// News wakes somebody who wants to know of changes.
type News struct {
	of  Change
	got atomic.Uint32
	c   chan struct{}
}

// C delivers when there is something to Take.
func (n *News) C() <-chan struct{} { return n.c }

// Take returns what has changed since it was last asked for.
func (n *News) Take() Change { return Change(n.got.Swap(0)) }

func (n *News) tell(c Change) {
	if c &= n.of; c == 0 {
		return
	}
	n.got.Or(uint32(c))
	rtnl.Signal(n.c)
}

// Follow subscribes to events, in the namespace of the calling thread, and reads what the adapter has. Run delivers news.
func (h *Host) Follow(adapter int) (*Follower, error) {
	f := &Follower{h: h, adapter: adapter, buf: make([]byte, rtnl.EventBufferLen), members: map[int]bool{}}
	var err error
	if f.file, err = rtnl.SubscribeFiltered(); err != nil {
		return nil, fmt.Errorf("subscribe to events: %w", err)
	}
	a, err := h.Facts(adapter)
	if err != nil {
		f.file.Close()
		return nil, err
	}
	f.up = a.Up
	return f, nil
}

// News returns one who is told of changes.
func (f *Follower) News(of Change) *News {
	n := &News{of: of, c: make(chan struct{}, 1)}
	f.mu.Lock()
	f.news = append(f.news, n)
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
			f.tell(MemberLink | MemberHas)
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
	f.lost()
}

// lost takes in that events did not arrive.
func (f *Follower) lost() {
	f.missed++
	f.tell(AnyChange)
}

func (f *Follower) tell(c Change) {
	for _, n := range f.news {
		n.tell(c)
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
			f.lost()
			continue
		case err != nil:
			return err
		}
		rtnl.EachMessage(f.buf[:n], f.take)
	}
}

// take takes one event in.
func (f *Follower) take(m rtnl.Message) {
	index, ok := m.Index()
	if !ok {
		return
	}
	switch m.Kind {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		f.takeLink(m, index)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		switch {
		case index == f.adapter:
			f.keep(m)
			f.goes(m)
			f.tell(AdapterHas)
		case f.members[index]:
			f.tell(MemberHas)
		case f.behind[index].index != 0:
			f.goes(m)
			f.tell(BehindHas)
		default:
			f.goes(m)
			f.tell(OtherHas)
		}
	case unix.RTM_NEWNEIGH, unix.RTM_DELNEIGH:
		switch {
		case index == f.adapter:
			f.keep(m)
		case f.members[index] && m.Kind == unix.RTM_NEWNEIGH:
			f.tell(MemberHas)
		}
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		f.takeRoute(m)
	case unix.RTM_NEWRULE, unix.RTM_DELRULE:
		f.tell(Rules)
	case rtnl.RTMNewMulticast, rtnl.RTMDelMulticast:
		if index == f.adapter {
			f.tell(AdapterGroups)
		}
	}
}

func (f *Follower) takeLink(m rtnl.Message, index int) {
	switch {
	case index == f.adapter:
		if len(m.Body) >= rtnl.LinkHeaderLen && m.Kind == unix.RTM_NEWLINK {
			f.turned(binary.NativeEndian.Uint32(m.Body[8:])&unix.IFF_UP != 0)
		}
		f.tell(AdapterLink)
	case f.members[index]:
		f.tell(MemberLink)
	case f.behind[index].index != 0 || f.standsBehind(m.Body):
		f.tell(BehindLink | OtherLink)
	default:
		f.tell(OtherLink)
	}
}

// goes notes an address that goes: one that comes and goes between two looks has been used, too.
func (f *Follower) goes(m rtnl.Message) {
	a, err := rtnl.ParseObject(m.Body, rtnl.AddressHeaderLen)
	if m.Kind != unix.RTM_DELADDR || err != nil {
		return
	}
	switch {
	case a.Index() != f.adapter:
		f.goneToo = append(f.goneToo[max(0, len(f.goneToo)+1-goneMost):], a)
	case f.up || a.Family() == unix.AF_INET:
		f.gone = append(f.gone[max(0, len(f.gone)+1-goneMost):], a)
	}
}

// goneMost is how many addresses that went are kept until somebody looks.
const goneMost = 64

// standsBehind reports whether the link of an event stands on the adapter, or on what does.
func (f *Follower) standsBehind(body []byte) (yes bool) {
	if len(body) < rtnl.LinkHeaderLen {
		return false
	}
	rtnl.EachAttribute(body[rtnl.LinkHeaderLen:], func(kind uint16, value []byte) {
		if kind == unix.IFLA_LINK && len(value) >= 4 {
			on := int(int32(binary.NativeEndian.Uint32(value)))
			yes = yes || on == f.adapter || f.behind[on].index != 0
		}
	})
	return yes
}

// turned takes in whether the adapter is up. When it goes down, what it had is what was read last with what has come since.
func (f *Follower) turned(up bool) {
	if f.up && !up {
		f.downs++
		for _, m := range f.since {
			f.kept.ApplyEvent(m, f.adapter, f.at)
		}
		f.since = nil
		if f.before == nil {
			f.before = &past{f.kept, f.at}
			f.fallen = &past{f.kept, f.at}
		}
	}
	f.up = up
}

func (f *Follower) takeRoute(m rtnl.Message) {
	adapter, member := false, false
	rtnl.EventLinks(m.Body, func(index int) {
		adapter = adapter || index == f.adapter
		member = member || f.members[index]
	})
	if adapter || m.Flags&unix.NLM_F_REPLACE != 0 {
		f.keep(m)
	}
	switch {
	case adapter:
		f.tell(AdapterHas)
	case member && m.Kind == unix.RTM_NEWROUTE:
		f.tell(MemberHas)
	}
}

// sinceMost is how many events are kept between two readings. In a flood the first of them have to do.
const sinceMost = 256

// keep takes in what became of the adapter's belongings. While it is down the kernel takes them away, all but IPv4
// addresses: those that go are taken by somebody.
func (f *Follower) keep(m rtnl.Message) {
	if f.up {
		if len(f.since) < sinceMost {
			f.since = append(f.since, rtnl.Message{Kind: m.Kind, Flags: m.Flags, Body: slices.Clone(m.Body)})
		}
	}
	v4 := m.Body[0] == unix.AF_INET && (m.Kind == unix.RTM_NEWADDR || m.Kind == unix.RTM_DELADDR)
	if f.before != nil && (f.up || v4) {
		f.before.ApplyEvent(m, f.adapter, f.before.at)
	}
	if f.fallen != nil && m.Kind == unix.RTM_NEWADDR {
		f.fallen.ApplyEvent(m, f.adapter, f.fallen.at)
	}
}
