package team

import (
	"fmt"
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

// Loop is the control loop without its goroutine: it owns all mutable state of a team and decides.
// It is called from one goroutine.
type Loop struct {
	cfg     settings.Config
	adapter frame.MAC
	mtu     int // the adapter's, 0 unknown
	salt    uint64
	newMode func(modes.Settings) (modes.Mode, error)

	mode    modes.Mode
	plan    *spread.Plan
	members []*member        // by id
	taken   spread.MemberSet // ids of members, of those that join and of those that leave
	joining map[int]Link     // those that join
	lastID  int
	behind  behind
	rxMode  spread.RxMode // of the adapter
	warned  map[string]string
	notes   []string          // of the start
	advised map[string]string // warnings that leave the state as it is
	down    bool              // the adapter is, by somebody's hand

	flooded   map[int]*flood
	floodSeen time.Time    // on any
	strayed   time.Time    // when strays began to count
	strays    uint64       // frames for the adapter that came in where they should not
	before    *spread.Plan // of the mode before, until the new one knows
	moved     time.Time    // when the Plan last had a member collect that did not before

	evened time.Time // when the mode was last shown what the data path has seen
	forced uint64    // moves of flows that do not pause

	agreed    func(modes.Mode) *modes.Agreement
	agreement *modes.Agreement // of the mode, nil for one that agrees nothing
	memory    *lacp.Memory     // as last handed out
	handed    *lacp.Memory     // for the mode, until it knows
	inherited *lacp.Memory     // of the process before this one
	born      time.Time
	ended     bool // the team has said farewell

	path, pathReason string // the data path that moves the frames, and why that one

	state, reason string
	carrier       bool // that the adapter is to have
	since         time.Time
	dirty         bool // the mode does not know the State
	begun         bool
}

// maxNotes bounds what a Status has to carry.
const maxNotes = 64

// LoopOptions are what a Loop needs besides its configuration.
type LoopOptions struct {
	Adapter frame.MAC
	Salt    uint64                                   // of the flow hash, the team's own
	NewMode func(modes.Settings) (modes.Mode, error) // nil: modes.New

	// Memory is what 802.3ad is to go on with: what a process before this one handed out last in Output.Memory, nil nothing.
	Memory *lacp.Memory

	Datapath, DatapathReason string // that moves the frames at first
}

// NewLoop returns the loop of a team without members. cfg.Members are only looked at for weights.
// The error is a *Problem.
func NewLoop(cfg settings.Config, o LoopOptions) (*Loop, error) {
	if o.NewMode == nil {
		o.NewMode = modes.New
	}
	l := &Loop{cfg: cfg, adapter: o.Adapter, salt: o.Salt, newMode: o.NewMode, lastID: -1,
		joining: map[int]Link{}, warned: map[string]string{}, advised: map[string]string{}, flooded: map[int]*flood{},
		agreed: modes.Agreed, memory: o.Memory,
		path: o.Datapath, pathReason: o.DatapathReason, state: "down", reason: "no members", dirty: true}
	if f := settings.CheckLive(&cfg); f != nil {
		return nil, settingProblem(f)
	}
	m, err := l.newMode(l.settings())
	if err != nil {
		return nil, modeProblem(cfg.Mode, err)
	}
	if !cfg.Mode.HasPartner() {
		l.memory = identity(l.memory)
	}
	l.mode, l.handed = m, l.memory
	if l.memory != nil {
		l.inherited = kept(l.memory)
	}
	return l, nil
}

// Handle takes in what happened at now and says what is to be done. now never goes back.
func (l *Loop) Handle(now time.Time, in Input) (out Output) {
	l.handle(now, in, &out)
	return out
}

// handle is Handle, of which what was found out until a panic is not lost.
func (l *Loop) handle(now time.Time, in Input, out *Output) {
	if !l.begun {
		l.begun, l.since, l.born = true, now, now
	}
	if p := l.take(now, in, out); p != nil {
		*out = Output{Err: p, Carrier: l.carrier, Speed: l.speed()}
		return
	}
	l.settle(now, out)
}

// Deadline is when the Loop wants the next Tick; zero for never.
func (l *Loop) Deadline() time.Time {
	d := l.behind.deadline()
	if !l.ended {
		d = earlier(d, l.mode.Deadline())
	}
	for _, m := range l.members {
		d = earlier(d, m.debounce.Deadline())
	}
	return d
}

// take changes the state by in. A refused input has changed nothing.
func (l *Loop) take(now time.Time, in Input, out *Output) *api.Problem {
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
			l.taken = l.taken.Without(in.ID)
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
			return noMember(in.Name, l.names())
		}
		if !m.absent {
			m.absent, m.lost = true, now
		}
	case Vacate:
		m := l.byName(in.Name)
		if m == nil {
			return noMember(in.Name, l.names())
		}
		m.vacant, l.dirty = true, true
		out.ID, out.Link = m.id, m.link
	case Returned:
		if m := l.byID(in.ID); m != nil && m.vacant {
			delete(l.warned, "groups "+m.link.Name)
			m.link, m.info, l.dirty = in.Link, in.Info, true
			m.reset(now)
		}
	case Change:
		return l.change(now, in.Config, out)
	case End:
		if !l.ended {
			l.ended = true
			l.end(now, out)
		}
	case Resume:
		return l.resume()
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
	case OnDatapath:
		if in.Name != l.path {
			l.event(out, now, "datapath-changed", "", fmt.Sprintf("%s, was %s: %s", in.Name, l.path, in.Reason))
		}
		l.path, l.pathReason = in.Name, in.Reason
	case Announced:
		l.effects(now, l.mode.Handle(now, modes.Announced{}), out)
	case AskPeers:
		out.Peers = modes.Peers(now, l.mode)
	case Warn:
		delete(l.warned, in.Key)
		delete(l.advised, in.Key)
		switch {
		case in.Text == "":
		case in.Advice:
			l.advised[in.Key] = in.Text
		default:
			l.warned[in.Key] = in.Text
		}
	case Note:
		for _, text := range in.Texts {
			if !slices.Contains(l.notes, text) && len(l.notes) < maxNotes {
				l.notes = append(l.notes, text)
			}
		}
	case Announce:
		l.announce(out)
	case AdapterUp:
		l.down = !in.Up
	case AddressesLeft:
		l.addressesLeft(now, in, out)
	case AdapterMAC:
		l.adapterMAC(now, in.MAC, out)
	case Tick:
	}
	return nil
}

