// SPDX-License-Identifier: MIT

package monitor

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nicteam/internal/frame"
)

// Watches are the link watches of all members of a team, carrier aside. It does no I/O: it is told of time, frames and
// counters, and says what to send ([Watches.Sends]), when to wake it ([Watches.Deadline]), and what it thinks of each
// member ([Watches.Verdict]). One goroutine calls it; time never goes back.
type Watches struct {
	cfg         WatchConfig
	known       Targets
	watches     []watch
	targets     []*target    // that are asked
	addresses   []netip.Addr // of those, IPv4
	members     []*watched   // by id
	silentHosts map[Target]time.Time
	retargetDue bool
	prober      prober
	resends     resends
	returned    returned
	sends       []Send
	sampledAt   time.Time // of the last Traffic
	resumed     map[int]WatchedCheckpoint

	stale  bool      // due is to be computed
	due    time.Time // of the next Tick
	newsAt time.Time // when what is due last changed by more than time

	headers   frame.Headers   // scratch
	neighbour frame.Neighbour // scratch
	probe     frame.Probe     // scratch
	asked     []Asked         // scratch
	warnings  []string
}

// NewWatches returns the link watches of a team without members.
func NewWatches(now time.Time, c WatchConfig) *Watches {
	w := &Watches{silentHosts: map[Target]time.Time{}, prober: newProber(now)}
	w.Configure(now, c)
	return w
}

// Configure replaces the configuration.
func (w *Watches) Configure(now time.Time, c WatchConfig) {
	c = c.withDefaults()
	if !slices.Equal(c.Specs, w.cfg.Specs) {
		w.watches = nil
		for _, s := range c.Specs {
			if v := newWatch(s); v != nil {
				w.watches = append(w.watches, watch{Watch: v, spec: s})
			}
		}
	}
	shorter := c.Interval < w.cfg.Interval
	w.cfg = c
	for _, m := range w.members {
		for _, p := range m.paths {
			if shorter {
				p.nextAsk = now
			}
		}
	}
	w.retarget(now)
	w.update(now)
}

// SetTargets replaces the addresses that the adapter knows.
func (w *Watches) SetTargets(now time.Time, t Targets) {
	if slices.Equal(t.Gateways, w.known.Gateways) && slices.Equal(t.Hosts, w.known.Hosts) &&
		slices.Equal(t.Neighbours, w.known.Neighbours) && slices.Equal(t.Own, w.known.Own) {
		return
	}
	w.known = Targets{Gateways: slices.Clone(t.Gateways), Hosts: slices.Clone(t.Hosts),
		Neighbours: slices.Clone(t.Neighbours), Own: slices.Clone(t.Own)}
	w.retarget(now)
	w.update(now)
}

// SetMembers replaces the members, by id. It costs little if nothing changed.
func (w *Watches) SetMembers(now time.Time, ms []WatchedMember) {
	if slices.EqualFunc(ms, w.members, func(a WatchedMember, b *watched) bool { return a == b.WatchedMember }) {
		return
	}
	members := make([]*watched, 0, len(ms))
	var linked []*watched
	for _, n := range ms {
		m := w.member(n.ID)
		if m == nil {
			m = &watched{since: now}
		}
		was := m.WatchedMember
		m.WatchedMember = n
		if n.Link != was.Link || n.Link && !n.Since.Equal(was.Since) {
			linked = append(linked, m)
		} else if n.MAC != was.MAC || n.Quiet != was.Quiet {
			w.macChanged(now, m)
		}
		members = append(members, m)
	}
	slices.SortFunc(members, func(a, b *watched) int { return cmp.Compare(a.ID, b.ID) })
	for _, m := range w.members {
		if !slices.Contains(members, m) {
			w.prober.forget(m.ID)
		}
	}
	w.members = members
	w.forgetRounds(now)
	for _, m := range members {
		if len(m.paths) != len(w.targets) {
			w.repath(now, m)
		}
	}
	for _, m := range linked {
		w.linkChanged(now, m)
		w.resumeMember(now, m)
	}
	w.update(now)
}

