// SPDX-License-Identifier: MIT

package lacp

import (
	"errors"
	"time"

	"nicteam/internal/frame"
)

// Checkpoint is the whole state of a System, for a process that takes over from another one while the members go on
// receiving and sending: no PDU differs from what the other process would have sent. Rate limits, and what is known of
// loops and rivals, begin anew.
type Checkpoint struct {
	Config       Config           `json:"config"`
	Began        time.Time        `json:"began"`
	Active       int              `json:"active"`
	Incoming     int              `json:"incoming"`
	Proven       bool             `json:"proven"`
	Reported     LAG              `json:"reported"`
	BlockedSince time.Time        `json:"blocked_since,omitzero"`
	YieldAt      time.Time        `json:"yield_at,omitzero"`
	Transaction  uint32           `json:"transaction"`
	Ports        []PortCheckpoint `json:"ports"`
}

// LAG is a LAG ID in a Checkpoint.
type LAG struct {
	Partner SystemID `json:"partner"`
	Own     uint16   `json:"own"`
	Theirs  uint16   `json:"theirs"`
	Single  uint16   `json:"single"`
}

// PortCheckpoint is a port's part of a Checkpoint.
type PortCheckpoint struct {
	Config     PortConfig `json:"config"`
	Class      uint8      `json:"class"`
	Key        uint16     `json:"key"`
	Aggregator int        `json:"aggregator"`
	Selected   Selected   `json:"selected"`
	Receive    Receive    `json:"receive"`
	Periodic   Periodic   `json:"periodic"`
	Mux        Mux        `json:"mux"`

	Partner      Info          `json:"partner"`
	Defaulted    bool          `json:"defaulted"`
	From         frame.MAC     `json:"from"`
	Confirmed    bool          `json:"confirmed"`
	Seen         Info          `json:"seen"`
	Resumed      bool          `json:"resumed"`
	Untried      bool          `json:"untried"`
	Silence      time.Duration `json:"silence"`
	UnheardSince time.Time     `json:"unheard_since,omitzero"`
	OwnHeard     time.Time     `json:"own_heard,omitzero"`
	Looped       time.Time     `json:"looped,omitzero"`

	Expires    time.Time       `json:"expires,omitzero"`
	WaitUntil  time.Time       `json:"wait_until,omitzero"`
	WaitLimit  time.Time       `json:"wait_limit,omitzero"`
	PeriodicAt time.Time       `json:"periodic_at,omitzero"`
	Actor      ChurnCheckpoint `json:"actor_churn"`
	Other      ChurnCheckpoint `json:"partner_churn"`

	NTT     uint8        `json:"ntt"`
	Sent    Info         `json:"sent"`
	Changed time.Time    `json:"changed,omitzero"`
	SentAt  [3]time.Time `json:"sent_at"`

	MarkerSent     uint32   `json:"marker_sent"`
	AnswersMarkers bool     `json:"answers_markers"`
	Counters       Counters `json:"counters"`
}

// ChurnCheckpoint is a churn detection machine in a Checkpoint.
type ChurnCheckpoint struct {
	State Churn     `json:"state"`
	Until time.Time `json:"until,omitzero"`
}

// Checkpoint returns the state of the System.
func (s *System) Checkpoint() *Checkpoint {
	c := &Checkpoint{Config: s.config, Began: s.began, Active: s.active, Incoming: s.incoming, Proven: s.proven,
		Reported:     LAG{s.reported.partner, s.reported.own, s.reported.theirs, s.reported.single},
		BlockedSince: s.blockedSince, YieldAt: s.yieldAt, Transaction: s.transaction,
		Ports: make([]PortCheckpoint, len(s.ports))}
	for i := range s.ports {
		p := &s.ports[i]
		c.Ports[i] = PortCheckpoint{
			Config: p.PortConfig, Class: p.class, Key: p.key, Aggregator: p.agg, Selected: p.selected,
			Receive: p.receive, Periodic: p.periodic, Mux: p.mux,
			Partner: p.partner, Defaulted: p.defaulted, From: p.from, Confirmed: p.confirmed, Seen: p.seen,
			Resumed: p.resumed, Untried: p.untried, Silence: p.silence, UnheardSince: p.unheardSince,
			OwnHeard: p.ownHeard, Looped: p.looped,
			Expires: p.expires, WaitUntil: p.waitUntil, WaitLimit: p.waitLimit, PeriodicAt: p.periodicAt,
			Actor: ChurnCheckpoint{p.actor.state, p.actor.until}, Other: ChurnCheckpoint{p.other.state, p.other.until},
			NTT: uint8(p.ntt), Sent: p.sent, Changed: p.changed, SentAt: p.sentAt,
			MarkerSent: p.markerSent, AnswersMarkers: p.answersMarkers, Counters: p.counters,
		}
	}
	return c
}

