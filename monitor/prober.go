// SPDX-License-Identifier: MIT

package monitor

import (
	"fmt"
	"slices"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/tick"
)

// Times and limits of probes.
const (
	// busyStep is the time between two probes of a pair that moves frames, and busyRate how many a second that are.
	// They are sent, and missed, at multiples of it, when the team's other looks are due: all at one wake.
	busyStep = 10 * time.Millisecond
	busyRate = 200
	// helloTimeout is how long a probe may take.
	helloTimeout = 8 * time.Millisecond
	// mostDelay bounds the delay that is believed.
	mostDelay = 200 * time.Millisecond
	// provenHellos are needed before a pair counts as one that works, provenAgain after it failed.
	provenHellos = 2
	provenAgain  = 10
	// firstHellos is how many probes a pair gets at the fast rate before the first arrives.
	firstHellos = 10
	// mostPeers bounds to how many others a member sends in a round.
	mostPeers = 8
	// seqWindow is how old a probe's number may be.
	seqWindow = 64
	// answerRate bounds the answers to other teams in a second.
	answerRate = 50
)

// prober lets the members of a team send probes to each other.
type prober struct {
	use     ProbeUse
	epoch   time.Time // of the clock in frames
	pairs   map[pairKey]*pair
	of      map[int][]*pair // those of a member, in both directions
	round   probeRound
	foreign *target
	noted   HelloFilter

	broken    bool // no member hears another one, or of two one does not
	answers   int  // to other teams since answersAt
	answersAt time.Time
}

type pairKey struct{ from, to int }

// pair is one direction between two members.
type pair struct {
	pairKey
	seq     uint32
	sentAt  time.Time
	open    time.Time // when the first probe was sent that has not arrived since the last one that did; zero: none
	unheard int       // in a row
	streak  int       // arrived in a row
	failed  bool      // it worked, and stopped
	works   bool
	wait    time.Duration // between two rounds because it has failed …
	again   time.Time     // … and when the next may be
	doubt   bool          // it stopped, and its ends are not suspect yet …
	backoff backoff       // … as long as this does not allow it
	heardAt time.Time
	heard   uint32 // number of the last one that arrived
	delay   time.Duration
	worst   time.Duration // the longest delay lately
	history uint32        // a bit each, the latest lowest
	sent    int           // of history

	roundFrom  uint32 // number before the round's first
	roundHeard int
}

// probed is what probes say about a member.
type probed struct {
	down string // why it is down
	// Probes in a row that others heard of it, and that it heard, since its link came or it went down.
	heards, hears int
	broadcastAt   time.Time
	seq           uint32 // of asks to other teams
}

// bothWays reports whether others hear it and it hears them.
func (p *probed) bothWays() bool {
	return p.down == "" && p.heards > 0 && p.hears > 0
}

// probeRound lets every member send to every other one at the same times.
type probeRound struct {
	on       bool
	fast     bool
	cause    string
	suspects []int
	asks     int
	voids    int
	step     time.Duration
	began    time.Time
	due      time.Time
	quiet    time.Time // until then none begins, unless it is fast
}

func newProber(now time.Time) prober {
	return prober{epoch: now, pairs: map[pairKey]*pair{}, of: map[int][]*pair{},
		foreign: &target{foreign: true, spec: Spec{Kind: KindProbe}}}
}

func (p *prober) deciding() bool         { return p.use == ProbeDecides }
func (p *prober) foreignTarget() *target { return p.foreign }

// setUse begins anew with another use.
func (p *prober) setUse(now time.Time, use ProbeUse) {
	p.use, p.round, p.broken = use, probeRound{}, false
	for _, pr := range p.pairs {
		pr.open = time.Time{}
	}
}

// pair returns the pair of two members.
func (p *prober) pair(from, to int) *pair {
	k := pairKey{from, to}
	pr := p.pairs[k]
	if pr == nil {
		pr = &pair{pairKey: k}
		p.pairs[k] = pr
		p.of[from], p.of[to] = append(p.of[from], pr), append(p.of[to], pr)
	}
	return pr
}

