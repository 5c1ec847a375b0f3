// SPDX-License-Identifier: MIT

package relay

// Transmit, one goroutine:
//
//  1. The host's stack sends a (super-)frame into the adapter; the goroutine wakes (transmitter.run).
//  2. It reads what is there, up to a batch, without waiting (read): [virtio header][frame] each.
//  3. It takes the Plan in force, once for the batch.
//  4. Each frame is parsed once; spread.Picker picks the members by which it leaves; datagrams of a flow that leave by
//     one member are joined to a super-frame in place (pick). Then they are queued on the members' sockets, and counted
//     as the frames that they become on the wire (spread). If the Plan is PerMember, the adapter's frames get the
//     member's address here, and its ARP and ND go to the control loop instead, which sends them by Send.
//  5. One sendmmsg a member (flush). The socket's send buffer bounds the member's backlog: what does not fit is
//     dropped, for nothing may wait for one member while others are idle.
//  6. What a member refused because it has no link goes to another one, once (resend).
//
// Receive, one goroutine a member, and a second one that sleeps unless the link speaks LACP (slowReceiver):
//
//  1. Frames come in by the NIC; the goroutine wakes (member.run) and receives a batch with one recvmmsg,
//     VLAN tags back in place.
//  2. It takes the Plan in force, once for the batch.
//  3. Each frame is parsed once. Slow protocol frames go to the control loop in their order, at a bounded rate
//     (slow.go). So does what answers link watches (answers.go). Of the others these are not
//     accepted (ActivePlan.Accept): frames of ours, reflected (ActivePlan.IsOwn, recentLocal), frames of members that
//     do not collect, addresses of others. If the Plan is PerMember, the control loop gets a copy of ARP and ND that is
//     for us alone.
//  4. A frame to the member's own address, or to one that it inherited, gets the adapter's. Datagrams of a flow are
//     joined to a super-frame in place (choose).
//  5. One write into the adapter's queue (deliver): the kernel takes it through its stack within the call. Super-frames
//     of tunnels, which not all kernels' TAPs accept, go by writeTunnel.
//
// Programs in the kernel may move the frames of a direction instead; gate.go describes how the goroutine that moves
// them hands them over. Between two batches a goroutine runs functions for others (betweenBatches).
//
// All goroutines write by the number of the one queue's descriptor, without a lock; Close ends them before the adapter
// may be closed.

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nicteam/internal/descriptors"
	"nicteam/internal/frame"
	"nicteam/internal/nic"
	"nicteam/internal/panics"
	"nicteam/internal/settings"
	"nicteam/internal/tap"
	"nicteam/modes/spread"
	"nicteam/team"
)

var _ team.Datapath = (*Relay)(nil)

// Options of a Relay. Only Adapter is required.
type Options struct {
	Adapter  *tap.Adapter // borrowed: Close leaves it open, and must come before its Close
	TSO, USO settings.Offload
	Logger   *slog.Logger   // nil: silent
	Panics   *panics.Keeper // nil: the Relay's own

	// Open opens a member's socket; nil: that of the process before if Store has it, else nic.Open with the backlog of
	// the NIC's speed.
	Open func(id int, l team.Link) (*nic.Socket, error)

	Store descriptors.Store // keeps the members' sockets for the next process; nil: nothing does

	// Hold: move no frame before the first Apply. What the process before this one left in the adapter's queue and in
	// the members' sockets waits for a Plan, which an empty one would drop.
	Hold bool
}

// Relay is a team.Datapath. Make it with New. Its methods may be called from any goroutine.
type Relay struct {
	adapter        *tap.Adapter
	open           func(id int, l team.Link, filter int) (*nic.Socket, error)
	store          descriptors.Store
	log            *slog.Logger
	clock          clock
	held           atomic.Bool // no goroutine moves frames
	control        *controlQueue
	recentLocal    recentLocal
	arpProbes      arpProbes
	sentByPrograms atomic.Pointer[func(frame.Station) bool] // SetSentByPrograms

	active  atomic.Pointer[ActivePlan]
	members [spread.MaxMembers]atomic.Pointer[member]
	tx      *transmitter
	filters *background
	groups  *background
	markers *markers

	accounts [spread.MaxMembers]account
	noMember [team.Drops]atomic.Uint64 // drops before a member was picked
	rxBytes  spread.RxBytes            // atomic
	panics   *panics.Keeper

	mu      sync.Mutex // Join, Leave, Apply, Counters, Close
	closed  bool
	stopped bool // Stop was called
}

