// SPDX-License-Identifier: MIT

package monitor

import (
	"cmp"
	"fmt"
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
	// wantsStays is how long a MAC that has asked for this host counts more than what others say.
	wantsStays = 30 * time.Second
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
	if t.stackMAC != 0 && t.stackMAC != t.mac && !t.silent && now.Sub(t.stackSince) >= stackStays &&
		now.Sub(t.wantsUs) >= wantsStays {
		t.adopt(now, t.stackMAC)
		t.stackMAC = 0 // once
	}
}

// isOther reports whether an answer by p is not the target's, and notes it.
func (w *Watches) isOther(now time.Time, p *path, mac frame.MAC) bool {
	t := p.t
	if t.foreign || t.mac == 0 || mac == t.mac || now.Sub(p.toAll) > max(otherWait, 4*p.rtt) {
		return false
	}
	if !t.confirmed && now.Sub(t.macSince) >= trustStack {
		t.adopt(now, mac)
		return false
	}
	p.other, p.otherAt = mac, now
	w.followWants(now, p)
	return true
}

// wantsUs handles an ARP request of t for this host, from mac, that member received.
func (w *Watches) wantsUs(now time.Time, t *target, member int, mac frame.MAC) {
	if mac == t.mac {
		t.wantsUs = now
		return
	}
	if m := w.member(member); m != nil && m.path(t) != nil {
		p := m.path(t)
		p.wants, p.wantsAt = mac, now
		w.followWants(now, p)
	}
}

// followWants adopts the MAC by which p's target asked for this host, if it is the one that answers by p besides the
// known one. Where two hosts answer to the address, each by another member, the one that wants this host is the target:
// it has got a new MAC, and the known one belongs to another port of it, or to another host.
func (w *Watches) followWants(now time.Time, p *path) {
	t := p.t
	if p.wants == 0 || p.wants != p.other || now.Sub(p.wantsAt) > wantsStays || now.Sub(p.otherAt) > wantsStays ||
		now.Sub(t.wantsUs) < wantsStays {
		return
	}
	t.adopt(now, p.wants)
	t.stackMAC, t.wantsUs = 0, now
	cause := fmt.Sprintf("%s asks for this host by %s, from another MAC", t, p.m.Name)
	again := t.round.on
	for _, o := range w.members {
		if o != p.m && o.asks() && o.path(t) != nil {
			w.startRound(now, t, o, true, cause)
		}
	}
	if again {
		w.beginAsks(now, t)
	}
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