// forget forgets the pairs of a member.
func (p *prober) forget(id int) {
	for _, pr := range p.of[id] {
		delete(p.pairs, pr.pairKey)
		other := pr.from + pr.to - id
		p.of[other] = slices.DeleteFunc(p.of[other], func(o *pair) bool { return o == pr })
	}
	delete(p.of, id)
}

// trust forgets the backoffs of a member's pairs: the suspicion was right.
func (p *prober) trust(id int) {
	for _, pr := range p.of[id] {
		pr.backoff = backoff{}
	}
}

// inRing reports whether m's probes count for others.
func (m *watched) inRing() bool { return m.asks() && m.admitted && m.probed.down == "" }

// ring calls f for each pair that has probes while all is well: every member sends to the next one. A member that is
// down, or waits, is no part of it, but exchanges probes with the next that is not.
func (p *prober) ring(w *Watches, f func(pr *pair, from, to *watched)) {
	var well, down []*watched
	for _, m := range w.members {
		if m.inRing() {
			well = append(well, m)
		} else if m.asks() {
			down = append(down, m)
		}
	}
	if len(well) > 1 {
		for i, m := range well {
			to := well[(i+1)%len(well)]
			f(p.pair(m.ID, to.ID), m, to)
		}
	}
	for _, m := range down {
		if len(well) == 0 {
			return
		}
		i := max(slices.IndexFunc(well, func(o *watched) bool { return o.ID > m.ID }), 0)
		f(p.pair(m.ID, well[i].ID), m, well[i])
		f(p.pair(well[i].ID, m.ID), well[i], m)
	}
}

// period is the time between two probes of a pair, 0 for none.
func (p *prober) period(w *Watches, pr *pair, from, to *watched) time.Duration {
	busy := from.traffic.rate >= busyRate || to.traffic.rate >= busyRate
	switch {
	case p.use == ProbeNone:
		return 0
	case busy && (pr.works || pr.unheard < firstHellos):
		return min(busyStep, w.cfg.Interval)
	case p.use == ProbeSenses && !busy:
		return 0
	case p.deciding() && (from.probed.down != "" || to.probed.down != "" || !from.admitted || !to.admitted ||
		p.foreignDown(from) || p.foreignDown(to)):
		return w.downInterval()
	}
	return w.cfg.Interval
}

// timeout is how long a probe of pr may take, which is sent once a period.
func (pr *pair) timeout(period time.Duration) time.Duration {
	return max(helloTimeout, min(period/8, slowStep), 4*pr.delay, pr.worst+pr.worst/2)
}

// dueAt is when the next probe is sent, and missedAt when one that is under way is missed, of a pair with that period.
func (pr *pair) dueAt(period time.Duration) time.Time {
	if period == busyStep {
		return pr.sentAt.Add(busyStep/2 + tick.FromBeat(pr.sentAt.Add(busyStep/2), busyStep))
	}
	return pr.sentAt.Add(period)
}

func (pr *pair) missedAt(period time.Duration) time.Time {
	at := pr.open.Add(pr.timeout(period))
	if period == busyStep {
		return at.Add(tick.FromBeat(at, busyStep))
	}
	return at
}

// slack returns how much earlier than they are due probes are sent at now: if one is due, others go with it, as asks
// do (see [Watches.beat]).
func (p *prober) slack(now time.Time, w *Watches) (slack time.Duration) {
	p.ring(w, func(pr *pair, from, to *watched) {
		if d := p.period(w, pr, from, to); d > 0 && !now.Before(pr.dueAt(d)) && (slack == 0 || d/2 < slack) {
			slack = d / 2
		}
	})
	return slack
}

// hello sends a probe.
func (p *prober) hello(now time.Time, w *Watches, pr *pair, from, to *watched) {
	pr.seq++
	f := frame.Probe{Op: frame.ProbeHello, Dst: to.MAC, Src: from.MAC, Team: w.cfg.Team, From: uint16(from.ID),
		To: uint16(to.ID), Seq: pr.seq, Sent: int64(now.Sub(p.epoch))}
	w.send(from, f.Frame())
	pr.sentAt = now
	if pr.open.IsZero() {
		pr.open = now
	}
	pr.history, pr.sent = pr.history<<1, min(pr.sent+1, maxAsks)
	w.stale = true
}

