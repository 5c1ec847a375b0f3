// SPDX-License-Identifier: MIT

// The race detector finds nothing in one goroutine and makes it ten times as slow; make test runs these tests without.

//go:build !race

package monitor

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/frame/frametest"
)

// lan is a switch with hosts, and a team whose Watches run on it in virtual time.
type lan struct {
	t       testing.TB
	w       *Watches
	now     time.Time
	begin   time.Time
	members []*port
	hosts   []*lanHost
	queue   []arrival
	seq     int
	samples time.Duration // between two samples of traffic, 0 none
	sample  time.Time     // the next one
	resent  uint64
	stall   [2]time.Time // the process stands still from … to
	lag     bool         // the switch takes the members for one link: answers arrive by any of them
	shut    bool         // members do not hear each other
	noProbe func(from, to int) bool
	seen    map[int]State
	changes []change
	sends   int
	asks    map[int]int // ARP and ND a member
	bcasts  map[int]int // … to all
	probes  int
	ticks   int
	noting  bool // of probes between members …
	filter  HelloFilter
	notes   Hellos // … which are heard when something is due
	noted   int
}

// change is a change of a verdict.
type change struct {
	at     time.Duration
	member int
	state  State
	reason string
}

// port is a member and the cable behind it.
type port struct {
	WatchedMember
	txDead, rxDead bool
	delay          time.Duration // each way
	jitter         func() time.Duration
	tx, rx         float64 // frames per second, as long as they pass
	echo           bool    // what it receives answers what it sends
	txN, rxN       float64
	txSum, rxSum   uint64
	vlans          []uint16 // that its port lacks
	stuck          bool     // what it sends stays in its queue …
	held           [][]byte // … which has these
}

// lanHost answers.
type lanHost struct {
	Target
	mac      frame.MAC
	dead     bool
	delay    time.Duration
	foreign  bool // another team, which answers probes
	everyone bool // it answers for all addresses, as some switches do
	not      map[int]bool
	spread   func(asker frame.MAC) frame.MAC // by which it answers; nil: mac
}

type arrival struct {
	at     time.Time
	seq    int
	member int
	f      []byte
}

var (
	gw    = Target{IP: netip.MustParseAddr("10.9.0.254")}
	gw6   = Target{IP: netip.MustParseAddr("fe80::fe")}
	peer1 = Target{IP: netip.MustParseAddr("10.9.0.7")}
	peer2 = Target{IP: netip.MustParseAddr("10.9.0.8")}
)

func memberMAC(id int) frame.MAC { return 0x0200_0000_0000 + frame.MAC(id) }

const hostMAC frame.MAC = 0x0600_0000_0000

// newLAN returns a team of n members with the link watches of specs.
func newLAN(t testing.TB, n int, specs ...string) *lan {
	l := &lan{t: t, begin: time.Unix(1000, 0), seen: map[int]State{}, asks: map[int]int{}, bcasts: map[int]int{}}
	l.now = l.begin
	c := WatchConfig{Team: 77, Adapter: memberMAC(99)}
	for _, s := range specs {
		spec, err := ParseSpec(s)
		if err != nil {
			t.Fatal(err)
		}
		c.Specs = append(c.Specs, spec)
	}
	l.w = NewWatches(l.now, c)
	for id := range n {
		l.members = append(l.members, &port{WatchedMember: WatchedMember{ID: id, Name: fmt.Sprintf("eth%d", id),
			MAC: memberMAC(id), Link: true, Since: l.now, Sends: true}, delay: 100 * time.Microsecond})
	}
	return l
}

func (l *lan) host(t Target) *lanHost {
	h := &lanHost{Target: t, mac: hostMAC + frame.MAC(len(l.hosts)), delay: 50 * time.Microsecond, not: map[int]bool{}}
	l.hosts = append(l.hosts, h)
	return h
}

// gateway adds hosts and makes them the adapter's gateways.
func (l *lan) gateway(ts ...Target) (h *lanHost) {
	for _, t := range ts {
		h = l.host(t)
	}
	l.targets(Targets{Gateways: ts})
	return h
}

func (l *lan) targets(t Targets) { l.w.SetTargets(l.now, t); l.after() }

// sync tells the watches of the members.
func (l *lan) sync() {
	var ms []WatchedMember
	for _, m := range l.members {
		ms = append(ms, m.WatchedMember)
	}
	l.w.SetMembers(l.now, ms)
	l.after()
}

func (l *lan) link(id int, up bool) {
	l.members[id].Link, l.members[id].Since = up, l.now
	l.sync()
}

// load lets all members move frames.
func (l *lan) load(rate float64) {
	for _, m := range l.members {
		m.tx, m.rx = rate, rate
	}
	l.sampling(5 * time.Millisecond)
}

