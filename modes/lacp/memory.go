// SPDX-License-Identifier: MIT

package lacp

import (
	"slices"
	"time"

	"nicteam/internal/frame"
)

// Memory is the state for the next process, so that partners do not notice a restart. It changes only when a partner,
// the selection or a Mux does.
type Memory struct {
	System SystemID     `json:"system"`
	Ports  []PortMemory `json:"ports"`
}

// PortMemory is a port's part of a Memory.
type PortMemory struct {
	Name       string `json:"name"`
	Number     uint16 `json:"number"`
	Key        uint16 `json:"key"`
	Aggregator int    `json:"aggregator"`
	Mux        Mux    `json:"mux"`
	Selected   bool   `json:"selected"`
	Heard      bool   `json:"heard"`
	Partner    Info   `json:"partner"`
}

// Own returns the port number that a NIC had, 0 none.
func (m *Memory) Own(name string) uint16 {
	if p := m.of(name); p != nil {
		return p.Number
	}
	return 0
}

// of returns a NIC's part, nil none.
func (m *Memory) of(name string) *PortMemory {
	if m == nil {
		return nil
	}
	i := slices.IndexFunc(m.Ports, func(p PortMemory) bool { return p.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Ports[i]
}

// Memory returns the state for the next process.
func (s *System) Memory() Memory {
	m := Memory{System: s.config.System, Ports: make([]PortMemory, len(s.ports))}
	for i := range s.ports {
		p := &s.ports[i]
		m.Ports[i] = PortMemory{
			Name: p.Name, Number: p.Number, Key: p.key, Aggregator: p.agg, Mux: p.mux,
			Selected: p.selected == InUse, Heard: p.heard(), Partner: p.partner,
		}
	}
	return m
}

// resume restores a port from the process before. The port asks its partner for the short timeout, so that it answers
// at once, and gives it 3 s. It returns false if the memory does not match the port, which then starts as any other.
func (s *System) resume(now time.Time, p *port) bool {
	m := s.memory.of(p.Name)
	if m == nil || now.After(s.began.Add(shortTimeout)) || s.memory.System != s.config.System ||
		!m.Heard || m.Aggregator < 1 ||
		m.Number != p.Number || m.Partner.System.MAC == s.config.System.MAC || p.HalfDuplex || m.Mux > MuxDistributing {
		return false
	}
	if p.class == 0 {
		// Its speed is not known yet; that alone does not make it another port.
		p.class = classIn(m.Key)
	}
	if p.key = keyOf(s.config.UserKey, p.class, false); p.key != m.Key {
		return false
	}
	p.partner = m.Partner
	for i := range s.ports {
		if q := &s.ports[i]; q.agg == m.Aggregator && lagOf(q) != lagOf(p) {
			p.partner = defaultPartner
			return false // the memory contradicts itself
		}
	}
	p.defaulted, p.resumed, p.confirmed = false, true, true
	p.receive = ReceiveCurrent
	p.expires = now.Add(shortTimeout)
	p.agg = m.Aggregator
	p.changed = now
	p.sent = Info{}
	if m.Mux >= MuxAttached {
		p.mux, p.selected = m.Mux, Standby
		if m.Selected {
			p.selected = InUse
		}
	}
	// While one Aggregator replaces another one both are selected; the one that works is active.
	if works := m.Mux == MuxDistributing; m.Selected && p.usable() &&
		(s.active == 0 || s.active == p.agg || works && !s.proven) {
		s.active, s.proven = p.agg, works
		if works {
			s.reported = lagOf(p)
		}
	}
	p.seen = s.actorOf(p)
	return true
}

// resumeTime is how long the ports of the Aggregator that the process before used may take to show their carrier. Until
// then no other Aggregator becomes active.
const resumeTime = time.Second

// awaited returns the number of that Aggregator until all its ports are back, else 0.
func (s *System) awaited(now time.Time) int {
	if s.memory == nil || s.memory.System != s.config.System || !now.Before(s.began.Add(resumeTime)) {
		return 0
	}
	for i := range s.memory.Ports {
		m := &s.memory.Ports[i]
		if !m.Selected || !m.Heard || m.Mux != MuxDistributing || m.Aggregator < 1 {
			continue
		}
		if !slices.ContainsFunc(s.ports, func(p port) bool { return p.Name == m.Name && (p.Up || !p.untried) }) {
			return m.Aggregator
		}
	}
	return 0
}

// remembers reports whether the process before gave a number to an Aggregator.
func (s *System) remembers(n int) bool {
	return slices.ContainsFunc(s.memory.Ports, func(m PortMemory) bool { return m.Aggregator == n })
}

// MAC returns the system's MAC, 0 none.
func (m *Memory) MAC() frame.MAC {
	if m == nil {
		return 0
	}
	return m.System.MAC
}