// ErrNoMember is returned for a member that has not joined.
var ErrNoMember = errors.New("no such member")

// New starts a relay without members, under a Plan that moves nothing.
func New(o Options) (*Relay, error) {
	if n := len(o.Adapter.Queues()); n != 1 {
		return nil, fmt.Errorf("start relay: adapter has %d queues, want 1: %w", n, unix.EINVAL)
	}
	r := &Relay{adapter: o.Adapter, log: o.Logger, clock: newClock()}
	r.held.Store(o.Hold)
	r.control = newControlQueue(r.clock)
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.panics = o.Panics; r.panics == nil {
		r.panics = panics.New(r.log)
	}
	r.store = descriptors.Or(o.Store)
	r.open = func(id int, l team.Link, filter int) (*nic.Socket, error) {
		if o.Open != nil {
			return o.Open(id, l)
		}
		return r.openSocket(nic.Options{Name: l.Name, Index: l.Index, MAC: l.MAC, TSO: nic.Offload(o.TSO),
			USO: nic.Offload(o.USO), Store: r.store, SocketFilter: filter})
	}
	r.active.Store(NewActivePlan(&spread.Plan{}))
	r.tx = newTransmitter(r, o.Adapter.Queues()[0])
	if err := r.tx.start(); err != nil {
		return nil, fmt.Errorf("start relay: %w", err)
	}
	r.filters, r.groups, r.markers = r.runInBackground(r.setFilters), r.runInBackground(r.setGroups), newMarkers()
	go r.markers.run(r)
	return r, nil
}

func validID(id int) error {
	if id < 0 || id >= spread.MaxMembers {
		return fmt.Errorf("member id %d is not in [0, %d): %w", id, spread.MaxMembers, ErrNoMember)
	}
	return nil
}

// Join opens member id on a NIC. Its counters continue if the same NIC (by name) had the id last, and start at zero for
// another.
func (r *Relay) Join(id int, l team.Link) error { return r.JoinFiltered(id, l, 0) }

// JoinFiltered is Join of a NIC whose frames programs move already: the member receives by the socket filter with that
// descriptor (SetSocketFilter) from its first frame on. 0: none.
func (r *Relay) JoinFiltered(id int, l team.Link, filter int) error {
	if err := validID(id); err != nil {
		return fmt.Errorf("join %s: %w", l.Name, err)
	}
	if r.members[id].Load() != nil {
		return fmt.Errorf("join %s: member %d has joined already: %w", l.Name, id, unix.EEXIST)
	}
	// Opening takes the kernel's configuration lock, which others may hold for long: a failover, which takes r.mu, must
	// not wait for that.
	s, err := r.open(id, l, filter)
	if err == nil {
		if err = r.addMember(id, l, s); err != nil {
			s.Close()
		}
	}
	if err != nil {
		return fmt.Errorf("join %s: %w", l.Name, err)
	}
	return nil
}

// addMember makes an open socket member id.
func (r *Relay) addMember(id int, l team.Link, s *nic.Socket) error {
	seen := r.active.Load()
	r.logFilterError(id, s.JoinGroup(slowProtocols))
	r.setFilter(s, seen, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nic.ErrClosed
	}
	if r.members[id].Load() != nil {
		return fmt.Errorf("member %d has joined already: %w", id, unix.EEXIST)
	}
	if a := &r.accounts[id]; a.name != l.Name {
		a.rx.reset()
		a.tx.reset()
		a.segmented, a.name = 0, l.Name
	}
	m := newMember(r, id, s)
	r.members[id].Store(m)
	go m.run()
	go m.slow.run()
	if r.active.Load() != seen {
		r.filters.schedule()
		r.groups.schedule()
	}
	return nil
}

// Leave closes member id and waits for its goroutine. Leaving twice is fine.
func (r *Relay) Leave(id int) error {
	if err := validID(id); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	r.mu.Lock()
	m := r.detach(id)
	r.mu.Unlock()
	return r.closeMember(m)
}

