// SPDX-License-Identifier: MIT

package team

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/monitor"
)

// CheckpointSchema names the document.
const CheckpointSchema = "nicteam.checkpoint/v1"

// Checkpoint is what the control loop of the next process needs to go on where this one ended, while the data path and
// the adapter's carrier stay as they are: its first Plan is the one in force, members keep ids and verdicts, partners
// and neighbours are told nothing. Settings are not part of it; they are those of the running configuration. It is
// plain data, immutable once published.
type Checkpoint struct {
	Schema  string    `json:"schema"`
	Team    string    `json:"team"`
	At      time.Time `json:"at"` // by the clock of all its times
	Mode    string    `json:"mode"`
	Balance bool      `json:"balance"`

	Adapter     frame.MAC          `json:"adapter"`
	MTU         int                `json:"mtu"`
	AdapterDown bool               `json:"adapter_down,omitempty"`
	Salt        uint64             `json:"salt"`
	LastID      int                `json:"last_id"`
	Members     []MemberCheckpoint `json:"members"`

	Stations []frame.Station `json:"stations,omitempty"` // sorted, as in the Plan
	Ageing   []frame.Station `json:"ageing,omitempty"`   // of them
	Rotated  time.Time       `json:"rotated,omitzero"`
	RxMode   spread.RxMode   `json:"rx_mode"`

	FloodSeen        time.Time `json:"flood_seen,omitzero"`
	Floods           []Flood   `json:"floods,omitempty"`
	CollectingGrewAt time.Time `json:"collecting_grew_at,omitzero"`

	Told   modes.Tell `json:"told,omitempty"` // what was announced last
	ToldAt time.Time  `json:"told_at,omitzero"`

	State       string    `json:"state"`
	Reason      string    `json:"reason,omitempty"`
	Since       time.Time `json:"since"`
	ForcedMoves uint64    `json:"forced_moves,omitempty"`

	Watches   *monitor.WatchesCheckpoint `json:"watches,omitempty"` // nil: written before there were any
	Targets   monitor.Targets            `json:"targets,omitzero"`  // whom they may ask
	Asked     []netip.Addr               `json:"asked,omitempty"`   // whom they ask, IPv4
	Held      []HeldAddress              `json:"held,omitempty"`    // nil: not known
	ModeState *modes.Checkpoint          `json:"mode_state"`
}

// Flood is what a member received of the frames for others, in a Checkpoint.
type Flood struct {
	Member     int       `json:"member"`
	Since      time.Time `json:"since"`
	Frames     uint64    `json:"frames"`
	AnsweredAt time.Time `json:"answered_at,omitzero"`
}

// MemberCheckpoint is a member in a Checkpoint.
type MemberCheckpoint struct {
	ID            int                `json:"id"`
	Link          Link               `json:"link"`
	Weight        float64            `json:"weight"`
	Priority      uint16             `json:"priority"`
	Info          MemberInfo         `json:"info"`
	LinkState     monitor.LinkState  `json:"link_state"`
	LinkKnown     bool               `json:"link_known"`
	JustJoined    bool               `json:"just_joined,omitempty"`
	LinkLostAt    time.Time          `json:"link_lost_at,omitzero"`
	Absent        bool               `json:"absent,omitempty"`
	Reopening     bool               `json:"reopening,omitempty"`
	Draining      bool               `json:"draining,omitempty"`
	Debounce      monitor.DebounceAt `json:"debounce"`
	FilterRefusal string             `json:"filter_refusal,omitempty"`
	Usable        bool               `json:"usable"`
	EverUsed      bool               `json:"ever_used,omitempty"`
	Failures      uint64             `json:"failures"`

	LinkSince      time.Time         `json:"link_since,omitzero"`
	Forced         bool              `json:"forced,omitempty"`
	FallUntold     bool              `json:"fall_untold,omitempty"`
	SuspectSince   time.Time         `json:"suspect_since,omitzero"`
	SuspectTold    bool              `json:"suspect_told,omitempty"`
	SuspectEventAt time.Time         `json:"suspect_event_at,omitzero"`
	Damping        monitor.DampingAt `json:"damping,omitzero"`
	DampedTold     bool              `json:"damped_told,omitempty"`
	DampingSkipped time.Time         `json:"damping_skipped,omitzero"`
	WayBack        WayBackAt         `json:"way_back,omitzero"`
}

