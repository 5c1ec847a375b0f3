// SPDX-License-Identifier: MIT

package team

import (
	"context"
	"log/slog"
	"maps"
	"os"
	"sync/atomic"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/panics"
	"nicteam/internal/settings"
	"nicteam/internal/tick"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// Options configure a Team. Adapter, Datapath and Source are required.
type Options struct {
	Config   settings.Config
	MAC      frame.MAC // the adapter's
	Salt     uint64    // of the flow hash, the team's own
	Adapter  Adapter
	Datapath Datapath // stays the caller's to close, after Run
	Source   monitor.Source

	// Memory is the LACP state of the process before, nil for none. Remember stores it for the next one, whenever it
	// changes, and is called last before Run returns; it may be slow. nil: not stored.
	Memory   *lacp.Memory
	Remember func(*lacp.Memory)

	// Checkpoint is that of the process before, rebased, if the data path has all its present members; nil: the team
	// begins without members. SaveCheckpoint stores it for the next process; it may be slow. It gets nil when there is
	// nothing to go on with. nil: not stored.
	Checkpoint     *Checkpoint
	SaveCheckpoint func(*Checkpoint)

	Held *AddressesHeld // at the start; nil: not known

	Warnings map[string]string // that stand from the start, as Warn sets them

	WatchTargets monitor.Targets // whom link watches may ask from the start, none: as in the Checkpoint
	Retransmits  func() uint64   // total of TCP segments that the adapter's stack sent again; nil: unknown

	AddressSource AddressSource      // nil: only stations are announced
	AdapterInfo   func() api.Adapter // index, MTU, addresses; read when a Status is asked for

	DatapathName, DatapathReason string // for the Status, until DatapathChanged

	Sleeper tick.Sleeper // that wakes for looks at the data path, and is closed after; nil: by timers of the runtime

	NewMode func(modes.Settings) (modes.Mode, error) // nil: modes.New
	Log     *slog.Logger                             // nil: nowhere
	Panics  *panics.Keeper                           // of the process; nil: the team's own
}

// Team is a running team: the shell around a [Loop].
type Team struct {
	o     Options
	log   *slog.Logger
	watch *monitor.Carrier
	ended chan struct{}

	memberLock chan struct{} // held by Reopen and Leave, so that neither closes what the other has opened

	adapter   *mailbox[adapterLink]
	carrierOn atomic.Bool   // of the adapter
	sent      atomic.Uint64 // frames of the control loop
	judging   atomic.Bool   // a round of the link watches runs

	announcer *announcer
	memory    *mailbox[*lacp.Memory]
	saver     checkpointSaver
	events    eventLog
	recorder  *trafficRecorder
	snapshot  atomic.Pointer[snapshot]

	turn            chan struct{} // has one for who may use the Loop, and what follows
	loop            *Loop
	control         <-chan Control
	over            bool      // nothing is handled any more
	due             time.Time // when the Loop, or the shell, is to be called again
	sleep           sleep
	hellos          hellos
	lastAdapterLink adapterLink     // last put to adapter
	pendingPlan     *spread.Plan    // refused by the data path
	retryAfter      time.Duration   // of pendingPlan
	lookedAt        time.Time       // when the data path was last looked at …
	looked          []chan struct{} // … and of Alive, closed after the next look
	publishedAt     time.Time       // when snapshot was last replaced
	publishPending  bool            // figures of link watches are newer than snapshot
}

// snapshot is what other goroutines see of the Loop.
type snapshot struct {
	status *api.Status
	ids    []int // of status.Members
	base   map[int]*MemberCounters
	config settings.Config
	plan   *spread.Plan
	asks   bool // a link watch does
}

// request is an Input from another goroutine.
type request struct {
	in   Input
	base *MemberCounters // Joined: what the data path had counted for the id before

	sampledAt time.Time // Traffic: when the counters were read
}

// New returns a team, without members or with those of the Checkpoint. The error is an *api.Problem, or says what is
// wrong with the Checkpoint.
func New(o Options) (*Team, error) {
	loop, err := NewLoop(o.Config, LoopOptions{Adapter: o.MAC, Salt: o.Salt, Memory: o.Memory, NewMode: o.NewMode,
		Checkpoint: o.Checkpoint, Datapath: o.DatapathName, DatapathReason: o.DatapathReason})
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
	t := &Team{o: o, log: log, loop: loop, watch: monitor.NewCarrier(o.Source, o.Panics),
		ended: make(chan struct{}), turn: make(chan struct{}, 1), memberLock: make(chan struct{}, 1),
		adapter: newMailbox[adapterLink](), memory: newMailbox[*lacp.Memory](), recorder: newRecorder()}
	told := func(ctx context.Context) { _, _ = t.post(ctx, request{in: Announced{}}) }
	if o.Checkpoint == nil || len(o.WatchTargets.Gateways)+len(o.WatchTargets.Hosts) > 0 {
		loop.targets = o.WatchTargets
	}
	t.announcer = &announcer{source: o.AddressSource, announced: told, send: o.Datapath.Send, log: log,
		panics: o.Panics, wake: make(chan struct{}, 1)}
	maps.Copy(loop.warnings, o.Warnings)
	if o.Held != nil { // before the first frame: peers are not told of what has left meanwhile
		loop.addressesHeld(time.Now(), *o.Held, &Output{})
	}
	if o.SaveCheckpoint != nil {
		t.saver = checkpointSaver{save: o.SaveCheckpoint, box: newMailbox[*Checkpoint]()}
	}
	if o.Checkpoint != nil { // the adapter's link stays as it is
		t.lastAdapterLink = adapterLink{carrier: loop.carrier, speed: loop.speed()}
		t.carrierOn.Store(loop.carrier)
	}
	if t.sleep.Sleeper = o.Sleeper; o.Sleeper == nil {
		t.sleep.Sleeper = tick.NewTimer()
	}
	for _, m := range loop.members {
		if m.linkKnown && !m.absent {
			t.watch.AddKnown(m.linkState)
		} else if !m.absent {
			t.watch.Add(m.link.Index)
		}
	}
	t.publish(map[int]*MemberCounters{})
	o.Panics.OnPanic(t.panicked)
	t.turn <- struct{}{} // until Run
	return t, nil
}

const (
	// applyRetry is when a refused Plan is tried again; the time doubles up to applyRetryMax.
	applyRetry    = 100 * time.Millisecond
	applyRetryMax = 10 * time.Second
)

// execute does what the Loop wants, the Plan first: until it is in force, frames go to a dead member.
func (t *Team) execute(out *Output, base *MemberCounters) {
	if out.unchanged && t.pendingPlan == nil {
		t.send(out.Send)
		if t.publishPending || !out.sameFigures {
			t.publishFigures()
		}
		return
	}
	if out.Plan != nil {
		t.pendingPlan = out.Plan
		t.announcer.plan.Store(out.Plan)
	}
	if t.pendingPlan != nil {
		t.apply(out)
	}
	took := time.Duration(0)
	if !out.Cause.IsZero() {
		took = time.Since(out.Cause)
	}
	t.send(out.Send)
	if out.Memory != nil {
		t.memory.put(out.Memory)
	}
	if out.ReadLinks {
		t.watch.ReadNow()
	}
	if want := (adapterLink{carrier: out.Carrier, speed: out.Speed}); want != t.lastAdapterLink {
		t.lastAdapterLink = want
		t.adapter.put(want)
	}
	if c := t.loop.cfg; out.Tell != 0 {
		t.announcer.request(announcement{tell: out.Tell, via: out.Via, adapterMAC: out.AnnounceMAC, pin: out.Pin,
			stations: out.Stations, count: c.AnnounceCount, interval: c.AnnounceInterval})
	}
	for i := range out.Events {
		if e := &out.Events[i]; took > 0 && (e.Event == "member-down" || e.Event == "active-changed") {
			e.Took = took.Nanoseconds()
		}
	}
	t.publishAfter(out, base)
	t.publishEvents(out)
}

// send sends frames of the control loop.
func (t *Team) send(frames []spread.Send) {
	t.sent.Add(uint64(len(frames)))
	for _, s := range frames {
		if err := t.o.Datapath.Send(s.Member, s.Frame); err != nil {
			t.log.Debug("control frame not sent", "member", s.Member, "err", err)
		}
	}
}

// publishEvents adds the events of an Output to the log, once.
func (t *Team) publishEvents(out *Output) {
	events := out.Events
	out.Events = nil
	t.events.add(events)
	for _, e := range events {
		t.logEvent(e)
	}
}

// apply applies the pending Plan. A refused Plan is tried again, with a warning until it is in force. The caller of the
// input that led to it gets no error: it was done.
func (t *Team) apply(out *Output) {
	err := t.o.Datapath.Apply(t.pendingPlan)
	if err == nil {
		t.pendingPlan, t.retryAfter = nil, 0
		if t.loop.warnings[warnApply] != "" {
			t.warn(out, "")
		}
		return
	}
	t.retryAfter = min(max(applyRetry, 2*t.retryAfter), applyRetryMax)
	if text := "the data path refused the Plan: " + err.Error(); t.loop.warnings[warnApply] != text {
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
		t.pendingPlan = w.Plan // the timer tries it
	}
}

// runMemoryStore stores the LACP state, so that partners do not notice a restart. It has its own goroutine because a
// file may be slow to write.
func (t *Team) runMemoryStore() {
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
			t.o.Panics.Do(panicMemory, func() { t.o.Remember(t.memory.take()) })
		}
	}
}

