// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"time"

	"nicteam/internal/frame"
)

// Switch is a learning or flooding switch.
type Switch struct {
	Name   string
	Floods bool          // learns nothing
	Ageing time.Duration // of learnt entries
	Flush  bool          // drops the entries of a port that loses its carrier

	Sprays bool // groups carry frames by turns
	turn   int

	ProxyARP frame.MAC // by which it answers ARP requests for everybody; 0: it does not

	w      *World
	ports  []*Port
	groups int // by LACP
	table  map[vlanMAC]learnt
}

// Port is a port of a switch.
type Port struct {
	*End
	Group int  // ports of one group (LAG), static or a Partner's, are one port to everybody else; 0: none
	Out   bool // the group does not transmit by it
	sw    *Switch
	agreement
	portHabits
}

type learnt struct {
	port *Port
	at   time.Duration
}

// Switch adds a switch without ports.
func (w *World) Switch(name string) *Switch {
	s := &Switch{Name: name, w: w, Ageing: 300 * time.Second, Flush: true, table: map[vlanMAC]learnt{}}
	w.switches = append(w.switches, s)
	return s
}

// Port adds a port.
func (s *Switch) Port() *Port {
	p := &Port{sw: s}
	p.End = s.w.end(fmt.Sprintf("%s/%d", s.Name, len(s.ports)+1))
	p.take, p.carrier = p.in, p.turned
	s.ports = append(s.ports, p)
	return p
}

// Plug connects an end to a new port.
func (s *Switch) Plug(e *End, l Line) (*Wire, *Port) {
	p := s.Port()
	return s.w.Cable(e, p.End, l), p
}

// Forget clears the forwarding table.
func (s *Switch) Forget() {
	s.w.Tell("%s forgets what it has learnt", s.Name)
	clear(s.table)
}

func (p *Port) turned() {
	p.relinked()
	if p.Up() {
		p.cameUp = p.sw.w.now
	}
	if p.Up() || !p.sw.Flush {
		return
	}
	for m, l := range p.sw.table {
		if l.port == p {
			delete(p.sw.table, m)
		}
	}
}

// in forwards a frame.
func (p *Port) in(f *Packet) {
	s := p.sw
	if p.partner != nil && p.agreed(f) {
		return
	}
	if !p.passes(f) || p.proxies(f) {
		return
	}
	if !s.Floods && !f.h.Src.Multicast() {
		s.table[vlanMAC{p.VLAN, f.h.Src}] = learnt{p, s.w.now}
	}
	if f.h.Dst&^0xf == 0x0180c2000000 {
		return // for the switch itself
	}
	if !f.h.Dst.Multicast() && !s.Floods {
		if l, ok := s.table[vlanMAC{p.VLAN, f.h.Dst}]; ok && s.w.now-l.at < s.Ageing {
			to := l.port
			if to.Group != 0 {
				to = s.of(to.Group, f)
			}
			if to != nil && to != p && p.reaches(to) && (p.Group == 0 || to.Group != p.Group) {
				to.send(f)
			}
			return
		}
	}
	f.flooded = true
	var done uint64 // groups that got the frame
	for _, to := range s.ports {
		if to == p || !p.reaches(to) || to.Group != 0 && (to.Group == p.Group || done>>to.Group&1 != 0) {
			continue
		}
		if to.Group != 0 {
			done |= 1 << to.Group
			if to = s.of(to.Group, f); to == nil {
				continue
			}
		}
		to.send(f)
	}
}

// of returns the port of a group that carries a frame; all frames between two addresses use one port.
func (s *Switch) of(group int, f *Packet) *Port {
	var up [64]*Port
	n := 0
	for _, p := range s.ports {
		if p.Group == group && p.Up() && !p.Out && p.sends() && n < len(up) {
			up[n] = p
			n++
		}
	}
	if n == 0 {
		return nil
	}
	if s.Sprays {
		s.turn++
		return up[s.turn%n]
	}
	x := uint64(f.h.Dst)*0x9e3779b97f4a7c15 ^ uint64(f.h.Src)*0xff51afd7ed558ccd
	if f.flow != nil {
		x ^= f.flow.key
	}
	return up[(x^x>>29)*0xc4ceb9fe1a85ec53>>33%uint64(n)]
}
