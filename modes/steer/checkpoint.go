// SPDX-License-Identifier: MIT

package steer

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"net/netip"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// Checkpoint is the state of a Balancer for a process that takes over from another one: peers stay with their members
// and are not notified anew. Measurements of what peers send begin anew.
type Checkpoint struct {
	On       bool                       `json:"on"`
	Bindings []BindingCheckpoint        `json:"bindings,omitempty"` // in the order of creation
	Repairs  []RepairCheckpoint         `json:"repairs,omitempty"`
	Requests []RequestCheckpoint        `json:"requests,omitempty"` // the oldest first
	Routers  map[uint16]bool            `json:"routers,omitempty"`
	Rates    [spread.MaxMembers]float64 `json:"rates,omitzero"` // of members, bit/s
	Mean     float64                    `json:"mean"`           // of bindings, bit/s
}

// BindingCheckpoint is a binding in a Checkpoint.
type BindingCheckpoint struct {
	VLAN          uint16       `json:"vlan,omitempty"`
	Ours          netip.Addr   `json:"ours"`
	MAC           frame.MAC    `json:"mac"`
	To            netip.Addr   `json:"to"`
	Shown         netip.Addr   `json:"shown"`
	Names         []netip.Addr `json:"names"`
	Member        int          `json:"member"`
	Since         time.Time    `json:"since"`
	Seen          time.Time    `json:"seen"`
	Sent          time.Time    `json:"sent,omitzero"`
	HoldUntil     time.Time    `json:"hold_until,omitzero"`
	Bps           uint64       `json:"bps,omitempty"`
	Weight        float64      `json:"weight,omitempty"`
	Warmup        int          `json:"warmup,omitempty"`
	LastNotified  time.Time    `json:"last_notified,omitzero"`
	Notifications uint64       `json:"notifications,omitempty"`
	NotifyAgain   bool         `json:"notify_again,omitempty"`
	NotifyAt      time.Time    `json:"notify_at,omitzero"` // zero: no notification is due
	Busy          bool         `json:"busy,omitempty"`
}

// RepairCheckpoint is a repair that is due.
type RepairCheckpoint struct {
	VLAN uint16     `json:"vlan,omitempty"`
	Ours netip.Addr `json:"ours"`
	MAC  frame.MAC  `json:"mac"` // that all were sent
	At   time.Time  `json:"at"`
}

// RequestCheckpoint is a pending request.
type RequestCheckpoint struct {
	VLAN uint16     `json:"vlan,omitempty"`
	Ours netip.Addr `json:"ours"`
	Peer netip.Addr `json:"peer"`
	At   time.Time  `json:"at"`
}

// Checkpoint returns the state of s.
func (s *Balancer) Checkpoint() Checkpoint {
	c := Checkpoint{On: s.on, Rates: s.load.rate, Mean: s.load.mean}
	if len(s.routers) > 0 {
		c.Routers = map[uint16]bool{}
		maps.Copy(c.Routers, s.routers)
	}
	if n := s.table.len(); n > 0 {
		c.Bindings = make([]BindingCheckpoint, 0, n)
	}
	for b := range s.table.all() {
		k := BindingCheckpoint{VLAN: b.vlan, Ours: b.ours, MAC: b.mac, To: b.to, Shown: b.shown,
			Names: slices.Clone(b.names), Member: b.member, Since: b.since, Seen: b.seen, Sent: b.sent,
			HoldUntil: b.holdUntil, Bps: b.bps, Weight: b.weight, Warmup: b.warmup, LastNotified: b.lastNotified,
			Notifications: b.notifications, NotifyAgain: b.notifyAgain, Busy: b.busy}
		if b.task.place != 0 {
			k.NotifyAt = b.task.at
		}
		c.Bindings = append(c.Bindings, k)
	}
	for _, a := range s.table.addresses {
		if a.task.place != 0 {
			c.Repairs = append(c.Repairs, RepairCheckpoint{VLAN: a.vlan, Ours: a.ours, MAC: a.mac, At: a.task.at})
		}
	}
	slices.SortFunc(c.Repairs, func(a, b RepairCheckpoint) int {
		return cmp.Or(a.At.Compare(b.At), a.Ours.Compare(b.Ours), cmp.Compare(a.VLAN, b.VLAN))
	})
	for e := s.requests.at.Front(); e != nil; e = e.Next() {
		p := e.Value.(pending)
		c.Requests = append(c.Requests, RequestCheckpoint{VLAN: p.vlan, Ours: p.ours, Peer: p.peer, At: p.at})
	}
	return c
}

