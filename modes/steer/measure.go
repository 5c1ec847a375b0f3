// SPDX-License-Identifier: MIT

package steer

import (
	"cmp"
	"slices"
	"time"

	"nicteam/modes/spread"
)

// Measure reads what peers have sent in all, by class, and the rates by which members send; f may be nil. Members that
// receive too much give bindings away. It returns the notifications that are due.
func (s *Balancer) Measure(now time.Time, rx *spread.RxBytes, f *spread.FlowTable) []spread.Send {
	if f != nil {
		s.load.setRates(f, s.members)
	}
	took := now.Sub(s.sampled)
	if s.samples > 0 && took <= 0 {
		return nil
	}
	s.expire(now)
	if s.samples == 0 {
		took = 0
	} else {
		s.updateRates(now, took, rx)
	}
	s.rxBytes, s.sampled, s.took = *rx, now, took
	s.samples++
	if s.on && s.active() >= 0 && s.holdTime > 0 {
		for range movesPerSample {
			if !s.rebalance(now) {
				break
			}
		}
	}
	return s.runSchedule(now)
}

// updateRates updates what each peer sends.
func (s *Balancer) updateRates(now time.Time, took time.Duration, rx *spread.RxBytes) {
	var sharing [spread.RxClassCount]uint16 // bindings whose bytes are counted together
	for b := range s.table.all() {
		sharing[b.class]++
	}
	total := uint64(0)
	for b := range s.table.all() {
		bytes := rx[b.class]
		if was := s.rxBytes[b.class]; bytes >= was { // else the counters were reset
			bytes -= was
		}
		if bytes > 0 {
			b.sent = now
			s.table.touch(b, now)
		}
		s.table.updateBusy(b, now)
		sent := float64(bytes) / float64(sharing[b.class]) * 8 / took.Seconds()
		b.bps = (b.bps + uint64(sent)) / 2
		b.warmup = max(b.warmup-1, 0)
		total += b.bps
	}
	s.load.bps = [spread.MaxMembers]float64{}
	s.load.mean = 0
	if n := s.table.len(); n > 0 {
		s.load.mean = float64(total) / float64(n)
	}
	for b := range s.table.all() {
		b.weight = float64(b.bps)
		if b.warmup > 0 {
			b.weight = max(b.weight, s.load.mean)
		}
		s.load.bps[b.member] += b.weight
	}
}

// rebalance moves the binding that relieves the busiest member most. It returns false if no move gains enough.
func (s *Balancer) rebalance(now time.Time) bool {
	var ids []int
	for left := s.members; left != 0; left = left.Without(left.First()) {
		ids = append(ids, left.First())
	}
	slices.SortStableFunc(ids, func(a, b int) int { return cmp.Compare(s.load.utilisation(b), s.load.utilisation(a)) })
	open := s.open() &^ s.returning()
	for _, from := range ids {
		utilisation := s.load.utilisation(from)
		if utilisation < minUtilisation {
			break
		}
		var best *binding
		to, lowest := -1, utilisation*(1-minGain)
		for b := range s.table.all() {
			if b.member != from || b.bps == 0 || now.Before(b.holdUntil) {
				continue
			}
			for _, id := range ids {
				if after := s.load.afterMove(b, id); id != from && open.Has(id) && after < lowest {
					best, to, lowest = b, id, after
				}
			}
		}
		if best != nil {
			s.assign(now, best, to)
			s.notifyTwice(now, best)
			return true
		}
	}
	return false
}
