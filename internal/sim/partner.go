// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
)

// Habits configure a Partner.
type Habits struct {
	Coupled bool   // as Open vSwitch (coupled.go), else as lacp.System
	Passive bool   // sends PDUs only after receiving some
	Fast    bool   // requests a PDU a second
	Key     uint16 // of the user
}

func (h Habits) String() string {
	words := "independent"
	if h.Coupled {
		words = "coupled"
	}
	if h.Passive {
		words += " passive"
	}
	if h.Fast {
		return words + " fast"
	}
	return words + " slow"
}

// Partner is a group of a switch's ports with LACP. The switch transmits by the ports that distribute and accepts
// frames by those that collect.
//
//	Port.in ──partnerLate──→ Partner.hear → machines → adopt: what ports do → PDUs
type Partner struct {
	Name   string
	Lost   uint64 // data frames that arrived at ports that did not collect
	Habits Habits

	w        *World
	sw       *Switch
	group    int
	ports    []*Port
	system   lacp.SystemID
	machines machines // nil: stopped
	timer    *timer
	last     time.Duration // when it processes the last received frame
	lives    int           // starts
}

// machines is an LACP implementation. Ports are numbered from 0.
type machines interface {
	configure(now time.Time, h Habits, ports []lacp.PortConfig) lacp.Out
	receive(now time.Time, port int, b []byte) lacp.Out
	tick(now time.Time) lacp.Out
	deadline() time.Time
	does(port int) (collects, distributes bool)
}

// groupsByLACP is the first number of a group with LACP; lower ones are static.
const groupsByLACP = 32

// partnerLate bounds the time until a partner processes a received PDU.
const partnerLate = 200 * time.Microsecond

// Partner adds a group with LACP to a switch. Join adds ports to it.
func (s *Switch) Partner(h Habits) *Partner {
	s.groups++
	w := s.w
	p := &Partner{Name: fmt.Sprintf("%s group %d", s.Name, s.groups), Habits: h, w: w,
		sw: s, group: groupsByLACP + s.groups,
		system: lacp.SystemID{Priority: 32768, MAC: w.number(0x4)}}
	p.timer = newTimer(&w.clock, func() { p.do(p.machines.tick(w.time())) })
	p.begin()
	w.partners = append(w.partners, p)
	return p
}

// Join makes a port the partner's.
func (p *Partner) Join(ports ...*Port) {
	for _, port := range ports {
		port.partner, port.number, port.Group = p, len(p.ports), p.group
		p.ports = append(p.ports, port)
	}
	p.configure()
}

// begin starts the partner without any state.
func (p *Partner) begin() {
	p.lives++
	if p.Habits.Coupled {
		p.machines = &coupled{system: p.system}
	} else {
		p.machines = &independent{id: p.system}
	}
}

// Restart stops the partner and starts it again after some time. The carriers stay.
func (p *Partner) Restart(after time.Duration) {
	p.w.Tell("%s restarts", p.Name)
	p.machines = nil
	p.timer.stop()
	for _, port := range p.ports {
		port.allow(false, false)
		port.troubled = p.w.now
	}
	p.w.After(after, func() {
		for _, port := range p.ports {
			port.troubled = p.w.now
		}
		p.begin()
		p.configure()
	})
}

// Set changes the partner's habits; Coupled takes effect at its next start.
func (p *Partner) Set(h Habits) {
	p.w.Tell("%s is %v now, key %d", p.Name, h, h.Key)
	p.Habits = h
	p.configure()
}

// configure passes the ports' speed, duplex and carrier to the machines.
func (p *Partner) configure() {
	if p.machines == nil {
		return
	}
	ports := make([]lacp.PortConfig, len(p.ports))
	for i, port := range p.ports {
		ports[i] = lacp.PortConfig{ID: i, Name: port.name, MAC: p.system.MAC + frame.MAC(i+1)<<24,
			Number: uint16(i + 1), Priority: 128, Up: port.Up(), SpeedBps: port.Rate}
	}
	p.do(p.machines.configure(p.w.time(), p.Habits, ports))
}

// hear processes a frame of a slow protocol.
func (p *Partner) hear(port *Port, f *Packet) {
	w, life := p.w, p.lives
	p.last = max(p.last, w.now+w.between(partnerLate/20, partnerLate))
	w.at(p.last, func() {
		if p.machines != nil && p.lives == life && port.partner == p {
			p.do(p.machines.receive(w.time(), port.number, f.b))
		}
	})
}

// do applies the machines' results to the ports and sends their PDUs.
func (p *Partner) do(out lacp.Out) {
	for i, port := range p.ports {
		port.allow(p.machines.does(i))
	}
	for _, s := range out.Send {
		f := newPacket(s.Frame)
		port := p.ports[s.Port]
		p.w.Tell("%s: by %s: %s", p.Name, port.name, packetWords{f})
		port.says(f)
		port.send(f)
	}
	if d := p.machines.deadline(); d.IsZero() {
		p.timer.stop()
	} else {
		p.timer.set(d.Sub(origin) + p.w.between(0, 50*time.Microsecond))
	}
}

// Distributing is how many ports the partner sends by.
func (p *Partner) Distributing() (n int) {
	for _, port := range p.ports {
		if port.distributes {
			n++
		}
	}
	return n
}

// independent are the machines of a lacp.System.
type independent struct {
	id     lacp.SystemID
	system *lacp.System
	status lacp.Status
}

func (s *independent) after(out lacp.Out) lacp.Out {
	s.status = s.system.Status()
	return out
}

func (s *independent) configure(now time.Time, h Habits, ports []lacp.PortConfig) lacp.Out {
	c := lacp.Config{System: s.id, UserKey: h.Key, Passive: h.Passive, Fast: h.Fast}
	if s.system == nil {
		s.system = lacp.New(c, nil)
	}
	return s.after(s.system.Configure(now, c, ports))
}

func (s *independent) receive(now time.Time, port int, b []byte) lacp.Out {
	return s.after(s.system.Receive(now, port, b))
}

func (s *independent) tick(now time.Time) lacp.Out { return s.after(s.system.Tick(now)) }

func (s *independent) deadline() time.Time { return s.system.Deadline() }

func (s *independent) does(port int) (collects, distributes bool) {
	for i := range s.status.Ports {
		if p := &s.status.Ports[i]; p.ID == port {
			return p.Collecting(), p.Distributing()
		}
	}
	return false, false
}
