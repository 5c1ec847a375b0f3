// SPDX-License-Identifier: MIT

package team

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// Loop decides. It is the control loop without clock and I/O, and owns all mutable state of a team. One goroutine at a
// time calls it.
type Loop struct {
	cfg     settings.Config
	adapter frame.MAC
	mtu     int // the adapter's, 0 unknown
	salt    uint64
	newMode func(modes.Settings) (modes.Mode, error)

	mode        modes.Mode
	plan        *spread.Plan
	modePlan    *spread.Plan     // the mode's, without whom and by which MACs members ask
	planPending bool             // plan is resumed, and not given to the data path yet
	members     []*member        // by id
	takenIDs    spread.MemberSet // of members, present, joining or leaving
	joining     map[int]Link     // those that join
	lastID      int
	fdb         fdb
	rxMode      spread.RxMode // of the adapter
	held        heldAddresses // nil: not known yet
	hostMACs    []frame.MAC   // of all NICs of this host, sorted
	duplicates  map[HeldAddress]*duplicate
	warnings    map[string]string
	startNotes  []string          // of the start
	advice      map[string]string // warnings that leave the state as it is
	adapterDown bool              // administratively

	floods           map[int]*flood
	floodSeen        time.Time    // on any
	strayWindow      time.Time    // start of the stray count
	strayCount       uint64       // frames for the adapter received by a member that does not collect
	previousPlan     *spread.Plan // of the previous mode, until the new one has seen it
	collectingGrewAt time.Time    // when a Plan last added a collecting member

	watches         *monitor.Watches // nil until the first input
	watchesConfig   monitor.WatchConfig
	earlierWatches  *monitor.WatchesCheckpoint // verdicts with which watches begin; nil: none
	targets         monitor.Targets            // whom watches may ask
	asked           []netip.Addr               // whom they ask, IPv4
	watched         []monitor.WatchedMember    // as last told to watches
	watchWarnings   []string
	frameForWatches bool      // the input was a frame for the link watches alone
	verdictDue      time.Time // when a verdict may change by time alone, besides debouncing
	now             time.Time // of the last input

	lastMeasured time.Time // when the mode last got a measurement
	forcedMoves  uint64    // of flows that did not pause

	agreementOf     func(modes.Mode) *modes.Agreement
	agreement       *modes.Agreement // nil: the mode agrees nothing
	lastMemory      *lacp.Memory     // as last given to the owner
	modeMemory      *lacp.Memory     // for the new mode, until it has seen it
	inheritedMemory *lacp.Memory     // of the process before
	startedAt       time.Time
	resumed         bool       // by a Checkpoint, and nothing was handled yet
	told            modes.Tell // what was announced last
	toldAt          time.Time
	ended           bool // the mode has said farewell

	datapath, datapathReason string // which moves the frames, and why

	state, reason string
	carrier       bool // wanted of the adapter
	since         time.Time
	dirty         bool // the mode has not seen the State
	started       bool
}

// maxNotes bounds the warnings of the start.
const maxNotes = 64

// LoopOptions are what a Loop needs besides its configuration.
type LoopOptions struct {
	Adapter frame.MAC
	Salt    uint64                                   // of the flow hash, the team's own
	NewMode func(modes.Settings) (modes.Mode, error) // nil: modes.New

	// Memory is the last Output.Memory of the process before, nil for none.
	Memory *lacp.Memory

	// Checkpoint is that of the process before, rebased; nil: the team begins without members.
	Checkpoint *Checkpoint

	Datapath, DatapathReason string // at the start
}

// NewLoop returns the loop of a team, without members or with those of o.Checkpoint. cfg.Members give weights and port
// priorities to NICs that join. The error is an *api.Problem, or says what is wrong with the Checkpoint.
func NewLoop(cfg settings.Config, o LoopOptions) (*Loop, error) {
	if o.NewMode == nil {
		o.NewMode = modes.New
	}
	l := &Loop{cfg: cfg, adapter: o.Adapter, salt: o.Salt, newMode: o.NewMode, lastID: -1,
		joining: map[int]Link{}, warnings: map[string]string{}, advice: map[string]string{}, floods: map[int]*flood{},
		agreementOf: modes.Agreed, lastMemory: o.Memory,
		datapath: o.Datapath, datapathReason: o.DatapathReason, state: "down", reason: "no members", dirty: true}
	if f := settings.CheckLive(&cfg); f != nil {
		return nil, settingProblem(f)
	}
	if o.Checkpoint != nil {
		if err := l.resume(o.Checkpoint); err != nil {
			return nil, err
		}
		if l.lastMemory != nil {
			l.inheritedMemory = cloneMemory(l.lastMemory)
		}
		return l, nil
	}
	m, err := l.newMode(l.settings())
	if err != nil {
		return nil, modeProblem(cfg.Mode, err)
	}
	if !cfg.Mode.HasPartner() {
		l.lastMemory = memoryIdentity(l.lastMemory)
	}
	l.mode, l.modeMemory = m, l.lastMemory
	if l.lastMemory != nil {
		l.inheritedMemory = cloneMemory(l.lastMemory)
	}
	return l, nil
}

