// SPDX-License-Identifier: MIT

package modes

import (
	"errors"
	"maps"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
	"nicteam/modes/steer"
)

// Checkpoint is what a mode knows that does not follow from the State. A process that takes over from another one,
// while the data path goes on, resumes the mode from it: its first Plan is the one in force, and neighbours are told
// nothing. It is plain data for a file; its times are those of the process that wrote it.
type Checkpoint struct {
	Single      *SingleCheckpoint      `json:"single,omitempty"`
	Slots       *SlotsCheckpoint       `json:"slots,omitempty"`
	ELB         *ELBCheckpoint         `json:"elb,omitempty"`
	Aggregation *AggregationCheckpoint `json:"802.3ad,omitempty"`
}

// Filters are the MACs that members' NICs accept besides their own.
type Filters = map[int][]frame.MAC

// SingleCheckpoint is that of active-backup.
type SingleCheckpoint struct {
	Active  int              `json:"active"`
	Overlap spread.MemberSet `json:"overlap,omitempty"`
	Until   time.Time        `json:"until,omitzero"`
	Filters Filters          `json:"filters,omitempty"` // of Overlap, as another mode set them
}

// SlotsCheckpoint is that of slots that migrate or not.
type SlotsCheckpoint struct {
	Shares   [spread.MaxMembers]uint32 `json:"shares,omitzero"`
	Members  []byte                    `json:"members,omitempty"` // by slot
	From     []byte                    `json:"from,omitempty"`    // before the migration under way
	ID       uint64                    `json:"id,omitempty"`
	ForcedAt time.Time                 `json:"forced_at,omitzero"`
	Mark     uint32                    `json:"mark,omitempty"`
	Cleared  [spread.MaxMembers]uint32 `json:"cleared,omitzero"`
	Markers  [spread.MaxMembers]uint32 `json:"markers,omitzero"`
	MarkerAt time.Time                 `json:"marker_at,omitzero"`
}

// ELBCheckpoint is that of elb.
type ELBCheckpoint struct {
	Active         int                            `json:"active"`
	MACOwner       map[frame.MAC]int              `json:"mac_owner,omitempty"`
	InUse          []frame.MAC                    `json:"in_use,omitempty"`
	PreviousOwners map[frame.MAC]spread.MemberSet `json:"previous_owners,omitempty"`
	OverlapUntil   time.Time                      `json:"overlap_until,omitzero"`
	Former         map[frame.MAC]FormerCheckpoint `json:"former,omitempty"`
	Relearn        []frame.MAC                    `json:"relearn,omitempty"`
	RelearnSince   time.Time                      `json:"relearn_since,omitzero"`
	RelearnAt      time.Time                      `json:"relearn_at,omitzero"`
	Failed         []string                       `json:"failed,omitempty"`  // members that are not back
	Returns        map[string]time.Time           `json:"returns,omitempty"` // members that are, and since when
	Moves          []spread.Move                  `json:"moves,omitempty"`
	Generation     uint64                         `json:"generation,omitempty"`
	Steering       steer.Checkpoint               `json:"steering"`
}

// FormerCheckpoint is a former MAC.
type FormerCheckpoint struct {
	Member int       `json:"member"`
	Until  time.Time `json:"until"`
}

// AggregationCheckpoint is that of 802.3ad.
type AggregationCheckpoint struct {
	System   lacp.Checkpoint   `json:"system"`
	Identity frame.MAC         `json:"identity"`
	Numbers  map[string]uint16 `json:"numbers"` // of ports by NIC
	Named    frame.MAC         `json:"named"`

	Active     int              `json:"active"`
	Reason     string           `json:"reason,omitempty"`
	Departed   string           `json:"departed,omitempty"`
	Previous   string           `json:"previous,omitempty"`
	AwaitUntil time.Time        `json:"await_until,omitzero"`
	YieldAt    time.Time        `json:"yield_at,omitzero"`
	Alone      bool             `json:"alone,omitempty"`
	InUse      spread.MemberSet `json:"in_use,omitempty"`
	Reported   int              `json:"reported"`

	Slots SlotsCheckpoint `json:"slots"`

	Overlap OverlapCheckpoint `json:"overlap"`

	Sends      bool `json:"sends"`
	Aggregator int  `json:"aggregator"`
	Single     int  `json:"single"`
}

// OverlapCheckpoint is the rx overlap of 802.3ad.
type OverlapCheckpoint struct {
	Members spread.MemberSet `json:"members,omitempty"`
	Until   time.Time        `json:"until,omitzero"`
	Timed   bool             `json:"timed,omitempty"`
	Collect spread.MemberSet `json:"collect,omitempty"`
	Groups  spread.MemberSet `json:"groups,omitempty"`
	LAN     int              `json:"lan"`
	Filters Filters          `json:"filters,omitempty"`
}

// CheckpointOf returns what m must know in the next process, nil for nothing. It is the caller's own.
func CheckpointOf(m Mode) *Checkpoint { return m.checkpoint() }