// errCheckpoint: no System has such a state.
var errCheckpoint = errors.New("inconsistent LACP checkpoint")

// check returns an error if no System can have the state of c.
func (c *Checkpoint) check() error {
	ids, names := map[int]bool{}, map[string]bool{}
	for i := range c.Ports {
		p := &c.Ports[i]
		if ids[p.Config.ID] || names[p.Config.Name] || p.Config.Name == "" || p.Config.Number == 0 ||
			p.Config.Number > maxNumber ||
			p.Aggregator < 0 || p.Aggregator > maxNumber || p.Selected > InUse || p.Receive > ReceiveCurrent ||
			p.Periodic > PeriodicSlow || p.Mux > MuxDistributing || p.NTT > uint8(soon) ||
			p.Actor.State > Churning || p.Other.State > Churning {
			return errCheckpoint
		}
		ids[p.Config.ID], names[p.Config.Name] = true, true
	}
	if c.Active < 0 || c.Active > maxNumber || c.Incoming < 0 || c.Incoming > maxNumber ||
		c.Config.Select > PortPriority {
		return errCheckpoint
	}
	return nil
}

// maxNumber bounds numbers of ports and Aggregators.
const maxNumber = 1<<16 - 1

// Resume returns a System with the state of a Checkpoint, of which partners that are still there must not notice
// anything: PDUs that came meanwhile may not have been read yet, so no partner expires sooner than by the short timeout
// from now.
func Resume(now time.Time, c *Checkpoint) (*System, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	s := &System{config: c.Config, began: c.Began, now: now, active: c.Active, incoming: c.Incoming,
		proven: c.Proven, reported: lag{c.Reported.Partner, c.Reported.Own, c.Reported.Theirs, c.Reported.Single},
		blockedSince: c.BlockedSince, yieldAt: c.YieldAt, transaction: c.Transaction,
		ports: make([]port, len(c.Ports))}
	for i := range c.Ports {
		p := &c.Ports[i]
		s.ports[i] = port{
			PortConfig: p.Config, class: p.Class, key: p.Key, agg: p.Aggregator, selected: p.Selected,
			receive: p.Receive, periodic: p.Periodic, mux: p.Mux,
			partner: p.Partner, defaulted: p.Defaulted, from: p.From, confirmed: p.Confirmed, seen: p.Seen,
			resumed: p.Resumed, untried: p.Untried, silence: p.Silence, unheardSince: p.UnheardSince,
			ownHeard: p.OwnHeard, looped: p.Looped,
			expires: p.Expires, waitUntil: p.WaitUntil, waitLimit: p.WaitLimit, periodicAt: p.PeriodicAt,
			actor: churn{p.Actor.State, p.Actor.Until}, other: churn{p.Other.State, p.Other.Until},
			ntt: urgency(p.NTT), sent: p.Sent, changed: p.Changed, sentAt: p.SentAt,
			markerSent: p.MarkerSent, answersMarkers: p.AnswersMarkers, counters: p.Counters,
		}
		if q := &s.ports[i]; q.heard() && !q.expires.IsZero() && q.expires.Before(now.Add(shortTimeout)) {
			q.expires = now.Add(shortTimeout)
		}
	}
	return s, nil
}
