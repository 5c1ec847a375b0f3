// SPDX-License-Identifier: MIT

package monitor

import (
	"cmp"
	"time"

	"nicteam/internal/frame"
)

// A target is the host that has its MAC. Another one that answers to its address is not it: the port of a member may be
// in another VLAN, where a router has the same address, or a proxy answers for all. Frames that the adapter sends to
// the known MAC do not arrive there. So an ask is sent to that MAC, and by broadcast only in turn; an answer to a
// broadcast from another MAC is noted and proves nothing, unless the known MAC answers by no member. A host that
// answers an ask to its MAC by another one of its MACs, as teams do that spread what they receive, has answered.

const (
	// otherWait is how long after a broadcast an answer may be to that.
	otherWait = 20 * time.Millisecond
	// trustStack is how long the MAC that the adapter's stack has of a target is asked, if it never answered.
	trustStack = 300 * time.Millisecond
	// stackStays is how long the stack has another MAC than the one that answers until it is adopted.
	stackStays = 3 * time.Second
)

// adopt makes mac the target's.
func (t *target) adopt(now time.Time, mac frame.MAC) {
	t.mac, t.macSince = mac, now
}

// setStackMAC tells which MAC the adapter's stack has of t; 0: none.
func (t *target) setStackMAC(now time.Time, mac frame.MAC) {
	if mac == t.stackMAC {
		return
	}
	t.stackMAC, t.stackSince = mac, now
	if mac != 0 && !t.confirmed {
		t.adopt(now, mac)
	}
}

// followStack adopts the MAC that the adapter's stack uses, if it does for a while.
func (t *target) followStack(now time.Time) {
	if t.stackMAC != 0 && t.stackMAC != t.mac && !t.silent && now.Sub(t.stackSince) >= stackStays {
		t.adopt(now, t.stackMAC)
		t.stackMAC = 0 // once
	}
}

// isOther reports whether an answer by p is not the target's, and notes it.
func (p *path) isOther(now time.Time, mac frame.MAC) bool {
	t := p.t
	if t.foreign || t.mac == 0 || mac == t.mac || now.Sub(p.toAll) > max(otherWait, 4*p.rtt) {
		return false
	}
	if !t.confirmed && now.Sub(t.macSince) >= trustStack {
		t.adopt(now, mac)
		return false
	}
	p.other, p.otherAt = mac, now
	return true
}

// adoptOther adopts, at the end of a round in which the known MAC answered nobody, the one that answered most members.
func (w *Watches) adoptOther(now time.Time, t *target) bool {
	if t.foreign || t.round.moved {
		return false
	}
	count := map[frame.MAC]int{}
	var most frame.MAC
	for _, m := range w.members {
		p := m.path(t)
		switch {
		case p == nil:
		case p.roundAnswers > 0:
			return false
		case p.other != 0 && !p.otherAt.Before(t.round.began):
			count[p.other]++
			if cmp.Or(cmp.Compare(count[p.other], count[most]), cmp.Compare(most, p.other)) > 0 {
				most = p.other
			}
		}
	}
	if most == 0 {
		return false
	}
	t.adopt(now, most)
	t.round.moved = true
	return true
}