// Resume gives m, which must be new, the state that the mode of another process had. st is the last State of that one.
// On an error m must not be used.
func Resume(now time.Time, m Mode, st State, c *Checkpoint) error {
	if c == nil {
		return errCheckpoint
	}
	return m.resume(now, st, c)
}

// errCheckpoint: no such mode has such a state.
var errCheckpoint = errors.New("inconsistent checkpoint of the mode")

// isMember reports whether id is a member of st, or none (-1).
func (st *State) isMember(id int) bool { return id == -1 || find(st, id) != nil }

func filtersOf(pl *spread.Plan, set spread.MemberSet) Filters {
	if pl == nil {
		return nil
	}
	f := Filters{}
	for left := set; left != 0; left = left.Without(left.First()) {
		f[left.First()] = slices.Clone(pl.Filter[left.First()])
	}
	return f
}

// planOf returns a Plan with no more than filters.
func planOf(f Filters) (*spread.Plan, error) {
	if f == nil {
		return nil, nil
	}
	pl := emptyPlan()
	for id, macs := range f {
		if id < 0 || id >= spread.MaxMembers {
			return nil, errCheckpoint
		}
		pl.Filter[id] = macs
	}
	return pl, nil
}

func (a *activeBackup) checkpoint() *Checkpoint {
	return &Checkpoint{Single: &SingleCheckpoint{Active: a.active, Overlap: a.overlap, Until: a.until,
		Filters: filtersOf(a.before, a.overlap)}}
}

func (a *activeBackup) resume(now time.Time, st State, c *Checkpoint) (err error) {
	k := c.Single
	if k == nil || !st.isMember(k.Active) {
		return errCheckpoint
	}
	a.st, a.active, a.overlap, a.until = st, k.Active, k.Overlap, k.Until
	if a.before, err = planOf(k.Filters); err != nil {
		return err
	}
	a.replan(now)
	return nil
}

func (m *slotMigration) checkpoint() *SlotsCheckpoint {
	return &SlotsCheckpoint{Shares: m.shares, Members: m.slots, From: m.from, ID: m.id, ForcedAt: m.forcedAt,
		Mark: m.mark, Cleared: m.cleared, Markers: m.markers, MarkerAt: m.markerAt}
}

func (m *slotMigration) restore(st *State, k *SlotsCheckpoint) error {
	if k == nil || !isSlotTable(st, k.Members) || !isSlotTable(st, k.From) || k.From != nil && k.Members == nil ||
		(k.Shares == [spread.MaxMembers]uint32{}) != (k.Members == nil) {
		return errCheckpoint
	}
	for id, share := range k.Shares {
		if share > spread.MaxShare || share > 0 && find(st, id) == nil || k.Cleared[id] > k.Mark ||
			k.Markers[id] > k.Mark && k.Markers[id] != noAnswer {
			return errCheckpoint
		}
	}
	if slices.ContainsFunc(k.Members, func(id byte) bool { return k.Shares[id] == 0 }) ||
		k.From != nil && k.ID == 0 || k.ID > maxMigrationID || k.Mark > maxMark {
		return errCheckpoint
	}
	*m = slotMigration{shares: k.Shares, slots: k.Members, from: k.From, id: k.ID, forcedAt: k.ForcedAt,
		mark: k.Mark, cleared: k.Cleared, markers: k.Markers, markerAt: k.MarkerAt}
	if m.slots != nil {
		_, m.others = spread.AssignStandIns(&m.shares)
	}
	m.updateSets()
	return nil
}

// Numbers that no migration reaches by counting, and that leave room to count on.
const (
	maxMigrationID = 1 << 63
	maxMark        = 1 << 30
)

// isSlotTable reports whether b gives each slot to a member of st. No table is one, too.
func isSlotTable(st *State, b []byte) bool {
	if b == nil {
		return true
	}
	var members spread.MemberSet
	for _, m := range st.Members {
		members = members.With(m.ID)
	}
	return len(b) == spread.SlotCount && !slices.ContainsFunc(b, func(id byte) bool { return !members.Has(int(id)) })
}

func (s *spreader) checkpoint() *Checkpoint { return &Checkpoint{Slots: s.slots.checkpoint()} }

func (s *spreader) resume(now time.Time, st State, c *Checkpoint) error {
	if err := s.slots.restore(&st, c.Slots); err != nil {
		return err
	}
	s.st = st
	s.plan = s.draft(now)
	return nil
}

func (e *elb) checkpoint() *Checkpoint {
	k := &ELBCheckpoint{Active: e.active, MACOwner: maps.Clone(e.macOwner),
		PreviousOwners: maps.Clone(e.previousOwners), OverlapUntil: e.overlapUntil,
		Relearn: slices.Sorted(maps.Keys(e.relearn.macs)), RelearnSince: e.relearn.since, RelearnAt: e.relearn.at,
		Failed: slices.Sorted(maps.Keys(e.returns.failed)), Returns: maps.Clone(e.returns.since),
		Moves: slices.Clone(e.moves), Generation: e.generation, Steering: e.steering.Checkpoint()}
	for m, used := range e.inUse {
		if used {
			k.InUse = append(k.InUse, m)
		}
	}
	slices.Sort(k.InUse)
	for m, f := range e.former {
		if k.Former == nil {
			k.Former = map[frame.MAC]FormerCheckpoint{}
		}
		k.Former[m] = FormerCheckpoint{f.member, f.until}
	}
	return &Checkpoint{ELB: k}
}