// announce has everything told that the neighbours must know of the adapter.
func (l *Loop) announce(out *Output) {
	out.Tell = modes.TellAll
	if l.plan != nil && l.plan.PerMember && l.cfg.ReceiveBalance {
		out.Tell |= modes.TellAsk // the adapter's stack knows hosts since it got the addresses
	}
}

func (l *Loop) linkChanged(now time.Time, s monitor.LinkState) {
	for _, m := range l.members {
		if m.link.Index != s.Index || m.vacant || s.At.Before(m.opened) {
			continue
		}
		if m.state.Link.SpeedBps != s.Link.SpeedBps {
			l.dirty, m.rate = true, rate{}
		}
		if m.state.Link.Duplex != s.Link.Duplex {
			l.dirty = true
		}
		if m.state.Up && !s.Up {
			m.lost = s.At
		}
		m.state, m.known, m.fresh = s, true, false
		m.debounce.Handle(now, s.Up)
		if !s.Up && s.Reason == monitor.ReasonGone {
			m.absent = true
		}
	}
}

func (l *Loop) reserve(in Reserve, out *Output) *api.Problem {
	what := fmt.Sprintf("add %s to %s", in.Link.Name, l.cfg.Team)
	fix := "nicteam status " + l.cfg.Team + " shows the members"
	taken := func(o Link) bool { return o.Name == in.Link.Name || o.Index == in.Link.Index }
	for _, m := range l.members {
		if taken(m.link) {
			return &api.Problem{Kind: api.Conflict, What: what, Why: "it is a member already", Fix: fix}
		}
	}
	for _, j := range l.joining {
		if taken(j) {
			return &api.Problem{Kind: api.Conflict, What: what, Why: "it is being added already", Fix: fix}
		}
	}
	// The id that was free longest, so that the counters of a member that left are not taken for
	// those of one that joins.
	for i := 1; i <= spread.MaxMembers; i++ {
		id := (l.lastID + i) % spread.MaxMembers
		if !l.taken.Has(id) {
			l.taken, l.lastID = l.taken.With(id), id
			l.joining[id] = in.Link
			out.ID, out.Link = id, in.Link
			return nil
		}
	}
	return &api.Problem{Kind: api.Conflict, What: what, Why: fmt.Sprintf("a team has at most %d members", spread.MaxMembers), Fix: "remove one first"}
}

func (l *Loop) joined(now time.Time, in Joined, out *Output) {
	if _, ok := l.joining[in.ID]; !ok {
		return // never reserved: the id may be somebody else's
	}
	delete(l.joining, in.ID)
	out.ID, out.Link = in.ID, in.Link
	m := &member{id: in.ID, link: in.Link, weight: in.Weight, priority: modes.DefaultPortPriority, info: in.Info, fresh: true}
	for _, c := range l.cfg.Members {
		if c.Name != in.Link.Name {
			continue
		}
		m.priority = c.PortPriority
		if m.weight <= 0 {
			m.weight = c.Weight
		}
	}
	if m.weight <= 0 {
		m.weight = 1
	}
	m.debounce.UpDelay, m.debounce.DownDelay = l.cfg.UpDelay, l.cfg.DownDelay
	m.reset(now)
	i, _ := slices.BinarySearchFunc(l.members, m.id, func(m *member, id int) int { return m.id - id })
	l.members = slices.Insert(l.members, i, m)
	l.dirty = true
	l.event(out, now, "member-added", in.Link.Name, "")
}