// Checkpoint returns the state of the loop for the next process, nil while there is nothing to go on with: no Plan is
// in force yet, or the team has ended.
func (l *Loop) Checkpoint(now time.Time) *Checkpoint {
	if l.ended || l.plan == nil || l.previousPlan != nil {
		return nil
	}
	state := modes.CheckpointOf(l.mode)
	if state == nil {
		return nil
	}
	c := &Checkpoint{Schema: CheckpointSchema, Team: l.cfg.Team, At: now, Mode: l.cfg.Mode.String(),
		Balance: l.cfg.Balance, Adapter: l.adapter, MTU: l.mtu, AdapterDown: l.adapterDown, Salt: l.salt,
		LastID: l.lastID, Stations: l.plan.Stations, Ageing: l.plan.Ageing, Rotated: l.fdb.rotated, RxMode: l.rxMode,
		FloodSeen: l.floodSeen, CollectingGrewAt: l.collectingGrewAt,
		Told: l.told, ToldAt: l.toldAt, State: l.state, Reason: l.reason, Since: l.since, ForcedMoves: l.forcedMoves,
		Watches: l.earlierWatches, Targets: l.targets, Asked: l.plan.Asked, Held: l.held.list(),
		ModeState: state}
	if l.watches != nil {
		w := l.watches.Checkpoint()
		c.Watches = &w
	}
	for _, m := range l.members {
		c.Members = append(c.Members, MemberCheckpoint{ID: m.id, Link: m.link, Weight: m.weight, Priority: m.priority,
			Info: m.info, LinkState: m.linkState, LinkKnown: m.linkKnown, JustJoined: m.justJoined,
			LinkLostAt: m.linkLostAt, Absent: m.absent, Reopening: m.reopening, Draining: m.draining,
			Debounce: m.debounce.At(), FilterRefusal: m.filterRefusal, Usable: m.usable,
			EverUsed: m.everUsed, Failures: m.failures,
			LinkSince: m.linkSince, Forced: m.forced, FallUntold: m.fallUntold,
			SuspectSince: m.suspectSince, SuspectTold: m.suspectTold, SuspectEventAt: m.suspectEventAt,
			Damping: m.damping.At(), DampedTold: m.dampedTold, DampingSkipped: m.dampingSkipped,
			WayBack: m.wayBack.at()})
		if f := l.floods[m.id]; f != nil {
			c.Floods = append(c.Floods, Flood{m.id, f.since, f.frames, f.answeredAt})
		}
	}
	return c
}

// maxAsked is more addresses than watches ask for.
const maxAsked = 256

// errCheckpoint: no Loop has such a state.
var errCheckpoint = errors.New("inconsistent checkpoint")

// check returns an error if no Loop of that team can have the state of c.
func (c *Checkpoint) check() error {
	if c.Schema != CheckpointSchema {
		return fmt.Errorf("checkpoint of another version: %.40q", c.Schema)
	}
	if len(c.Stations) > maxStations || !slices.IsSorted(c.Stations) || !slices.IsSorted(c.Ageing) ||
		len(c.Ageing) > len(c.Stations) || len(c.RxMode.Groups) > maxCheckpointGroups ||
		len(c.Floods) > len(c.Members) || len(c.Asked) > maxAsked || len(c.Held) > maxHeld || c.LastID < -1 ||
		c.LastID >= spread.MaxMembers || c.At.IsZero() || len(c.Members) > spread.MaxMembers {
		return errCheckpoint
	}
	switch c.State {
	case "up", "degraded", "down":
	default:
		return errCheckpoint
	}
	last, names := -1, map[string]bool{}
	for i := range c.Members {
		m := &c.Members[i]
		if m.ID <= last || m.ID >= spread.MaxMembers || m.Link.Name == "" || names[m.Link.Name] || m.Link.Index <= 0 ||
			!(m.Weight > 0) || math.IsInf(m.Weight, 0) || m.LinkState.Index != m.Link.Index && m.LinkKnown ||
			!m.WayBack.valid() {
			return errCheckpoint
		}
		last, names[m.Link.Name] = m.ID, true
	}
	if c.Watches != nil {
		for _, w := range c.Watches.Members {
			if w.ID < 0 || w.ID >= spread.MaxMembers || w.State > monitor.Down {
				return errCheckpoint
			}
		}
	}
	return nil
}

// maxCheckpointGroups is more groups than an adapter has.
const maxCheckpointGroups = 1 << 16