func (e *elb) resume(now time.Time, st State, c *Checkpoint) error {
	k := c.ELB
	if k == nil || !st.isMember(k.Active) {
		return errCheckpoint
	}
	for _, id := range k.MACOwner {
		if find(&st, id) == nil {
			return errCheckpoint
		}
	}
	for m, f := range k.Former {
		if find(&st, f.Member) == nil {
			return errCheckpoint
		}
		e.former[m] = formerMAC{f.Member, f.Until}
	}
	for _, m := range k.Moves {
		if m.Slot >= spread.FlowCount || m.To >= spread.MaxMembers {
			return errCheckpoint
		}
	}
	e.st, e.active, e.macOwner, e.inUse = st, k.Active, k.MACOwner, map[frame.MAC]bool{}
	if e.macOwner == nil {
		e.macOwner = map[frame.MAC]int{}
	}
	for _, m := range k.InUse {
		e.inUse[m] = true
	}
	e.previousOwners, e.overlapUntil = k.PreviousOwners, k.OverlapUntil
	if len(k.Relearn) > 0 {
		e.relearn = relearn{macs: map[frame.MAC]bool{}, since: k.RelearnSince, at: k.RelearnAt}
		for _, m := range k.Relearn {
			e.relearn.macs[m] = true
		}
	}
	for _, name := range k.Failed {
		e.returns.fails(name)
	}
	for name, since := range k.Returns {
		e.returns.comesBack(earlier(since, now), name)
	}
	e.returns.step(now)
	e.moves, e.generation = k.Moves, k.Generation
	e.publish(e.draft())
	// The data path may have carried out moves that were decided after the Checkpoint.
	e.nextGeneration = k.Generation + generationGap
	set := &st.Settings
	return e.steering.Resume(e.plan, steer.Settings{Balance: set.ReceiveBalance, Rebalance: set.Rebalance},
		&k.Steering)
}

// generationGap is more generations of moves than there are between two Checkpoints.
const generationGap = 1 << 10

func (a *aggregation) checkpoint() *Checkpoint {
	if a.system == nil {
		return nil
	}
	s, o := &a.single, &a.overlap
	return &Checkpoint{Aggregation: &AggregationCheckpoint{
		System: *a.system.Checkpoint(), Identity: a.identity.system, Numbers: maps.Clone(a.identity.ports),
		Named: a.identity.named, Active: s.active, Reason: s.reason, Departed: s.departed, Previous: s.previous,
		AwaitUntil: s.awaitUntil, YieldAt: s.yieldAt, Alone: s.alone, InUse: s.inUse, Reported: s.reported,
		Slots: *a.slots.checkpoint(),
		Overlap: OverlapCheckpoint{Members: o.set, Until: o.until, Timed: o.timed, Collect: o.collect,
			Groups: o.groups, LAN: o.lan, Filters: filtersOf(o.before, o.set)},
		Sends: a.announced.sends, Aggregator: a.announced.aggregator, Single: a.announced.single,
	}}
}

func (a *aggregation) resume(now time.Time, st State, c *Checkpoint) (err error) {
	k := c.Aggregation
	if k == nil || !st.isMember(k.Active) {
		return errCheckpoint
	}
	for i := range k.System.Ports {
		if m := find(&st, k.System.Ports[i].Config.ID); m == nil || m.Name != k.System.Ports[i].Config.Name {
			return errCheckpoint
		}
	}
	if a.system, err = lacp.Resume(now, &k.System); err != nil {
		return err
	}
	if err = a.slots.restore(&st, &k.Slots); err != nil {
		return err
	}
	o := &k.Overlap
	a.overlap = rxOverlap{set: o.Members, until: o.Until, timed: o.Timed, collect: o.Collect, groups: o.Groups,
		lan: o.LAN}
	if a.overlap.before, err = planOf(o.Filters); err != nil {
		return err
	}
	a.identity = identity{system: k.Identity, ports: map[string]uint16{}, named: k.Named}
	maps.Copy(a.identity.ports, k.Numbers)
	a.single = singleElection{active: k.Active, reason: k.Reason, departed: k.Departed, previous: k.Previous,
		awaitUntil: k.AwaitUntil, yieldAt: k.YieldAt, alone: k.Alone, inUse: k.InUse, reported: k.Reported}
	a.announced = announcedPath{sends: k.Sends, aggregator: k.Aggregator, single: k.Single}
	a.st, a.config, a.status = st, k.System.Config, a.system.Status()
	for i := range k.System.Ports {
		a.ports = append(a.ports, k.System.Ports[i].Config)
	}
	a.replan(now)
	return nil
}
