package steer

import (
	"time"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
)

// Announced takes in that all peers were just told the active member's address.
func (s *Balancer) Announced(now time.Time) {
	t := s.clock(now)
	for g := range s.pairs.groups {
		if len(s.pairs.groups[g].pairs) > 0 {
			s.broadcast(t, int32(g))
		}
	}
}

// broadcast takes in that all who talk to an address of ours were given the active member's MAC. Those who are
// another's are told again soon, and once more a second later, as an unasked answer can get lost. A broadcast that
// follows meanwhile does not put that off.
func (s *Balancer) broadcast(t time.Duration, g int32) {
	if g < 0 || !s.on || s.active < 0 {
		return
	}
	s.pairs.groups[g].mac = s.pl.MACs[s.active]
	if !s.agenda.has(groupItem(g)) {
		s.agenda.set(groupItem(g), t+repairDelay)
	}
}

// repair has a pair told at t, and once more after that.
func (s *Balancer) repair(t time.Duration, i int32) {
	s.pairs.at(i).again = true
	s.due(t, i, repairInterval)
}

// tell has a pair told at t or as soon after that as its turn comes.
func (s *Balancer) tell(t time.Duration, i int32) { s.due(t, i, tellInterval) }

// due puts a pair on the agenda at t, and so long after it was last told.
func (s *Balancer) due(t time.Duration, i int32, interval time.Duration) {
	p := s.pairs.at(i)
	if p.tolds > 0 {
		t = max(t, p.told+interval)
	}
	if it := pairItem(i); !s.agenda.has(it) || t < s.agenda.time[it] {
		s.agenda.set(it, t)
	}
}

// run does what is due until t, as far as the allowance goes.
func (s *Balancer) run(t time.Duration) (sends []spread.Send) {
	for s.active >= 0 {
		it, at, ok := s.agenda.first()
		if !ok || at > t {
			break
		}
		i, isPair := it.pair()
		if !isPair {
			s.agenda.drop(it)
			gr := &s.pairs.groups[it.group()]
			for _, i := range gr.pairs {
				if s.pl.MACs[s.pairs.at(i).member] != gr.mac {
					s.repair(t, i)
				}
			}
			continue
		}
		if !s.tells.Take(s.base.Add(t), steerRate) {
			break
		}
		p := s.pairs.at(i)
		sends = append(sends, spread.Send{Member: p.member, Frame: s.telling(p)})
		p.told = t
		p.tolds++
		if p.again {
			p.again = false
			s.agenda.set(it, t+tellInterval)
		} else {
			s.agenda.drop(it)
		}
	}
	return sends
}

// telling returns the frame that tells a pair its member's MAC. Announcements and their like are never learnt
// from, so two teams do not answer each other's.
func (s *Balancer) telling(p *pair) []byte {
	mac := s.pl.MACs[p.member]
	if p.ours.Is4() {
		return frame.UnicastARP(mac, p.ours, p.mac, p.vlan)
	}
	if router, ok := s.router[p.vlan]; ok {
		return frame.UnicastNA(mac, p.ours, router, p.mac, p.to, p.vlan)
	}
	// An advertisement that wrongly denies that we are a router takes away the host's route.
	return frame.UnicastNS(mac, p.ours, p.mac, p.to, p.vlan)
}
