package steer

import (
	"cmp"
	"slices"
	"time"

	"nicteam/modes/spread"
)

// Measure takes in what every sender has sent, and at what rates members send. Members that get too much give
// pairs away.
func (s *Balancer) Measure(now time.Time, h *spread.RxBytes, f *spread.FlowTable) []spread.Send {
	t := s.clock(now)
	if f != nil {
		s.load.measured(f, s.members)
	}
	took := t - s.at
	if s.measures > 0 && took <= 0 {
		return nil
	}
	s.expire(t)
	if s.measures > 0 {
		s.weigh(t, took, h)
	}
	s.heard, s.at, s.interval = *h, t, took
	if s.measures == 0 {
		s.interval = 0
	}
	s.measures++
	if s.on && s.active >= 0 && s.rest > 0 {
		for range movesAtOnce {
			if !s.even(t) {
				break
			}
		}
	}
	return s.run(t)
}

// weigh finds out what each pair sends.
func (s *Balancer) weigh(t, took time.Duration, h *spread.RxBytes) {
	var sharing [spread.RxClassCount]uint16 // pairs whose bytes are counted together
	for i := range s.pairs.all() {
		sharing[s.pairs.at(i).slot]++
	}
	total := uint64(0)
	for i := range s.pairs.all() {
		p := s.pairs.at(i)
		bytes := h[p.slot]
		if was := s.heard[p.slot]; bytes >= was { // else the counters began anew
			bytes -= was
		}
		if bytes > 0 {
			p.heard = t
			s.pairs.touch(i, t)
		}
		s.pairs.sort(i, t)
		sent := float64(bytes) / float64(sharing[p.slot]) * 8 / took.Seconds()
		p.bps = (p.bps + uint64(sent)) / 2
		p.fresh = max(p.fresh-1, 0)
		total += p.bps
	}
	s.load.bps = [spread.MaxMembers]float64{}
	s.load.mean = 0
	if n := s.pairs.len(); n > 0 {
		s.load.mean = float64(total) / float64(n)
	}
	for i := range s.pairs.all() {
		p := s.pairs.at(i)
		p.reckon = float64(p.bps)
		if p.fresh > 0 {
			p.reckon = max(p.reckon, s.load.mean)
		}
		s.load.bps[p.member] += p.reckon
	}
}

// even moves the pair that evens out the busiest member best, and returns false when nothing is to be won.
func (s *Balancer) even(t time.Duration) bool {
	var ids []int
	for set := s.members; set != 0; set = set.Without(set.First()) {
		ids = append(ids, set.First())
	}
	slices.SortStableFunc(ids, func(a, b int) int { return cmp.Compare(s.load.use(b), s.load.use(a)) })
	for _, from := range ids {
		use := s.load.use(from)
		if use < leastUse {
			break
		}
		best, to, at := int32(-1), -1, use*(1-leastGain)
		for i := range s.pairs.all() {
			p := s.pairs.at(i)
			if p.member != from || p.bps == 0 || t < p.rests {
				continue
			}
			for _, id := range ids {
				if after := s.load.after(p, id); id != from && after < at {
					best, to, at = i, id, after
				}
			}
		}
		if best >= 0 {
			s.assign(t, best, to)
			s.repair(t, best)
			return true
		}
	}
	return false
}