// resume gives a new Loop the state of a Checkpoint, by the clock of which it is c.At.
func (l *Loop) resume(c *Checkpoint) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Team != l.cfg.Team || c.Mode != l.cfg.Mode.String() || c.Balance != l.cfg.Balance {
		return fmt.Errorf("checkpoint of team %.40q in mode %.40q with balance %v", c.Team, c.Mode, c.Balance)
	}
	l.adapter, l.mtu, l.adapterDown, l.salt = c.Adapter, c.MTU, c.AdapterDown, c.Salt
	l.lastID, l.rxMode, l.floodSeen, l.collectingGrewAt = c.LastID, c.RxMode, c.FloodSeen, c.CollectingGrewAt
	l.told, l.toldAt = c.Told, c.ToldAt
	l.state, l.reason, l.since, l.forcedMoves = c.State, c.Reason, c.Since, c.ForcedMoves
	l.carrier = c.State != "down" // reconcile corrects it where only the adapter is down
	l.fdb.resume(c)
	for _, f := range c.Floods {
		l.floods[f.Member] = &flood{f.Since, f.Frames, f.AnsweredAt}
	}
	for i := range c.Members {
		l.members = append(l.members, resumedMember(&c.Members[i], l))
		l.takenIDs = l.takenIDs.With(c.Members[i].ID)
	}
	l.resumeWatches(c)
	m, err := l.newMode(l.settings())
	if err != nil {
		return err
	}
	if err := modes.Resume(c.At, m, l.modeState(c.At), c.ModeState); err != nil {
		return err
	}
	l.mode, l.modeMemory, l.dirty = m, nil, false
	l.targets, l.asked, l.watchesConfig = c.Targets, c.Asked, l.watchConfig()
	l.resumeHeld(c.Held)
	l.modePlan = m.Plan()
	l.plan, l.planPending = l.withHeld(l.withAsking(l.modePlan)), true
	l.started, l.startedAt = true, c.At
	l.resumed = true
	for _, m := range l.members {
		m.lost = l.watchesConfig.Aggregated && m.usable && m.watch.State == monitor.Down
		// What removes a member, or opens its NIC again, has ended with the process before.
		if m.reopening {
			m.reopening, m.absent, l.dirty = false, true, true
		}
		if m.draining {
			m.draining, l.dirty = false, true
		}
	}
	return nil
}

func resumedMember(c *MemberCheckpoint, l *Loop) *member {
	m := &member{id: c.ID, link: c.Link, weight: c.Weight, priority: c.Priority, info: c.Info,
		linkState: c.LinkState, linkKnown: c.LinkKnown, justJoined: c.JustJoined, linkLostAt: c.LinkLostAt,
		absent: c.Absent, reopening: c.Reopening, draining: c.Draining, filterRefusal: c.FilterRefusal,
		usable: c.Usable, everUsed: c.EverUsed || c.Usable, failures: c.Failures,
		linkSince: c.LinkSince, forced: c.Forced, fallUntold: c.FallUntold,
		suspectSince: c.SuspectSince, suspectTold: c.SuspectTold, suspectEventAt: c.SuspectEventAt,
		damping: c.Damping.Damping(), dampedTold: c.DampedTold, dampingSkipped: c.DampingSkipped,
		wayBack: c.WayBack.wayBack()}
	m.debounce = c.Debounce.Debounce()
	m.debounce.UpDelay, m.debounce.DownDelay = l.cfg.UpDelay, l.cfg.DownDelay
	m.worked = m.works()
	return m
}

// resumeWatches restores the verdicts of link watches. In a Checkpoint that has none all members keep their use.
func (l *Loop) resumeWatches(c *Checkpoint) {
	if c.Watches == nil {
		l.replaceWatches()
		return
	}
	l.earlierWatches = c.Watches
	for _, w := range c.Watches.Members {
		if m := l.byID(w.ID); m != nil {
			m.watch = monitor.Verdict{State: w.State, Reason: w.Reason, Since: w.Since}
		}
	}
}

// resume restores the stations of the Plan in force. Others are reported anew.
func (b *fdb) resume(c *Checkpoint) {
	b.young, b.old, b.vlans = map[frame.Station]bool{}, map[frame.Station]bool{}, map[frame.MAC]int{}
	for _, s := range c.Stations {
		b.young[s] = true
		b.vlans[s.MAC()]++
	}
	for _, s := range c.Ageing {
		if b.young[s] {
			delete(b.young, s)
			b.old[s] = true
		}
	}
	b.rotated = c.Rotated
}

// announceAgain repeats an announcement that the process before may not have finished.
func (l *Loop) announceAgain(now time.Time, out *Output) {
	took := toldSlack + time.Duration(max(l.cfg.AnnounceCount-1, 0))*l.cfg.AnnounceInterval
	if !l.toldAt.IsZero() && now.Sub(l.toldAt) < took {
		out.Tell |= l.told
	}
}

// toldSlack is how long an announcement may take besides its pauses.
const toldSlack = 100 * time.Millisecond

// Present returns the members whose NICs were there.
func (c *Checkpoint) Present() (members []MemberCheckpoint) {
	for _, m := range c.Members {
		if !m.Absent && !m.Reopening {
			members = append(members, m)
		}
	}
	return members
}

// changesCheckpoint reports whether an input may change the Checkpoint, and whether the next process must know at once.
func changesCheckpoint(in Input, out *Output) (changes, urgent bool) {
	if out.Plan != nil || out.Memory != nil {
		return true, true
	}
	if out.unchanged {
		return false, false
	}
	switch in.(type) {
	case Tick, Idle, LinkChanged, FromDatapath, Measured, Flooding, Announced, Observed, Traffic, Heard, WatchTargets:
		return true, false
	case ListPeers, Warn, StartNotes, DatapathChanged, Announce:
		return false, false
	}
	return true, true
}
