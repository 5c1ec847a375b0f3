// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/internal/frame"
)

// portHabits are what a port of a switch does besides forwarding.
type portHabits struct {
	VLAN   int           // of untagged frames; ports of others are another LAN
	Blocks time.Duration // how long it forwards nothing after its link came up, as a port of STP
	Secure bool          // drops frames of MACs that another port has learnt

	cameUp  time.Duration
	Dropped int // frames of others' MACs
}

// passes reports whether a port takes a frame.
func (p *Port) passes(f *Packet) bool {
	s := p.sw
	if p.blocks() {
		return false
	}
	if l, known := s.table[vlanMAC{p.VLAN, f.h.Src}]; p.Secure && known && l.port != p && s.w.now-l.at < s.Ageing {
		p.Dropped++
		return false
	}
	return true
}

// blocks reports whether the port does not forward yet.
func (p *Port) blocks() bool { return p.Blocks > 0 && p.sw.w.now < p.cameUp+p.Blocks }

// reaches reports whether frames of p leave by another port.
func (p *Port) reaches(to *Port) bool { return p.VLAN == to.VLAN && !to.blocks() }

// proxies answers ARP requests for everybody, if the switch does that, and reports whether it did.
func (p *Port) proxies(f *Packet) bool {
	s := p.sw
	a, ok := parseARP(f)
	if s.ProxyARP == 0 || !ok || a.op != opRequest || f.h.Src == s.ProxyARP {
		return false
	}
	p.send(newPacket(arp{dst: a.sha, src: s.ProxyARP, op: opReply, sha: s.ProxyARP, tha: a.sha, spa: a.tpa,
		tpa: a.spa}.bytes()))
	return true
}

// Reboot lets a switch lose all links for a while, and forget what it has learnt. Ports that block do so again.
func (s *Switch) Reboot(d time.Duration) {
	s.w.Tell("%s reboots", s.Name)
	for _, p := range s.ports {
		p.wire.Set(false)
	}
	clear(s.table)
	s.w.After(d, func() {
		for _, p := range s.ports {
			p.wire.Set(true)
		}
	})
}

// vlanMAC is a MAC in a LAN.
type vlanMAC struct {
	vlan int
	mac  frame.MAC
}