func (l *lan) sampling(d time.Duration) { l.samples, l.sample = d, l.now }

// after sends what is to be sent, and notes changes.
func (l *lan) after() {
	if f := *l.w.HelloFilter(); l.noting && f != l.filter {
		was := l.filter
		l.filter = f
		l.hear(&was)
	}
	for _, s := range l.w.Sends() {
		l.sends++
		l.transmit(s.Member, s.Frame)
	}
	for _, m := range l.members {
		v := l.w.Verdict(m.ID)
		if v.State != l.seen[m.ID] {
			l.seen[m.ID] = v.State
			l.changes = append(l.changes, change{l.now.Sub(l.begin), m.ID, v.State, v.Reason})
		}
	}
}

// note notes a frame that a member receives, if it is a probe that may be.
func (l *lan) note(id int, f []byte) bool {
	var p frame.Probe
	if !l.noting || !frame.ParseProbe(f, &p) || p.Op != frame.ProbeHello || p.Team != l.filter.Team ||
		int(p.To) != id || l.filter.From[id] != uint8(p.From+1) {
		return false
	}
	l.notes[id] = Hello{Seq: p.Seq, Sent: p.Sent, At: l.now}
	l.noted++
	return true
}

// hear tells the watches of what was noted by a filter.
func (l *lan) hear(f *HelloFilter) {
	was := l.notes
	l.notes = Hellos{}
	for id := range was {
		if was[id].Seq != 0 {
			l.w.Heard(l.now, f, id, &was[id])
			l.after()
		}
	}
}

// transmit lets a frame pass the switch.
func (l *lan) transmit(id int, f []byte) {
	m := l.members[id]
	if m.stuck {
		m.held = append(m.held, f)
		return
	}
	var n frame.Neighbour
	var p frame.Probe
	switch {
	case frame.ParseProbe(f, &p):
		l.probes++
		if m.txDead || !m.Link {
			return
		}
		if p.Src != m.MAC {
			l.t.Errorf("member %d sent a probe from %v", id, p.Src)
		}
		for _, o := range l.members {
			if o != m && !l.lag && !l.shut && !(l.noProbe != nil && l.noProbe(id, o.ID)) &&
				(p.Dst == o.MAC || p.Dst == frame.Broadcast) {
				l.deliver(o, m.delay+o.delay, f)
			}
		}
		for _, h := range l.hosts {
			if h.foreign && !h.dead && !h.not[id] && p.Op == frame.ProbeAsk &&
				(p.Dst == h.mac || p.Dst == frame.Broadcast) {
				a := frame.Probe{Op: frame.ProbeAnswer, Dst: p.Src, Src: h.mac, Team: p.Team, From: p.From, Seq: p.Seq,
					Sent: p.Sent}
				l.deliver(l.back(m), 2*m.delay+h.delay, a.Frame())
			}
		}
		return
	case frame.ParseNeighbour(f, &n):
		l.asks[id]++
		if n.Dst.Multicast() {
			l.bcasts[id]++
		}
		if n.Src != m.MAC || n.Sender != m.MAC {
			l.t.Errorf("member %d asked from %v, %v", id, n.Src, n.Sender)
		}
	default:
		l.t.Fatalf("member %d sent %x", id, f)
	}
	if m.txDead || !m.Link || slices.Contains(m.vlans, n.VLAN) {
		return
	}
	for _, h := range l.hosts {
		if h.dead || h.foreign || h.not[id] || h.VLAN != n.VLAN || h.IP != n.About && !h.everyone ||
			!n.Dst.Multicast() && n.Dst != h.mac && (h.spread == nil || n.Dst&^0xff != h.mac&^0xff) {
			continue
		}
		mac := h.mac
		if h.spread != nil {
			mac = h.spread(n.Src)
		}
		if a := answerTo(&n, mac); a != nil {
			l.deliver(l.back(m), 2*m.delay+h.delay, a)
		}
	}
}

// back is the member by which an answer to m arrives.
func (l *lan) back(m *port) *port {
	if l.lag {
		return l.members[(m.ID+1)%len(l.members)]
	}
	return m
}

// answerTo returns what a host answers.
func answerTo(n *frame.Neighbour, mac frame.MAC) (f []byte) {
	if n.Op == frame.ARPRequest {
		f = frametest.ARP(mac, frametest.Reply, n.Sender, n.To, netip.IPv4Unspecified())
	} else {
		f = frametest.ND(mac, n.Sender, frametest.Advertisement, n.About, n.From, n.About, 0x60, mac)
	}
	if n.VLAN != 0 {
		f = slices.Insert(f, 12, 0x81, 0, byte(n.VLAN>>8), byte(n.VLAN))
	}
	return f
}