// run does what is due at now.
func (p *prober) run(now time.Time, w *Watches) {
	if p.use == ProbeNone {
		return
	}
	p.holdRound(now, w)
	p.runRound(now, w)
	slack := p.slack(now, w)
	var failed []*pair
	p.ring(w, func(pr *pair, from, to *watched) {
		d := p.period(w, pr, from, to)
		if !pr.open.IsZero() && !now.Before(pr.missedAt(d)) {
			pr.open = time.Time{}
			pr.unheard++
			pr.streak = 0
			// What passes not to or from a member that is down says nothing about the other end.
			if to.inRing() {
				from.probed.heards = 0
			}
			if from.inRing() {
				to.probed.hears = 0
			}
			switch {
			case pr.works:
				pr.works, pr.failed, pr.doubt = false, true, true
				if now.Sub(pr.again) > forgetBackoff {
					pr.wait = 0
				}
			case p.deciding() && pr.failed && !now.Before(pr.again):
				// It failed before, which a round found harmless: other pairs worked. They may not any more.
				failed = append(failed, pr)
			}
			if pr.failed && !now.Before(pr.again) {
				pr.wait = min(max(2*pr.wait, leastBackoff), mostBackoff)
				pr.again = now.Add(pr.wait)
			}
		}
		if pr.doubt && pr.backoff.allows(now) {
			pr.doubt = false
			pr.backoff.cleared(now) // unless it recovers from being down
			failed = append(failed, pr)
		}
		if d = p.period(w, pr, from, to); d > 0 && !p.round.on && !now.Before(pr.dueAt(d).Add(-min(slack, d/2))) {
			p.hello(now, w, pr, from, to)
		}
	})
	for _, pr := range failed {
		p.pairFailed(now, w, pr)
	}
}

// pairFailed makes both ends suspect of a pair that worked: one cannot send, or the other cannot receive. Pairs have a
// backoff of their own: one that flickers says nothing about what the counters of its ends show.
func (p *prober) pairFailed(now time.Time, w *Watches, pr *pair) {
	from, to := w.member(pr.from), w.member(pr.to)
	cause := fmt.Sprintf("probes from %s do not arrive at %s", from.Name, to.Name)
	if p.deciding() {
		fast := max(from.traffic.rate, to.traffic.rate) >= busyRate && pr.wait <= leastBackoff
		for _, m := range []*watched{from, to} {
			m.backoff.spared = w.suspicionOf(m) == ""
			p.startRound(now, w, m, fast, cause)
		}
		return
	}
	for _, m := range []*watched{from, to} {
		if m.admitted {
			spared := w.suspicionOf(m) == ""
			m.backoff.spared = w.suspect(now, m, cause) && spared
		}
	}
}

// load begins or ends probes at the fast rate, after the rates have changed.
func (p *prober) load(now time.Time, w *Watches) {
	if p.use == ProbeNone {
		return
	}
	p.ring(w, func(pr *pair, from, to *watched) {
		switch d := p.period(w, pr, from, to); {
		case d == 0 && !p.round.on:
			pr.open = time.Time{}
		case d > 0 && now.Sub(pr.sentAt) >= d:
			w.stale, w.newsAt = true, now
		}
	})
}

// receive handles a probe frame.
func (p *prober) receive(now time.Time, w *Watches, member int, f []byte) {
	b := &w.probe
	if !frame.ParseProbe(f, b) {
		return
	}
	m := w.member(member)
	if m == nil || !m.asks() {
		return
	}
	switch {
	case b.Op == frame.ProbeHello && b.Team == w.cfg.Team && int(b.To) == member:
		if from := w.member(int(b.From)); from != nil && from != m {
			p.arrived(now, now, w, from, m, b)
		}
	case b.Op == frame.ProbeAsk && b.Team != w.cfg.Team:
		p.answerForeign(now, w, m, b)
	case b.Op == frame.ProbeAnswer && b.Team == w.cfg.Team:
		asker := w.member(int(b.From))
		if asker != nil && b.Dst == asker.MAC && asker.probed.seq-b.Seq < seqWindow && w.byMAC(b.Src, -1) == nil &&
			!b.Src.Multicast() && b.Src != 0 {
			w.answered(now, asker.path(p.foreign), member, b.Src)
		}
	}
}