// errCheckpoint: no Balancer has such a state.
var errCheckpoint = errors.New("inconsistent checkpoint of peers")

// check returns an error if no Balancer can have the state of c.
func (c *Checkpoint) check() error {
	if len(c.Bindings) > maxBindings || len(c.Requests) > maxRequests || len(c.Repairs) > len(c.Bindings) ||
		len(c.Routers) > maxVLANs || !isRate(c.Mean) {
		return errCheckpoint
	}
	for _, r := range c.Rates {
		if !isRate(r) {
			return errCheckpoint
		}
	}
	names := map[peerKey]bool{}
	for i := range c.Bindings {
		b := &c.Bindings[i]
		if b.Member < 0 || b.Member >= spread.MaxMembers || !isHost(b.Ours) || !isHost(b.To) ||
			!b.Shown.IsValid() || len(b.Names) == 0 || len(b.Names) > maxNames || b.MAC == 0 || b.MAC.Multicast() ||
			b.Warmup < 0 || b.Warmup > warmupSamples || !isRate(b.Weight) {
			return errCheckpoint
		}
		for _, name := range b.Names {
			k := peerKey{addressKey{b.VLAN, b.Ours}, name}
			if !isHost(name) || names[k] {
				return errCheckpoint
			}
			names[k] = true
		}
	}
	for _, r := range c.Requests {
		if !r.Ours.IsValid() || !r.Peer.IsValid() {
			return errCheckpoint
		}
	}
	return nil
}

// maxVLANs is how many VLANs there are.
const maxVLANs = 4096

func isRate(r float64) bool { return r >= 0 && !math.IsInf(r, 0) }

// Resume gives s, which must be new, the state of a Checkpoint under the Plan in force. It sends nothing.
func (s *Balancer) Resume(pl *spread.Plan, set Settings, c *Checkpoint) error {
	if err := c.check(); err != nil {
		return err
	}
	s.on, s.pl, s.members, s.holdTime = c.On, pl, pl.Distributing, holdIntervals*set.Rebalance
	s.unfilled = s.returning()
	s.routers = c.Routers
	s.load.setPlan(pl)
	for id, r := range c.Rates {
		if r > 0 {
			s.load.rate[id] = r
		}
	}
	s.load.mean = c.Mean
	created := make([]*binding, len(c.Bindings))
	for i := range c.Bindings {
		k := &c.Bindings[i]
		b := s.table.create(addressKey{k.VLAN, k.Ours}, k.Seen)
		created[i] = b
		for _, name := range k.Names {
			s.table.rename(b, name, k.MAC)
		}
		b.to, b.shown, b.member, b.since, b.sent, b.holdUntil = k.To, k.Shown, k.Member, k.Since, k.Sent, k.HoldUntil
		b.bps, b.weight, b.warmup = k.Bps, k.Weight, k.Warmup
		b.lastNotified, b.notifications, b.notifyAgain = k.LastNotified, k.Notifications, k.NotifyAgain
		s.load.addBinding(b)
		if !k.NotifyAt.IsZero() {
			s.schedule.set(&b.task, k.NotifyAt)
		}
		if k.Busy {
			s.table.idle.Remove(b.recent)
			b.busy = true
			b.recent = s.table.busy.PushFront(b)
		}
	}
	slices.SortStableFunc(created, func(a, b *binding) int { return a.seen.Compare(b.seen) })
	for _, b := range created {
		s.table.touch(b, b.seen)
	}
	for _, r := range c.Repairs {
		if a := s.table.addresses[addressKey{r.VLAN, r.Ours}]; a != nil && a.task.place == 0 {
			a.mac = r.MAC
			s.schedule.set(&a.task, r.At)
		}
	}
	for _, r := range c.Requests {
		s.requests.add(r.At, request{addressKey{r.VLAN, r.Ours}, r.Peer})
	}
	return nil
}
