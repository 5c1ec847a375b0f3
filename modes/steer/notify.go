// SPDX-License-Identifier: MIT

package steer

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// Announced notes that all peers were just sent the active member's MAC.
func (s *Balancer) Announced(now time.Time) {
	for _, a := range s.table.addresses {
		s.repairSoon(now, a)
	}
}

// repairSoon notes that all who talk to an address of ours were sent the active member's MAC. Peers of other members
// are notified soon, and once more a second later. Another broadcast in between does not put that off.
func (s *Balancer) repairSoon(now time.Time, a *address) {
	if a == nil || !s.on || s.active() < 0 {
		return
	}
	a.mac = s.pl.MACs[s.active()]
	if a.task.place == 0 {
		s.schedule.set(&a.task, now.Add(repairDelay))
	}
}

// notify schedules a notification at a time, or as soon after it as notifyInterval allows.
func (s *Balancer) notify(at time.Time, b *binding) { s.notifyAfter(at, b, notifyInterval) }

// notifyTwice schedules a repair: a notification and another one after it.
func (s *Balancer) notifyTwice(at time.Time, b *binding) {
	b.notifyAgain = true
	s.notifyAfter(at, b, repairInterval)
}

func (s *Balancer) notifyAfter(at time.Time, b *binding, interval time.Duration) {
	if next := b.lastNotified.Add(interval); b.notifications > 0 && at.Before(next) {
		at = next
	}
	if b.task.place == 0 || at.Before(b.task.at) {
		s.schedule.set(&b.task, at)
	}
}

// runSchedule does what is due, as far as notifyLimit allows, and returns the notifications.
func (s *Balancer) runSchedule(now time.Time) (sends []spread.Send) {
	for s.active() >= 0 {
		t := s.schedule.first()
		if t == nil || t.at.After(now) {
			break
		}
		b := t.binding
		if b == nil {
			s.schedule.cancel(t)
			for b := range t.address.bindings {
				if s.pl.MACs[b.member] != t.address.mac {
					s.notifyTwice(now, b)
				}
			}
			continue
		}
		if !s.notifyLimit.Take(now, limitRate) {
			break
		}
		sends = append(sends, spread.Send{Member: b.member, Frame: s.notification(b)})
		b.lastNotified = now
		b.notifications++
		if b.notifyAgain {
			b.notifyAgain = false
			s.schedule.set(t, now.Add(notifyInterval))
		} else {
			s.schedule.cancel(t)
		}
	}
	return sends
}

// notification returns the frame that gives a peer its member's MAC. Teams never learn from it, so two of them do not
// answer each other.
func (s *Balancer) notification(b *binding) []byte {
	mac := s.pl.MACs[b.member]
	if b.ours.Is4() {
		return frame.UnicastARP(mac, b.ours, b.mac, b.vlan)
	}
	if router, ok := s.routers[b.vlan]; ok {
		return frame.UnicastNA(mac, b.ours, router, b.mac, b.to, b.vlan)
	}
	// An advertisement with a wrong Router flag takes away the peer's route through this host (RFC 4861 7.2.5).
	return frame.UnicastNS(mac, b.ours, b.mac, b.to, b.vlan)
}