// Handle applies an input at now and returns what to do. now never goes back.
func (l *Loop) Handle(now time.Time, in Input) (out Output) {
	l.handle(now, in, &out)
	return out
}

// handle is Handle that keeps in out what was decided before a panic.
func (l *Loop) handle(now time.Time, in Input, out *Output) {
	if !l.started {
		l.started, l.since, l.startedAt = true, now, now
	}
	l.now, l.frameForWatches = now, false
	if l.watches == nil {
		l.startWatches(now)
	}
	if p := l.applyInput(now, in, out); p != nil {
		*out = Output{Err: p, Carrier: l.carrier, Speed: l.speed()}
		return
	}
	if !l.resumed && l.handledByWatches(now, in, out) {
		return
	}
	if l.resumed {
		l.resumed = false
		l.announceAgain(now, out)
	}
	l.reconcile(now, out)
}

// Deadline is when the Loop wants the next Tick; zero for never.
func (l *Loop) Deadline() time.Time {
	d := l.deadlineButWatches()
	if l.watches != nil && !l.ended {
		d = earlier(d, l.watches.Deadline())
	}
	return d
}

func (l *Loop) deadlineButWatches() time.Time {
	d := earlier(earlier(l.fdb.deadline(), l.verdictDue), l.duplicatesDeadline())
	if !l.ended {
		d = earlier(d, l.mode.Deadline())
	}
	for _, m := range l.members {
		d = earlier(d, m.debounce.Deadline())
	}
	return d
}

// applyInput changes the state. A refused input has changed nothing.
func (l *Loop) applyInput(now time.Time, in Input, out *Output) *api.Problem {
	switch in := in.(type) {
	case LinkChanged:
		l.linkChanged(now, in.LinkState)
	case Reserve:
		return l.reserve(in, out)
	case Joined:
		l.joined(now, in, out)
	case Released:
		delete(l.joining, in.ID)
		if l.byID(in.ID) == nil {
			l.takenIDs = l.takenIDs.Without(in.ID)
		}
	case Drain:
		return l.drain(in, out)
	case Undrain:
		if m := l.byName(in.Name); m != nil && m.draining {
			m.draining, l.dirty = false, true
		}
	case Leave:
		return l.leave(now, in, out)
	case Absent:
		m := l.byName(in.Name)
		if m == nil {
			return noMember(in.Name, l.memberNames())
		}
		if !m.absent {
			m.absent, m.linkLostAt = true, now
		}
	case Reopen:
		m := l.byName(in.Name)
		if m == nil {
			return noMember(in.Name, l.memberNames())
		}
		m.reopening, l.dirty = true, true
		out.ID, out.Link = m.id, m.link
	case Reopened:
		if m := l.byID(in.ID); m != nil && m.reopening {
			delete(l.warnings, "groups "+m.link.Name)
			m.link, m.info, l.dirty = in.Link, in.Info, true
			m.resetLink(now)
		}
	case Change:
		return l.change(now, in.Config, out)
	case End:
		if !l.ended {
			l.ended = true
			l.endMode(now, out)
		}
	case Resume:
		return l.resumeMode()
	case FromDatapath:
		l.fromDatapath(now, in.Control, out)
	case Flooding:
		l.flooding(now, in, out)
	case Measured:
		l.measured(now, in, out)
	case AdapterRxMode:
		l.dirty = l.dirty || !reflect.DeepEqual(in.RxMode, l.rxMode)
		l.rxMode = in.RxMode
	case Observed:
		l.observed(now, in, out)
	case DatapathChanged:
		if in.Name != l.datapath {
			l.addEvent(out, now, "datapath-changed", "", fmt.Sprintf("%s, was %s: %s", in.Name, l.datapath, in.Reason))
		}
		l.datapath, l.datapathReason = in.Name, in.Reason
	case Announced:
		l.addEffects(now, l.mode.Handle(now, modes.Announced{}), out)
	case ListPeers:
		out.Peers = modes.Peers(now, l.mode)
	case Warn:
		delete(l.warnings, in.Key)
		delete(l.advice, in.Key)
		switch {
		case in.Text == "":
		case in.Advice:
			l.advice[in.Key] = in.Text
		default:
			l.warnings[in.Key] = in.Text
		}
	case StartNotes:
		for _, text := range in.Texts {
			if !slices.Contains(l.startNotes, text) && len(l.startNotes) < maxNotes {
				l.startNotes = append(l.startNotes, text)
			}
		}
	case Announce:
		l.announceAll(out)
	case AdapterUp:
		l.adapterDown = !in.Up
	case AddressesLeft:
		l.addressesLeft(now, in, out)
	case AddressesHeld:
		l.addressesHeld(now, in, out)
	case WatchTargets:
		l.targets = in.Targets
		l.watches.SetTargets(now, in.Targets)
	case Traffic:
		if !l.ended {
			l.watches.Traffic(now, &in.Traffic)
		}
	case Heard:
		if !l.ended {
			l.hear(in)
		}
	case Undamp:
		return l.undamp(in.Name)
	case AdapterMAC:
		l.adapterMAC(now, in.MAC, out)
	case Tick, Idle:
	}
	return nil
}