// arrived handles a probe of from that arrived at to, at a time that need not be now.
func (p *prober) arrived(now, at time.Time, w *Watches, from, to *watched, b *frame.Probe) {
	pr := p.pairs[pairKey{from.ID, to.ID}]
	if pr == nil || pr.seq-b.Seq >= seqWindow || b.Seq == 0 || b.Seq <= pr.heard {
		return
	}
	delay := at.Sub(p.epoch.Add(time.Duration(b.Sent)))
	if delay < 0 {
		return
	}
	if delay = min(delay, mostDelay); !w.overdue(now) {
		if pr.delay == 0 {
			pr.delay = delay
		}
		pr.delay += (delay - pr.delay) / 8
		pr.worst = max(delay, pr.worst+(delay-pr.worst)/8)
	}
	pr.heard, pr.heardAt, pr.unheard, pr.open, pr.doubt = b.Seq, at, 0, time.Time{}, false
	pr.history |= 1 << min(pr.seq-b.Seq, maxAsks-1)
	need := provenHellos
	if pr.failed {
		need = provenAgain
	}
	if pr.streak++; pr.streak >= need || p.deciding() && pr.streak >= provenHellos {
		pr.works, pr.failed = true, false
	}
	if b.Seq > pr.roundFrom {
		pr.roundHeard++
	}
	from.probed.heards++
	to.probed.hears++
	back := p.pairs[pairKey{to.ID, from.ID}]
	if w.askers() > 2 || pr.works && back != nil && back.works {
		p.broken = false
	}
	for _, m := range []*watched{from, to} {
		if m.probed.down != "" && m.probed.heards >= needHits && m.probed.hears >= needHits {
			m.probed.down = ""
			p.trust(m.ID)
		}
	}
	p.clearForeign(w, pr)
	p.clearRound(now, w)
	w.stale = true
	if p.deciding() {
		w.update(now)
	}
}

// state is what probes say about m.
func (p *prober) state(w *Watches, m *watched) (State, string) {
	if m.probed.down != "" {
		return Down, m.probed.down
	}
	if f := m.path(p.foreign); f != nil && f.state == pathDown {
		return Down, f.why
	}
	if m.probed.heards > 0 && m.probed.hears > 0 {
		return Up, ""
	}
	if f := m.path(p.foreign); f != nil && f.answering() && p.wantsForeign(w) {
		return Up, ""
	}
	return Unknown, ""
}

// othersHear reports whether a pair works of which neither end is the member id.
func (p *prober) othersHear(id int) bool {
	if !p.deciding() {
		return false
	}
	for k, pr := range p.pairs {
		if pr.works && k.from != id && k.to != id {
			return true
		}
	}
	return false
}

// whyUnknown says why probes say nothing about m.
func (p *prober) whyUnknown(w *Watches, m *watched) string {
	switch {
	case w.askers() < 2:
		return "no other member to hear it"
	case p.broken && p.foreign.silent:
		return "the members do not hear each other, and no other nicteam answers"
	}
	return ""
}

// rtt returns the time to another member and back from one, 0 if unknown, the share of probes lost, and when the last
// one arrived.
func (p *prober) quality(m *watched) (rtt time.Duration, loss float64, last time.Time) {
	var out, in *pair
	for _, pr := range p.of[m.ID] {
		if pr.from == m.ID && (out == nil || pr.heardAt.After(out.heardAt)) {
			out = pr
		}
		if pr.to == m.ID && (in == nil || pr.heardAt.After(in.heardAt)) {
			in = pr
		}
	}
	if out == nil || in == nil || out.heardAt.IsZero() || in.heardAt.IsZero() {
		return 0, 0, time.Time{}
	}
	last = out.heardAt
	if in.heardAt.Before(last) {
		last = in.heardAt
	}
	return out.delay + in.delay, max(out.loss(), in.loss()), last
}

// loss is the share of the last probes that did not arrive.
func (pr *pair) loss() float64 {
	p := path{asks: pr.sent, answers: pr.history, pending: !pr.open.IsZero()}
	return p.loss()
}
