// SPDX-License-Identifier: MIT

package team

import (
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// lacpPartner is a switch that speaks LACP by every cable of a world, unless it is silent. What one says arrives at the
// other's next turn.
type lacpPartner struct {
	system *lacp.System
	silent bool
	heard  []spread.Send // waits to be taken in
}

const partnerMAC = frame.MAC(0x0200_0000_00bb)

func newLACPPartner() *lacpPartner { return &lacpPartner{system: lacp.New(partnerConfig(), nil)} }

func partnerConfig() lacp.Config {
	return lacp.Config{System: lacp.SystemID{Priority: 1, MAC: partnerMAC}, Fast: true}
}

// hear receives what a team sends.
func (p *lacpPartner) hear(w *world, sends []spread.Send) {
	for _, s := range sends {
		if h := s.Frame; len(h) >= lacp.FrameLen && frame.MACAt(h, 0) == lacp.Group && w.plugged(s.Member) {
			p.heard = append(p.heard, s)
		}
	}
}

// deadline is when the partner has something to do.
func (p *lacpPartner) deadline(w *world) time.Time {
	if len(p.heard) > 0 {
		return w.now
	}
	return p.system.Deadline()
}

// speak does what time has come for, and has the team hear what is said.
func (p *lacpPartner) speak(w *world) {
	var ports []lacp.PortConfig
	for n, id := range w.ids {
		ports = append(ports, lacp.PortConfig{ID: id, Name: linkOf(n).Name, MAC: partnerMAC, Number: uint16(id + 1),
			Up: w.plugged(id), SpeedBps: 1e9})
	}
	slices.SortFunc(ports, func(a, b lacp.PortConfig) int { return a.ID - b.ID })
	say := p.system.Configure(w.now, partnerConfig(), ports).Send
	heard := p.heard
	p.heard = nil
	for _, s := range heard {
		say = append(say, p.system.Receive(w.now, s.Member, s.Frame).Send...)
	}
	say = append(say, p.system.Tick(w.now).Send...)
	for _, s := range say {
		if !p.silent && w.plugged(s.Port) {
			w.do(FromDatapath{Control{Kind: ControlFrame, Member: s.Port, Frame: s.Frame}})
		}
	}
}

// plugged reports whether the cable of a member is in.
func (w *world) plugged(id int) bool {
	for n, i := range w.ids {
		if i == id {
			return w.up[n] && !w.absent[n]
		}
	}
	return false
}