// forgetRounds ends rounds that have lost their suspects.
func (w *Watches) forgetRounds(now time.Time) {
	gone := func(id int) bool { m := w.member(id); return m == nil || !m.asks() }
	for _, t := range w.targets {
		if t.round.on {
			if t.round.suspects = slices.DeleteFunc(t.round.suspects, gone); len(t.round.suspects) == 0 {
				w.endRound(now, t)
			}
		}
	}
	if r := &w.prober.round; r.on {
		if r.suspects = slices.DeleteFunc(r.suspects, gone); len(r.suspects) == 0 || w.askers() < 2 {
			w.prober.endRound(now, w)
		}
	}
}

// Receive handles a frame that a member received; f is borrowed. It returns true if the frame is for the watches alone:
// an answer to an ARP probe, an ARP request to all hosts, or a probe frame. A neighbour advertisement is read, and
// returns false.
func (w *Watches) Receive(now time.Time, member int, f []byte) bool {
	if frame.Parse(f, &w.headers) && frame.IsProbe(&w.headers, f) {
		w.prober.receive(now, w, member, f)
		w.settle(now)
		return true
	}
	mine := w.receiveNeighbour(now, member, f)
	w.settle(now)
	return mine
}

// settle asks the watches again if what they depend on has changed.
func (w *Watches) settle(now time.Time) {
	if w.retargetDue {
		w.retargetDue = false
		w.retarget(now)
		w.update(now)
	}
}

// Tick does what is due at now.
func (w *Watches) Tick(now time.Time) {
	if due := w.Deadline(); due.IsZero() || now.Before(due) {
		return
	} else if w.overdue(now) {
		w.stoodStill(now)
	}
	w.stale = true
	w.forgetSilent(now)
	if now.Sub(w.sampledAt) > sampleAge {
		for _, m := range w.members {
			m.traffic.rate = 0
		}
	}
	for _, t := range w.targets {
		w.holdRound(now, t)
		w.runRound(now, t)
		w.runSilent(now, t)
	}
	beat := w.beat(now)
	for _, m := range w.members {
		if m.asks() {
			for _, p := range m.paths {
				if w.askable(p.t) {
					w.runPath(now, p, beat)
				}
			}
		}
	}
	w.prober.run(now, w)
	w.settle(now)
	w.update(now)
}

// overdue reports whether a Tick should have been long before now: this process stood still.
func (w *Watches) overdue(now time.Time) bool {
	due := w.Deadline()
	return !due.IsZero() && now.Sub(due) > lateLimit
}

// stoodStill notes that this process did not run for a while: who has not answered meanwhile is asked again.
func (w *Watches) stoodStill(now time.Time) {
	for _, t := range w.targets {
		if t.round.on {
			w.voidRound(now, t)
		}
	}
	for _, m := range w.members {
		m.traffic.heard, m.traffic.sent = now, 0
		for _, p := range m.paths {
			if p.pending && !p.t.round.on {
				p.pending, p.nextAsk = false, now
			}
		}
	}
	w.prober.stoodStill(now, w)
	w.stale = true
}

// Deadline is when the next Tick is due; zero for never.
func (w *Watches) Deadline() time.Time {
	if w.stale {
		w.due, w.stale = w.nextDue(), false
	}
	return w.due
}

func (w *Watches) nextDue() (due time.Time) {
	at := func(t time.Time) {
		if due.IsZero() || t.Before(due) {
			due = t
		}
	}
	// What became due by news is not late before the news.
	send := func(t time.Time) {
		if t.Before(w.newsAt) {
			t = w.newsAt
		}
		at(t)
	}
	for _, t := range w.targets {
		switch {
		case t.round.on:
			at(t.round.due)
		case t.silent:
			at(t.retry)
		}
	}
	for _, m := range w.members {
		if !m.Link {
			continue
		}
		if !m.admitted && !m.judging {
			at(m.waitsFrom.Add(w.cfg.AdmissionWait))
		}
		for _, p := range m.paths {
			switch {
			case !m.asks() || p.t.round.on || !w.askable(p.t):
			case p.pending:
				at(p.lastAsk.Add(p.timeout(w.cfg.Interval)))
			case !p.t.silent || !m.admitted:
				send(p.nextAsk)
			}
		}
	}
	w.prober.nextDue(w, at, send)
	return due
}

