package team

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/panics"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// Options are what a Team is made of. Adapter, Datapath and Source are needed, the rest may be
// left out.
type Options struct {
	Config   settings.Config
	MAC      frame.MAC // the adapter's
	Salt     uint64    // of the flow hash, the team's own
	Adapter  Adapter
	Datapath Datapath // stays the caller's to close, after Run
	Source   monitor.Source

	// Memory is what 802.3ad is to go on with after a process before this one, nil nothing. Remember is given what a next
	// one is to go on with, whenever that changes, the last of it before Run returns; it may take its time. nil: nobody remembers.
	Memory   *lacp.Memory
	Remember func(*lacp.Memory)

	Announcer   Announcer          // nil: only MACs behind the adapter are announced
	AdapterInfo func() api.Adapter // index, MTU, addresses; read when a Status is asked for

	DatapathName, DatapathReason string // for the Status, until OnDatapath says otherwise

	NewMode func(modes.Settings) (modes.Mode, error) // nil: modes.New
	Log     *slog.Logger                             // nil: nowhere
	Panics  *panics.Keeper                           // of the process; nil: the team's own
}

// Team is a running team: the shell around a [Loop].
type Team struct {
	o    Options
	log  *slog.Logger
	loop *Loop // Run's goroutine only

	watch    *monitor.Carrier
	requests chan request
	links    chan monitor.LinkState
	ended    chan struct{}

	reopen chan struct{} // held by Return and Leave, so that neither closes what the other has opened

	adapter   *mailbox[adapterLink]
	carrierOn atomic.Bool // as the adapter has it
	crier     *crier
	memory    *mailbox[*lacp.Memory]
	events    history
	recorder  *recorder
	view      atomic.Pointer[view]

	// Of Run's goroutine.
	wanted  adapterLink   // as last put
	pending *spread.Plan  // refused by the data path, to be tried again
	again   time.Duration // when
}

// view is what other goroutines may see of the Loop.
type view struct {
	status *api.Status
	ids    []int // of status.Members
	base   map[int]*MemberCounters
	config settings.Config
	plan   *spread.Plan
}

// request is an Input from another goroutine.
type request struct {
	in    Input
	base  *MemberCounters // Joined: what the data path had counted for the id before
	reply chan Output
}

// New returns a team without members. The error is a *Problem.
func New(o Options) (*Team, error) {
	loop, err := NewLoop(o.Config, LoopOptions{Adapter: o.MAC, Salt: o.Salt, Memory: o.Memory, NewMode: o.NewMode, Datapath: o.DatapathName, DatapathReason: o.DatapathReason})
	if err != nil {
		return nil, err
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Panics == nil {
		o.Panics = panics.New(o.Log)
	}
	log := o.Log.With("team", o.Config.Team)
	t := &Team{o: o, log: log, loop: loop, watch: monitor.NewCarrier(o.Source, o.Panics), requests: make(chan request),
		links: make(chan monitor.LinkState), ended: make(chan struct{}), reopen: make(chan struct{}, 1), adapter: newMailbox[adapterLink](), memory: newMailbox[*lacp.Memory](), recorder: newRecorder()}
	told := func(ctx context.Context) { _, _ = t.post(ctx, request{in: Announced{}}) }
	t.crier = &crier{source: o.Announcer, told: told, send: o.Datapath.Send, log: log, panics: o.Panics, wake: make(chan struct{}, 1)}
	t.publish(map[int]*MemberCounters{})
	o.Panics.OnPanic(t.panicked)
	return t, nil
}

const (
	// applyAgain is when a Plan that the data path refused is tried again, and each time twice
	// as late, up to applyAgainMax.
	applyAgain    = 100 * time.Millisecond
	applyAgainMax = 10 * time.Second
)

// Run runs the team until ctx ends, and returns nil then. It may be called once. The adapter's
// carrier and the data path stay as they are.
func (t *Team) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	var watched error
	t.adapter.put(t.wanted)
	done.Go(func() { t.keepAdapter(ctx) })
	done.Go(func() { t.crier.run(ctx) })
	done.Go(t.keepMemory)
	done.Go(func() { t.watchCounters(ctx) })
	done.Go(func() { t.measure(ctx) })
	done.Go(func() {
		watched = t.watch.Watch(ctx, func(s monitor.LinkState) {
			select {
			case t.links <- s:
			case <-ctx.Done():
			}
		})
		cancel()
	})
	t.decide(ctx)
	close(t.ended) // before waiting: some wait for an answer that does not come any more
	cancel()
	done.Wait()
	t.events.end()
	return watched
}

// decide is the control loop: it owns the Loop.
func (t *Team) decide(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	control := t.o.Datapath.Control()
	for {
		var r request
		in := Input(Tick{})
		select {
		case <-ctx.Done():
			return
		case s := <-t.links:
			in = LinkChanged{s}
		case r = <-t.requests:
			in = r.in
		case c, ok := <-control:
			if !ok {
				control = nil
				continue
			}
			in = FromDatapath{c}
		case <-timer.C:
		}
		r.in = in
		out, rest := t.step(r)
		if r.reply != nil {
			r.reply <- out
		}
		timer.Reset(rest)
	}
}