// detach removes member id from what Apply and the goroutines see, and returns it; nil: there is none.
func (r *Relay) detach(id int) *member {
	m := r.members[id].Swap(nil)
	if m != nil {
		r.tx.epoch.wait()
		st := m.socket.Stats()
		a := &r.accounts[id]
		a.rx.drops[team.DropSocket].Add(st.Drops)
		a.segmented += st.Segmented
	}
	return m
}

// closeMember closes a detached member. The kernel waits for an RCU grace period.
func (r *Relay) closeMember(m *member) error {
	if m == nil {
		return nil
	}
	m.ending.Store(true)
	err := m.socket.Close()
	m.poke.now()
	<-m.done
	<-m.slow.done
	if err != nil {
		return fmt.Errorf("leave: member %d: %w", m.id, err)
	}
	return nil
}

// closeAtOnce is how many members are closed at a time: each takes a thread a socket while the kernel waits.
const closeAtOnce = 16

// closeMembers closes detached members, several at a time: they share the grace periods of the kernel.
func (r *Relay) closeMembers(list []*member) error {
	errs := make([]error, len(list))
	slots := make(chan struct{}, closeAtOnce)
	var all sync.WaitGroup
	for i, m := range list {
		slots <- struct{}{}
		all.Go(func() {
			errs[i] = r.closeMember(m)
			<-slots
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

func (r *Relay) member(id int) *member {
	if id < 0 || id >= spread.MaxMembers {
		return nil
	}
	return r.members[id].Load()
}

// joined yields the members that have joined.
func (r *Relay) joined(yield func(*member) bool) {
	for id := range r.members {
		if m := r.members[id].Load(); m != nil && !yield(m) {
			return
		}
	}
}

// Backlog returns the bytes of truesize transmitted by member id that have not left its NIC.
func (r *Relay) Backlog(id int) int {
	if m := r.member(id); m != nil {
		return m.socket.Backlog()
	}
	return 0
}

// Unsent reports whether control frames sent by member id have not left its NIC.
func (r *Relay) Unsent(id int) bool {
	m := r.member(id)
	return m != nil && m.socket.ControlBacklog() > 0
}

// Counters fills c with the totals.
func (r *Relay) Counters(c *team.Counters) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.accounts {
		a, to := &r.accounts[id], &c.Members[id]
		a.rx.read(&to.RX, &to.RXDrop)
		a.tx.read(&to.TX, &to.TXDrop)
		to.RXError, to.TXError = a.rx.errors.Load(), a.tx.errors.Load()
		to.Resent, to.Flooded, to.Segmented = a.tx.other.Load(), a.rx.other.Load(), a.segmented
		if m := r.members[id].Load(); m != nil {
			st := m.socket.Stats()
			to.RXDrop[team.DropSocket] += st.Drops
			to.Segmented += st.Segmented
		}
	}
	for d := range r.noMember {
		c.Adapter.TXDrop[d] = r.noMember[d].Load()
	}
}

// SeesLosses reports false: that a member has no link the relay learns from its NIC, if that refuses frames.
func (r *Relay) SeesLosses() bool { return false }

// Dead is empty, see SeesLosses.
func (r *Relay) Dead() spread.MemberSet { return 0 }

// NoteHellos does nothing: this process wakes for each frame.
func (r *Relay) NoteHellos(*team.HelloFilter) {}

// Hellos fills h with none.
func (r *Relay) Hellos(h *team.Hellos) { *h = team.Hellos{} }

// Control delivers frames and reports to the control loop. They are lost if it lags too far behind.
func (r *Relay) Control() <-chan team.Control { return r.control.frames }

// Close ends all goroutines and closes all members; the adapter stays open. Closing twice is fine.
func (r *Relay) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	errs := []error{r.tx.end()}
	r.filters.close()
	r.groups.close()
	r.markers.close()
	var list []*member
	for id := range r.members {
		if m := r.detach(id); m != nil {
			list = append(list, m)
		}
	}
	errs = append(errs, r.closeMembers(list))
	r.control.close()
	return errors.Join(errs...)
}
