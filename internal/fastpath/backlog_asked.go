package fastpath

import (
	"golang.org/x/sys/unix"

	"nicteam/modes/spread"
	"nicteam/team"
)

// clockNow is the time of CLOCK_MONOTONIC, as the programs and the relay have it, in ns.
func clockNow() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic(err) // the clock is always there
	}
	return t.Nano()
}

// Backlog is how many bytes member id was given, by the relay or by programs, that have not left its NIC. It asks the kernel, for
// whose configuration lock it may have to wait.
func (p *Path) Backlog(id int) int {
	relayed := p.Relay.Backlog(id)
	if id < 0 || id >= spread.MaxMembers {
		return relayed
	}
	s := sight{at: clockNow(), queued: true}
	var of nics
	var g *gauge
	if !p.given(id, &s.before, &of, &g) {
		return relayed
	}
	var t [spread.MaxMembers]traffic
	var q [spread.MaxMembers]queue
	if g.traffic(&of, &t) != nil || g.queues(&of, &q) != nil || !p.given(id, &s.after, &of, &g) {
		return relayed
	}
	s.traffic, s.queue = t[id], q[id]
	p.meter.mu.Lock()
	o := p.meter.outlets[id]
	same := p.meter.of[id] == of[id] && o.begun
	p.meter.mu.Unlock()
	if !same {
		return max(relayed, int(s.queue.waiting))
	}
	// What the relay has given is in both.
	return max(relayed, o.look(&s).waiting)
}

// given fills to with what member id was given, and says by which NIC. It returns false where no programs give anything.
func (p *Path) given(id int, to *given, of *nics, g **gauge) bool {
	var c team.Counters
	p.Relay.Counters(&c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil || p.links[id] == nil || p.meter.gauge == nil {
		return false
	}
	*to = p.kernel.given(id)
	to.add(&c.Members[id])
	of[id], *g = int32(p.links[id].Index), p.meter.gauge
	return true
}