// announceAll announces all that neighbours must know of the adapter.
func (l *Loop) announceAll(out *Output) {
	out.Tell = modes.TellAll
	if l.plan != nil && l.plan.PerMember && l.cfg.ReceiveBalance {
		out.Tell |= modes.TellAsk // the adapter's stack knows hosts since it got the addresses
	}
}

func (l *Loop) linkChanged(now time.Time, s monitor.LinkState) {
	for _, m := range l.members {
		if m.link.Index != s.Index || m.reopening || s.At.Before(m.openedAt) || s.At.Before(m.linkState.At) {
			continue
		}
		if m.linkState.Link.SpeedBps != s.Link.SpeedBps {
			l.dirty, m.measuredRate = true, rate{}
		}
		if m.linkState.Link.Duplex != s.Link.Duplex {
			l.dirty = true
		}
		if m.linkState.Up && !s.Up {
			m.linkLostAt = s.At
		}
		if s.Up && !m.linkState.Up {
			m.linkSince = now
		}
		m.linkState, m.linkKnown, m.justJoined = s, true, false
		if !s.Up && s.Reason == monitor.ReasonGone {
			m.absent = true
		}
	}
}

func (l *Loop) fromDatapath(now time.Time, c Control, out *Output) {
	switch c.Kind {
	case ControlFrame:
		switch {
		case c.Member < 0 && l.plan != nil && !l.plan.PerMember:
			// The adapter sent it under an earlier Plan, which handed its frames to the mode. Send it instead of losing
			// it.
			for _, id := range l.announceVia() {
				out.Send = append(out.Send, spread.Send{Member: id, Frame: c.Frame})
			}
		case l.ended:
		case c.Member >= 0 && l.noteClaim(now, c.Frame, out):
		case c.Member >= 0 && l.byID(c.Member) != nil && l.watches.Receive(now, c.Member, c.Frame):
			l.frameForWatches = true
		case c.Member < 0 || l.byID(c.Member) != nil:
			l.addEffects(now, l.mode.Handle(now, modes.Received{Member: c.Member, Frame: c.Frame}), out)
		}
	case ControlStation:
		mac := c.Station.MAC()
		own := mac == l.adapter
		for _, m := range l.members {
			own = own || mac == m.link.MAC
		}
		if !own {
			l.fdb.learn(now, c.Station)
		}
	case ControlStationMoved:
		l.fdb.moveAway(now, c.Station)
	case ControlRefused:
		l.filterRefused(now, c, out)
	case ControlGroups:
		l.syncGroupWarning(c)
	case ControlSuspect, ControlLost:
		out.ReadLinks = out.ReadLinks || l.byID(c.Member) != nil
	}
}

func (l *Loop) byID(id int) *member {
	for _, m := range l.members {
		if m.id == id {
			return m
		}
	}
	return nil
}

func (l *Loop) byName(name string) *member {
	for _, m := range l.members {
		if m.link.Name == name {
			return m
		}
	}
	return nil
}

func (l *Loop) memberNames() []string {
	var names []string
	for _, m := range l.members {
		names = append(names, m.link.Name)
	}
	return names
}

// settings returns the live settings as modes read them.
func (l *Loop) settings() modes.Settings {
	return modes.Settings{Kind: l.cfg.Mode, Balance: l.cfg.Balance, Hash: l.cfg.Hash, Salt: l.salt,
		Primary: l.cfg.Primary, PrimaryReselect: l.cfg.PrimaryReselect, Active: l.cfg.Active,
		PacketsPerMember: l.cfg.PacketsPerMember, MinMembers: l.cfg.MinMembers,
		Patient:        l.cfg.DownDelay > 0,
		ReceiveBalance: l.cfg.ReceiveBalance, Gain: l.cfg.Gain, Skew: l.cfg.Skew, Rebalance: l.cfg.Rebalance,
		LACP: l.cfg.LACP}
}

// addEvent adds an event to out.
func (l *Loop) addEvent(out *Output, now time.Time, name, member, reason string) {
	out.Events = append(out.Events, api.Event{Schema: api.EventSchema, Time: now, Team: l.cfg.Team, Event: name,
		Member: member, Reason: reason})
}

func noMember(name string, names []string) *api.Problem {
	why := "the team has no members"
	if len(names) > 0 {
		why = "the members are " + strings.Join(names, ", ")
	}
	return &api.Problem{Kind: api.NotFound, What: fmt.Sprintf("no member %q", name), Why: why, Fix: "name a member"}
}