// publishAfter publishes the state after an output. joined is what the data path had counted for a new member's id
// before.
func (t *Team) publishAfter(out *Output, joined *MemberCounters) {
	base := t.snapshot.Load().base
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
	v := &snapshot{status: t.loop.Status(), base: base, config: t.loop.Config(), plan: t.loop.plan,
		asks: t.loop.asks()}
	for _, m := range t.loop.members {
		v.ids = append(v.ids, m.id)
	}
	v.status.PID = os.Getpid()
	t.snapshot.Store(v)
	t.publishedAt, t.publishPending = time.Now(), false
}

// publishGap is the time between two snapshots that differ in figures of link watches only: those change with every
// answer.
const publishGap = time.Second

// figuresDue is when the next such snapshot may be made: at a look, as it costs more to wake than to make it.
func (t *Team) figuresDue() time.Time {
	return beat(t.publishedAt.Add(publishGap-idleCountersInterval/2), idleCountersInterval)
}

// publishFigures publishes new figures of link watches, unless it is too soon.
func (t *Team) publishFigures() {
	if t.publishPending = time.Now().Before(t.figuresDue()); !t.publishPending {
		t.publish(t.snapshot.Load().base)
	}
}

func (t *Team) logEvent(e api.Event) {
	level := slog.LevelInfo
	if e.Event == "team-degraded" || e.Event == "team-down" || e.Event == "member-down" || e.Event == "flooding" ||
		e.Event == "duplicate-address" {
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
