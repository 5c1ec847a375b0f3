package fastpath

import (
	"golang.org/x/sys/unix"

	"nicteam/modes"
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
	if id < 0 || id >= modes.MaxMembers {
		return relayed
	}
	s := Sample{At: clockNow(), QdiscRead: true}
	var of Indexes
	var g *StatsReader
	if !p.txTotals(id, &s.Before, &of, &g) {
		return relayed
	}
	var t [modes.MaxMembers]LinkStats
	var q [modes.MaxMembers]QdiscStats
	if g.ReadLinks(&of, &t) != nil || g.ReadQdiscs(&of, &q) != nil || !p.txTotals(id, &s.After, &of, &g) {
		return relayed
	}
	s.Link, s.Qdisc = t[id], q[id]
	p.backlog.mu.Lock()
	o := p.backlog.estimators[id]
	same := p.backlog.measured[id] == of[id] && o.Known()
	p.backlog.mu.Unlock()
	if !same {
		return max(relayed, int(s.Qdisc.Backlog))
	}
	// What the relay has given is in both.
	return max(relayed, o.Update(&s).Backlog)
}

// txTotals fills to with what member id was given, and says by which NIC. It returns false where no programs give anything.
func (p *Path) txTotals(id int, to *TxTotals, of *Indexes, g **StatsReader) bool {
	var c team.Counters
	p.Relay.Counters(&c)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kernel == nil || p.links[id] == nil || p.backlog.stats == nil {
		return false
	}
	*to = p.kernel.txTotals(id)
	addRelayed(to, &c.Members[id])
	of[id], *g = int32(p.links[id].Index), p.backlog.stats
	return true
}