func (l *lan) deliver(m *port, after time.Duration, f []byte) {
	if m.rxDead || !m.Link {
		return
	}
	if m.jitter != nil {
		after += m.jitter()
	}
	l.seq++
	l.queue = append(l.queue, arrival{l.now.Add(after), l.seq, m.ID, f})
}

// unstick lets what waits in a member's queue go.
func (l *lan) unstick(id int) {
	m := l.members[id]
	m.stuck = false
	for _, f := range m.held {
		l.transmit(id, f)
	}
	m.held = nil
}

// move counts the frames of a time.
func (l *lan) move(d time.Duration) {
	for _, m := range l.members {
		if !m.Link {
			continue
		}
		m.txN += m.tx * d.Seconds()
		if !m.rxDead && !(m.echo && m.txDead) {
			m.rxN += m.rx * d.Seconds()
		}
	}
}

// run lets time pass.
func (l *lan) run(d time.Duration) {
	end := l.now.Add(d)
	for {
		next := end
		if at := l.w.Deadline(); !at.IsZero() && at.Before(next) {
			next = at
		}
		slices.SortFunc(l.queue, func(a, b arrival) int {
			if c := a.at.Compare(b.at); c != 0 {
				return c
			}
			return a.seq - b.seq
		})
		if len(l.queue) > 0 && l.queue[0].at.Before(next) {
			next = l.queue[0].at
		}
		if l.samples > 0 && l.sample.Before(next) {
			next = l.sample
		}
		if !next.Before(l.stall[0]) && next.Before(l.stall[1]) {
			next = l.stall[1]
		}
		late := l.samples > 0 && next.Sub(l.sample) > l.samples
		if next.After(l.now) {
			l.move(next.Sub(l.now))
			l.now = next
		}
		for len(l.queue) > 0 && !l.queue[0].at.After(l.now) {
			a := l.queue[0]
			l.queue = l.queue[1:]
			if !l.note(a.member, a.f) {
				l.w.Receive(l.now, a.member, a.f)
				l.after()
			}
		}
		if l.samples > 0 && !l.sample.After(l.now) {
			t := &Traffic{Late: late, Retransmits: l.resent}
			for _, m := range l.members {
				tx, rx := uint64(m.txN), uint64(m.rxN)
				m.txN, m.rxN = m.txN-float64(tx), m.rxN-float64(rx)
				m.txSum, m.rxSum = m.txSum+tx, m.rxSum+rx
				t.Members = append(t.Members, Moved{ID: m.ID, TX: m.txSum, RX: m.rxSum,
					Unsent: len(m.held) > 0})
			}
			l.sample = l.now.Add(l.samples)
			l.w.Traffic(l.now, t)
			l.after()
		}
		for ticks := 0; ; ticks++ {
			at := l.w.Deadline()
			if at.IsZero() || at.After(l.now) {
				break
			}
			if l.hear(&l.filter); l.w.Deadline().After(l.now) {
				break
			}
			if ticks == 3 {
				l.t.Fatalf("at %v: Ticks left a deadline %v ago", l.now.Sub(l.begin), l.now.Sub(at))
			}
			l.w.Tick(l.now)
			l.ticks++
			l.after()
		}
		if !l.now.Before(end) {
			return
		}
	}
}

// standStill lets the process stand still, from now on.
func (l *lan) standStill(d time.Duration) { l.stall = [2]time.Time{l.now, l.now.Add(d)} }

func (l *lan) state(id int) State { return l.w.Verdict(id).State }

// want compares the states of all members.
func (l *lan) want(states ...State) {
	l.t.Helper()
	for id, want := range states {
		if v := l.w.Verdict(id); v.State != want {
			l.t.Errorf("at %v: eth%d is %v (%s), want %v", l.now.Sub(l.begin), id, v.State, v.Reason, want)
		}
	}
}

// until runs until a member is in that state, and returns how long that took.
func (l *lan) until(id int, s State, most time.Duration) time.Duration {
	l.t.Helper()
	from := l.now
	for l.now.Sub(from) <= most {
		if l.state(id) == s {
			return l.now.Sub(from)
		}
		l.run(time.Millisecond)
	}
	l.t.Errorf("eth%d is %v (%s) after %v, want %v", id, l.state(id), l.w.Verdict(id).Reason, most, s)
	return most
}

// neverDown fails if a member was down.
func (l *lan) neverDown(ids ...int) {
	l.t.Helper()
	for _, c := range l.changes {
		if c.state == Down && (len(ids) == 0 || slices.Contains(ids, c.member)) {
			l.t.Errorf("at %v: eth%d went down: %s", c.at, c.member, c.reason)
		}
	}
}