// leaving finds the member that is to leave. The last one stays unless forced: who removes it by
// mistake has no network.
func (l *Loop) leaving(name string, force bool) (*member, *api.Problem) {
	m := l.byName(name)
	if m == nil {
		return nil, noMember(name, l.names())
	}
	for _, o := range l.members {
		if o != m && !o.draining {
			return m, nil
		}
	}
	if !force {
		return nil, &api.Problem{Kind: api.Conflict, What: fmt.Sprintf("remove %s from %s", name, l.cfg.Team),
			Why: "it is the last member: the team would be without network", Fix: "nicteam delete " + l.cfg.Team + ", or remove with --force"}
	}
	return m, nil
}

func (l *Loop) drain(in Drain, out *Output) *api.Problem {
	m, p := l.leaving(in.Name, in.Force)
	if p != nil {
		return p
	}
	out.ID, out.Link = m.id, m.link
	m.draining, l.dirty = true, true
	return nil
}

func (l *Loop) leave(now time.Time, in Leave, out *Output) *api.Problem {
	m, p := l.leaving(in.Name, in.Force)
	if p != nil {
		return p
	}
	out.ID, out.Link = m.id, m.link
	l.members = slices.DeleteFunc(l.members, func(o *member) bool { return o == m })
	l.dirty = true
	if l.cfg.Active == m.link.Name {
		l.cfg.Active = ""
	}
	delete(l.flooded, m.id)
	l.disown(m.link.Name)
	delete(l.warned, "filter "+m.link.Name)
	delete(l.warned, "groups "+m.link.Name)
	delete(l.warned, "mtu "+m.link.Name)
	l.event(out, now, "member-removed", m.link.Name, "")
	return nil
}

func (l *Loop) fromDatapath(now time.Time, c Control, out *Output) {
	switch c.Kind {
	case ControlFrame:
		switch {
		case c.Member < 0 && l.plan != nil && !l.plan.PerMember:
			// The adapter sent it under a Plan that is no longer in force. It is not to be lost by that.
			for _, id := range l.via() {
				out.Send = append(out.Send, spread.Send{Member: id, Frame: c.Frame})
			}
		case l.ended:
		case c.Member < 0 || l.byID(c.Member) != nil:
			l.effects(now, l.mode.Handle(now, modes.Received{Member: c.Member, Frame: c.Frame}), out)
		}
	case ControlBehind:
		mac := c.Station.MAC()
		own := mac == l.adapter
		for _, m := range l.members {
			own = own || mac == m.link.MAC
		}
		if !own {
			l.behind.add(now, c.Station)
		}
	case ControlElsewhere:
		l.behind.elsewhere(now, c.Station)
	case ControlRefused:
		l.refused(now, c, out)
	case ControlGroups:
		l.groupsRefused(c)
	case ControlSuspect:
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

func (l *Loop) names() []string {
	var names []string
	for _, m := range l.members {
		names = append(names, m.link.Name)
	}
	return names
}

// settings are the live settings as modes read them.
func (l *Loop) settings() modes.Settings {
	return modes.Settings{Kind: l.cfg.Mode, Balance: l.cfg.Balance, Hash: l.cfg.Hash, Salt: l.salt,
		Primary: l.cfg.Primary, PrimaryReselect: l.cfg.PrimaryReselect, Active: l.cfg.Active,
		PacketsPerMember: l.cfg.PacketsPerMember, MinMembers: l.cfg.MinMembers,
		ReceiveBalance: l.cfg.ReceiveBalance, Gain: l.cfg.Gain, Skew: l.cfg.Skew, Rebalance: l.cfg.Rebalance, LACP: l.cfg.LACP}
}

// event adds an event to what is to be done.
func (l *Loop) event(out *Output, now time.Time, name, member, reason string) {
	out.Events = append(out.Events, api.Event{Schema: "nicteam.event/v1", Time: now, Team: l.cfg.Team, Event: name, Member: member, Reason: reason})
}

func noMember(name string, names []string) *api.Problem {
	why := "the team has no members"
	if len(names) > 0 {
		why = "the members are " + strings.Join(names, ", ")
	}
	return &api.Problem{Kind: api.NotFound, What: fmt.Sprintf("no member %q", name), Why: why, Fix: "name a member"}
}
