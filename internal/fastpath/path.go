// SPDX-License-Identifier: MIT

package fastpath

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/cilium/ebpf"

	"nicteam/internal/descriptors"
	"nicteam/internal/panics"
	"nicteam/internal/relay"
	"nicteam/internal/tap"
	"nicteam/modes/spread"
	"nicteam/team"
)

var _ team.Datapath = (*Path)(nil)

// Attacher attaches programs; internal/host implements it.
type Attacher interface {
	// Attach puts a tc program before all others at a hook of a NIC, ebpf.AttachTCXIngress or ebpf.AttachTCXEgress,
	// until the Closer is closed.
	// It replaces a program of the process before in place.
	Attach(index int, hook ebpf.AttachType, p *ebpf.Program) (io.Closer, error)
	// AttachIsolating is Attach to the ingress of a member, of a program that isolates it from the host's stack as
	// well: it may take the place of the program that only isolates, which is back when the Closer is closed.
	AttachIsolating(index int, p *ebpf.Program) (io.Closer, error)
	// Inherited reports whether a hook has a program of the process before that Attach has not replaced.
	Inherited(index int, hook ebpf.AttachType) bool
	// DetachInherited detaches that program, if there is one.
	DetachInherited(index int, hook ebpf.AttachType) error
}

// Options of a Path.
type Options struct {
	Relay   *relay.Relay // owned: the Path closes it
	Adapter *tap.Adapter
	Hooks   Attacher
	Logger  *slog.Logger   // nil: silent
	Panics  *panics.Keeper // nil: the Path's own

	Store descriptors.Store // keeps the programs' memory for the next process; nil: nothing does

	// InNamespace calls f on a thread in the network namespace of the members; nil: every thread is there.
	InNamespace func(f func() error) error
}

// Path is a team.Datapath: the relay and, while it is engaged, the programs above it. Its methods may be called from
// any goroutine.
type Path struct {
	relay      *relay.Relay // moves all frames while the Path is not engaged, else those that the programs pass on
	o          Options
	log        *slog.Logger
	fallenBack chan error

	changing  sync.Mutex // Join, Leave, Engage, Disengage, Close: held long
	closed    bool
	preloaded *preloaded // nil: Preload was not called, or Engage was

	mu          sync.Mutex // held briefly
	kernel      *kernel    // nil: not engaged
	plan        *spread.Plan
	links       [spread.MaxMembers]*team.Link
	hooks       [spread.MaxMembers]io.Closer
	rings       [spread.MaxMembers]*ring
	egress      io.Closer
	reports     *reportReader
	pastCounts  counts // of unloaded programs
	pastRxBytes spread.RxBytes
	pastMoved   team.Moved
	base        counts // when the counted NIC joined
	names       [spread.MaxMembers]string
	pending     atomic.Pointer[spread.Plan] // of the last applyToPrograms
	everJoined  spread.MemberSet
	hellos      team.HelloFilter // the last one
	inForce     *spread.Plan     // followed by the programs; nil: none
	unfit       error            // why the programs do not follow the Plan in force; nil: they do
	inherited   *inheritance     // until the first Plan; nil: nothing was adopted
	planned     chan struct{}
	firstPlan   sync.Once // closes planned

	backlog backlogMonitor
}

// New returns a Path that is not engaged.
func New(o Options) *Path {
	p := &Path{relay: o.Relay, o: o, log: o.Logger, plan: &spread.Plan{Active: -1, Next: -1},
		fallenBack: make(chan error, 1)}
	p.backlog.wakeup, p.planned = make(chan struct{}, 1), make(chan struct{})
	if p.log == nil {
		p.log = slog.New(slog.DiscardHandler)
	}
	if p.o.Panics == nil {
		p.o.Panics = panics.New(p.log)
	}
	p.o.Store = descriptors.Or(o.Store)
	return p
}

// Lost delivers why the Path fell back to the relay by itself.
func (p *Path) Lost() <-chan error { return p.fallenBack }

// Planned is closed once a Plan is in force: programs of the process before that do not go on move nothing any more.
func (p *Path) Planned() <-chan struct{} { return p.planned }

// Engaged reports whether the programs move frames.
func (p *Path) Engaged() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kernel != nil
}

// Join opens member id on a NIC. If the programs cannot be attached to it, the Path falls back to the relay.
func (p *Path) Join(id int, l team.Link) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	p.mu.Lock()
	err := p.backlog.openStats()
	filter := 0
	if p.kernel != nil && p.inherited != nil {
		filter = p.kernel.RelayFilter.FD()
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	if err := p.relay.JoinFiltered(id, l, filter); err != nil {
		return err
	}
	p.mu.Lock()
	p.links[id], p.everJoined = &l, p.everJoined.With(id)
	if h := p.inherited; h != nil {
		p.names[id] = l.Name // what programs have counted goes on
		k := p.kernel
		p.mu.Unlock()
		return p.joinInherited(h, k, id, &l)
	}
	if p.names[id] != l.Name {
		p.names[id] = l.Name
		now := p.programCounts()
		p.base.members[id] = now.members[id]
		p.backlog.resetDropped(id)
	}
	k := p.kernel
	p.mu.Unlock()
	if k == nil {
		return nil
	}
	p.backlog.memberJoined(p, k)
	err = p.addMember(k, id, &l)
	if err == nil {
		err = p.yieldMember(k, id, &l)
	}
	if err != nil {
		p.fallBack(fmt.Errorf("member %s: %w", l.Name, err))
	}
	return nil
}