// wait is how long the control loop may rest.
func (t *Team) wait() time.Duration {
	wait := time.Hour
	if d := t.loop.Deadline(); !d.IsZero() {
		wait = max(0, time.Until(d))
	}
	if t.pending != nil {
		wait = min(wait, t.again)
	}
	return wait
}

// execute does what the Loop wants, what is urgent first: until the Plan is in force, frames go to
// a member that is dead.
func (t *Team) execute(out *Output, base *MemberCounters) {
	if out.Plan != nil {
		t.pending = out.Plan
		t.crier.plan.Store(out.Plan)
	}
	if t.pending != nil {
		t.apply(out)
	}
	took := time.Duration(0)
	if !out.Cause.IsZero() {
		took = time.Since(out.Cause)
	}
	for _, s := range out.Send {
		if err := t.o.Datapath.Send(s.Member, s.Frame); err != nil {
			t.log.Debug("control frame not sent", "member", s.Member, "err", err)
		}
	}
	if out.Memory != nil {
		t.memory.put(out.Memory)
	}
	if out.ReadLinks {
		t.watch.ReadNow()
	}
	if want := (adapterLink{carrier: out.Carrier, speed: out.Speed}); want != t.wanted {
		t.wanted = want
		t.adapter.put(want)
	}
	if c := t.loop.cfg; out.Tell != 0 {
		t.crier.order(announcement{tell: out.Tell, via: out.Via, as: out.As, pin: out.Pin, behind: out.Behind, count: c.AnnounceCount, interval: c.AnnounceInterval})
	}
	for i := range out.Events {
		if e := &out.Events[i]; took > 0 && (e.Event == "member-down" || e.Event == "active-changed") {
			e.Took = took.Nanoseconds()
		}
	}
	t.publishAfter(out, base)
	t.tellEvents(out)
}

// tellEvents tells of the events of an Output, once.
func (t *Team) tellEvents(out *Output) {
	events := out.Events
	out.Events = nil
	t.events.add(events)
	for _, e := range events {
		t.logEvent(e)
	}
}

// apply puts the pending Plan in force. A Plan that is refused is tried again, and a warning stands
// until it is in force; who asked for what led to it is not told otherwise, for it was done.
func (t *Team) apply(out *Output) {
	err := t.o.Datapath.Apply(t.pending)
	if err == nil {
		t.pending, t.again = nil, 0
		if t.loop.warned[warnApply] != "" {
			t.warn(out, "")
		}
		return
	}
	t.again = min(max(applyAgain, 2*t.again), applyAgainMax)
	if text := "the data path refused the Plan: " + err.Error(); t.loop.warned[warnApply] != text {
		t.log.Error("plan refused", "err", err)
		t.warn(out, text)
	}
}

const warnApply = "apply"

func (t *Team) warn(out *Output, text string) {
	w := t.loop.Handle(time.Now(), Warn{Key: warnApply, Text: text})
	out.Carrier, out.Speed = w.Carrier, w.Speed
	out.Events = append(out.Events, w.Events...)
	if w.Plan != nil {
		t.pending = w.Plan // the timer tries it
	}
}

// keepMemory has the owner remember what partners must not notice the end of this process by. It has its own goroutine
// because a file may be slow to write.
func (t *Team) keepMemory() {
	for ended := false; !ended; {
		select {
		case <-t.memory.wake:
		case <-t.ended:
			ended = true
			select {
			case <-t.memory.wake:
			default:
				return
			}
		}
		if t.o.Remember != nil {
			t.o.Panics.Do(whereMemory, func() { t.o.Remember(t.memory.take()) })
		}
	}
}

// publishAfter makes the state visible to other goroutines.
func (t *Team) publishAfter(out *Output, joined *MemberCounters) {
	base := t.view.Load().base
	if joined != nil && out.Err == nil {
		next := make(map[int]*MemberCounters, len(base)+1)
		for _, m := range t.loop.members {
			next[m.id] = base[m.id]
		}
		next[out.ID] = joined
		base = next
	}
	t.publish(base)
}

func (t *Team) publish(base map[int]*MemberCounters) {
	v := &view{status: t.loop.Status(), base: base, config: t.loop.Config(), plan: t.loop.plan}
	for _, m := range t.loop.members {
		v.ids = append(v.ids, m.id)
	}
	v.status.PID = os.Getpid()
	t.view.Store(v)
}

func (t *Team) logEvent(e api.Event) {
	level := slog.LevelInfo
	if e.Event == "team-degraded" || e.Event == "team-down" || e.Event == "member-down" || e.Event == "flooding" {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{}
	for _, a := range []struct{ key, value string }{{"member", e.Member}, {"reason", e.Reason}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if e.Took > 0 {
		attrs = append(attrs, slog.Duration("took", time.Duration(e.Took)))
	}
	t.log.LogAttrs(context.Background(), level, e.Event, attrs...)
}

// errEnded says that the team runs no more.
var errEnded = errors.New("the team has ended")

// post has the control loop handle an input and returns what it said.
func (t *Team) post(ctx context.Context, r request) (Output, error) {
	r.reply = make(chan Output, 1)
	select {
	case t.requests <- r:
	case <-ctx.Done():
		return Output{}, ctx.Err()
	case <-t.ended:
		return Output{}, errEnded
	}
	// It has been taken, so it will be answered; the answer does not wait for anything but the
	// data path.
	out := <-r.reply
	return out, out.Err
}