// Sends returns the frames to send since the last call.
func (w *Watches) Sends() []Send {
	s := w.sends
	w.sends = nil
	return s
}

// member returns a member by id, nil for none.
func (w *Watches) member(id int) *watched {
	for _, m := range w.members {
		if m.ID == id {
			return m
		}
	}
	return nil
}

// askers is the number of members that can ask, 3 for more: it is asked for of each member.
func (w *Watches) askers() (n int) {
	for _, m := range w.members {
		if m.asks() {
			n++
		}
		if n == 3 {
			break
		}
	}
	return n
}

// State is that of the Verdict alone, which is known at once.
func (w *Watches) State(id int) State {
	if m := w.member(id); m != nil {
		return m.state
	}
	return Verdict{}.State
}

// Verdict returns what the watches say about a member. Asked is borrowed until the next call of any method.
func (w *Watches) Verdict(id int) Verdict {
	m := w.member(id)
	if m == nil {
		return Verdict{}
	}
	v := Verdict{State: m.state, Reason: m.reason, Since: m.since}
	w.asked = w.asked[:0]
	for _, p := range m.paths {
		if p.t.foreign {
			continue
		}
		w.asked = append(w.asked, Asked{Spec: p.t.spec, IP: p.t.IP, VLAN: p.t.VLAN, Noun: p.t.Noun,
			Answers: p.answering(), RTT: p.rtt, Loss: p.loss(), Last: p.lastAnswer})
		if !p.lastAnswer.IsZero() && (v.RTT == 0 || p.rtt < v.RTT) {
			v.RTT = p.rtt
		}
		v.Loss = max(v.Loss, w.lossOf(p))
	}
	if w.prober.deciding() {
		if rtt, loss, last := w.prober.quality(m); !last.IsZero() {
			w.asked = append(w.asked, Asked{Spec: Spec{Kind: KindProbe}, Answers: m.probed.bothWays(), RTT: rtt,
				Loss: loss, Last: last})
			if v.RTT == 0 {
				v.RTT = rtt
			}
			v.Loss = max(v.Loss, loss)
		}
	}
	v.Asked = w.asked
	return v
}

// lossOf is a path's loss unless its target answers nobody, which is no loss of the member.
func (w *Watches) lossOf(p *path) float64 {
	if p.t.silent {
		return 0
	}
	return p.loss()
}

// Addresses returns the IPv4 addresses that are asked for. It is immutable.
func (w *Watches) Addresses() []netip.Addr { return w.addresses }

// Warnings returns what an operator should know, one sentence each. It is borrowed.
func (w *Watches) Warnings() []string { return w.warnings }

// warn returns the warnings.
func (w *Watches) warn() (all []string) {
	for _, v := range w.watches {
		switch {
		case v.spec.Kind == KindGateway && len(v.targets) == 0:
			all = append(all, "link watch gateway: the adapter has no default gateway, so carrier alone decides")
		case v.spec.Kind == KindProbe && w.cfg.Aggregated:
			all = append(all, "link watch probe: members of an 802.3ad link do not hear each other, LACP watches them")
		}
	}
	var ms []*watched
	for _, m := range w.members {
		if m.asks() {
			ms = append(ms, m)
		}
	}
	if len(ms) == 0 {
		return all
	}
	for _, t := range w.targets {
		if t.silent && !t.foreign {
			all = append(all, fmt.Sprintf("%s answers by no member: it says nothing about %s", t, names(ms)))
		}
	}
	if w.prober.deciding() && w.prober.broken && len(ms) > 1 {
		s := "the members do not hear each other"
		if len(ms) == 2 {
			s += ", and no other nicteam on the LAN answers"
		}
		if !strings.HasSuffix(s, "answers") || w.prober.foreign.silent {
			all = append(all, s+": a link that is silently dead is not noticed")
		}
	}
	return all
}