// fallBack disengages and delivers why.
func (p *Path) fallBack(why error) {
	p.log.Warn("fell back to the relay", "err", why)
	if err := p.disengage(); err != nil {
		p.log.Error("programs not removed", "err", err)
	}
	select {
	case p.fallenBack <- why:
	default:
	}
}

// Leave closes member id.
func (p *Path) Leave(id int) error {
	p.changing.Lock()
	defer p.changing.Unlock()
	if id < 0 || id >= spread.MaxMembers {
		return p.relay.Leave(id)
	}
	var errs []error
	p.mu.Lock()
	l, k := p.links[id], p.kernel
	p.links[id] = nil
	p.mu.Unlock()
	if k != nil && l != nil {
		errs = append(errs, p.dropMember(k, id, l))
	}
	return errors.Join(append(errs, p.relay.Leave(id))...)
}

// Apply puts a Plan in force. If the programs cannot follow it, the Path falls back to the relay.
func (p *Path) Apply(pl *spread.Plan) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.relay.Apply(pl); err != nil {
		return err
	}
	p.plan = pl
	h := p.inherited
	if h != nil {
		p.inherited = nil
		p.takeBack(h)
	}
	defer p.firstPlan.Do(func() { close(p.planned) })
	if h != nil {
		go p.o.Panics.Do("what the process before left", func() { p.settle(h) })
	}
	if p.kernel == nil {
		return nil
	}
	if err := p.applyToPrograms(); err != nil && p.unfit == nil {
		p.unfit = err
		// Transmission goes back at once, because programs may transmit by a dead member. The rest may take longer.
		atomic.StoreUint32(&p.kernel.control.TransmitGate, relay.GateSlow)
		go p.o.Panics.Do("fallback to the relay", p.fallBackIfUnfit)
	}
	return nil
}

// fallBackIfUnfit falls back to the relay if the programs do not follow the Plan in force.
func (p *Path) fallBackIfUnfit() {
	p.changing.Lock()
	defer p.changing.Unlock()
	if err := p.unfitness(); err != nil {
		p.fallBack(err)
	}
}

// unfitness returns unfit.
func (p *Path) unfitness() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unfit
}

// applyToPrograms makes the programs follow the Plan in force and the present members. The caller holds mu.
func (p *Path) applyToPrograms() error {
	pl := p.plan
	p.pending.Store(pl)
	follow := func(pk *spread.Picker, now int64) {
		if p.pending.Load() == pl { // the Picker may follow a later Plan already
			pk.Now = now
			pk.Follow(pl)
		}
	}
	give := func() error { return p.kernel.applyPlan(pl, &p.links) }
	var err error
	if was := p.inForce; was != nil && was.Rule == pl.Rule &&
		(pl.Distributing&^was.Distributing == 0 || pl.Rule == spread.RuleSlots) {
		// A member may have died: programs first, without waiting for the transmitter. The Picker must not start a
		// migration before the programs have its Plan, or slots would go back; the programs wait for its start.
		if err = give(); err == nil {
			err = p.relay.PostWithPicker(follow)
		}
	} else if err = p.relay.DoWithPicker(follow); err == nil { // a new member needs its clock first
		err = give()
	}
	if err != nil {
		return fmt.Errorf("apply plan: %w", err)
	}
	p.inForce = pl
	return nil
}

// Send sends a control frame by member id.
func (p *Path) Send(id int, b []byte) error {
	if s, ok := p.relay.LocalSource(b); ok {
		p.mu.Lock()
		if p.kernel != nil {
			p.kernel.noteSent(s)
		}
		p.mu.Unlock()
	}
	return p.relay.Send(id, b)
}

// Unsent reports whether control frames sent by member id have not left its NIC.
func (p *Path) Unsent(id int) bool { return p.relay.Unsent(id) }

// programCounts returns what all programs have counted, unloaded ones included. The caller holds mu.
func (p *Path) programCounts() *counts {
	c := p.pastCounts
	if p.kernel != nil {
		c.read(p.kernel, p.everJoined)
	}
	return &c
}

// Control delivers frames and reports for the control loop.
func (p *Path) Control() <-chan team.Control { return p.relay.Control() }

// Flows copies the flow table, which the relay and the programs share.
func (p *Path) Flows(f *spread.FlowTable) bool { return p.relay.Flows(f) }

// Counters fills c with the totals of relay and programs.
func (p *Path) Counters(c *team.Counters) {
	p.relay.Counters(c)
	p.backlog.addDropped(c)
	p.mu.Lock()
	defer p.mu.Unlock()
	// Only of ids that were ever members' and without a copy of them all: the counters are read all the time.
	transmitted := uint64(0)
	for left := p.everJoined; left != 0; left = left.Without(left.First()) {
		id := left.First()
		now := p.pastCounts.members[id]
		if p.kernel != nil {
			p.kernel.addCounted(&now, id)
		}
		addSince(&c.Members[id], &now, &p.base.members[id])
		for _, n := range now.TX {
			transmitted += n.Bytes
		}
	}
	p.backlog.noteTraffic(transmitted)
	for d, n := range p.pastCounts.noMember {
		c.Adapter.TXDrop[d] += n
	}
	if p.kernel != nil {
		p.kernel.addNoMember(&c.Adapter.TXDrop)
	}
}

// Close ends everything and closes all members; the adapter stays open.
func (p *Path) Close() error {
	p.changing.Lock()
	defer p.changing.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	return errors.Join(p.disengage(), p.unload(), p.backlog.close(), p.relay.Close())
}
