// SPDX-License-Identifier: MIT

package sim

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"nicteam/internal/api"
	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
	"nicteam/modes/steer"
	"nicteam/monitor"
	"nicteam/team"
)

// Team is a host with a team: the real control loop in a simulated environment.
//
//	NIC.watch ──carrierDelay──→ LinkChanged ┐
//	data path ──controlDelay─────→ FromDatapath┼→ Loop.Handle → execute: Plan, Send, Poke, carrier, announcements
//	timers ──────────────────→ Tick, …     ┘
type Team struct {
	Name  string
	Stack *Stack // of the host, on the adapter
	Drops drops  // frames that were not sent, by reason
	Sees  bool   // its data path sees with each frame whether the member has a link, and reports a loss

	w      *World
	loop   *team.Loop
	config settings.Config
	mac    frame.MAC // the adapter's
	salt   uint64
	local  []*Stack // Stack, and guests behind the adapter

	plan    *spread.Plan
	picker  spread.Picker
	members [spread.MaxMembers]*member
	ids     []int // of members
	carrier bool
	Plans   int // in all, but those that only suspect another member, choose another next one, or ask another host

	deadline     *timer
	controlQueue int                             // queued inputs of the loop
	controlLast  time.Duration                   // when the last one arrives
	reported     map[frame.Station]bool          // since the Plan in force
	recentLocal  map[frame.Station]time.Duration // when a station behind the adapter sent last

	announcements uint64 // begun, in all
	moved         uint64 // frames, in both directions
	seen          uint64 // of moved, by measure
	seenRest      uint64 // of moved, by watchFlooding
	seenHosts     uint64 // of moved, by watchHosts
	quiet         int
	rxBytes       spread.RxBytes
	backlogTimer  *timer
	measureTimer  *timer
	floodTimer    *timer

	left       time.Duration // when a member left last
	overlap    time.Duration // until then two members may accept the same frame
	steered    time.Duration // when peers were notified last
	forcedSeen uint64
	forcedAt   time.Duration
	Steers     int // ARP and ND frames that the loop has sent

	aggregation
	succession
	watching
	standstill
}

// member is a NIC in a team.
type member struct {
	t    *Team
	id   int
	nic  *NIC
	link team.Link

	told, toldUp bool // its carrier was reported
	reading      bool // a report is on its way
	suspected    time.Duration
	txBytes      uint64 // since the last reading
	capacity     spread.Capacity
	bound        int           // limit of its backlog, bytes
	unsent       time.Duration // when the last frame of the loop leaves its NIC
	flooded      uint64
	arrived      uint64 // frames accepted
	lastArrived  time.Duration
	Out, In      uint64 // bytes
	draining     bool
	weight       float64
	answers      answerLimits
	spoken
	seenLost
}

const (
	carrierDelay    = 10 * time.Millisecond // the interval of readings
	readDelay       = time.Millisecond
	controlDelay    = 200 * time.Microsecond // until the control goroutine wakes
	controlQueueMax = 128
)

// Team adds a host with a team without members. mac is the adapter's, 0 for a new one.
func (w *World) Team(name string, c settings.Config, mac frame.MAC) *Team {
	if mac == 0 {
		mac = w.number(0x2)
	}
	c.Team = name
	t := &Team{Name: name, w: w, config: c,
		plan: &spread.Plan{Active: -1, Next: -1}, reported: map[frame.Station]bool{},
		recentLocal: map[frame.Station]time.Duration{},
		steered:     -time.Hour, forcedAt: -time.Hour, left: -time.Hour}
	t.mac, t.salt = mac, w.rng.Uint64()
	t.newLoop(nil)
	t.picker.Seed = w.rng.Uint64()
	t.deadline = newTimer(&w.clock, func() { t.handle(team.Tick{}) })
	t.backlogTimer = newTimer(&w.clock, t.readBacklogs)
	t.measureTimer = newTimer(&w.clock, t.measure)
	t.floodTimer = newTimer(&w.clock, t.watchFlooding)
	t.newWatching()
	t.Stack = t.stack(name, mac)
	t.tellRxMode()
	t.tellHeld()
	w.teams = append(w.teams, t)
	return t
}

func (t *Team) stack(name string, mac frame.MAC) *Stack {
	s := t.w.stack(name, mac)
	s.team, s.out = t, t.transmit
	t.local = append(t.local, s)
	return s
}

// Guest adds a host behind the adapter, as on a bridge.
func (t *Team) Guest(name string) *Stack {
	s := t.stack(name, t.w.number(0x3))
	t.tellRxMode()
	return s
}

// handle passes an input to the loop and executes its output.
func (t *Team) handle(in team.Input) team.Output {
	if t.dead {
		t.hold(in)
		return team.Output{}
	}
	if t.waits(in) {
		return team.Output{}
	}
	in = t.believe(in)
	out := t.loop.Handle(t.w.time(), in)
	t.config = t.loop.Config()
	t.execute(&out)
	t.save(in, &out)
	if d := t.loop.Deadline(); d.IsZero() {
		t.deadline.stop()
	} else {
		t.deadline.set(d.Sub(origin) + t.w.between(0, 50*time.Microsecond))
	}
	t.agrees()
	return out
}

// execute executes an output in the order of team.Team.
func (t *Team) execute(out *team.Output) {
	if out.Plan != nil {
		t.apply(out.Plan)
		defer t.refused(out.Plan)
	}
	for _, s := range out.Send {
		t.control(s)
	}
	if out.ReadLinks {
		for _, id := range t.ids {
			t.members[id].read(readDelay)
		}
	}
	t.carrier = out.Carrier
	if out.Memory != nil {
		t.memory = out.Memory
	}
	if out.Tell != 0 {
		if out.Tell&modes.TellAddresses != 0 {
			t.toldAddresses++
			t.toldAt = t.w.now
		}
		t.announcements++
		t.tell(*out, t.announcements, t.config.AnnounceCount)
	}
	for _, e := range out.Events {
		if e.Event == "member-down" {
			t.blames(&e)
		}
		t.w.Tell("%s: %s %s %s", t.Name, e.Event, e.Member, e.Reason)
	}
}

// apply makes a Plan the current one.
func (t *Team) apply(pl *spread.Plan) {
	if t.plan.Suspect == pl.Suspect && t.plan.Next == pl.Next && slices.Equal(t.plan.Asked, pl.Asked) &&
		slices.Equal(t.plan.Held, pl.Held) {
		t.Plans++ // suspicions come and go, and so do hosts that answer
	}
	t.w.Tell("%s: plan: %s", t.Name, planWords{pl})
	t.planned(pl)
	t.overlaps()
	old := t.plan
	t.plan = pl
	clear(t.reported)
	for _, id := range t.ids {
		n := t.members[id].nic
		if old.Collecting.Has(id) && !pl.Collecting.Has(id) {
			t.members[id].closed = t.w.now
		}
		n.filter, n.watched, n.promisc = pl.Filter[id], pl.Watched[id], pl.Promiscuous
	}
	t.setGroups()
}

// refused reports the NICs that refuse the MACs of a Plan.
func (t *Team) refused(pl *spread.Plan) {
	for _, id := range slices.Clone(t.ids) {
		if n := t.members[id].nic; n.Hidden && n.OwnMAC && !n.Ignore && len(pl.Filter[id]) > 0 {
			n.Hidden = false
			t.handle(team.FromDatapath{Control: team.Control{Kind: team.ControlRefused, Member: id,
				Err: errors.New("operation not supported")}})
		}
	}
}

// planWords describes a Plan in a story.
type planWords struct{ *spread.Plan }

func (p planWords) String() string {
	var s strings.Builder
	s.WriteString(fmt.Sprintf("spread %d, distributing %b, collecting %b, multicast %b", p.Rule, p.Distributing,
		p.Collecting,
		p.Multicast))
	for id, f := range p.Filter {
		if len(f) > 0 {
			s.WriteString(fmt.Sprintf(", %d accepts %v", id, f))
		}
	}
	if p.Suspect != 0 {
		s.WriteString(fmt.Sprintf(", suspect %b", p.Suspect))
	}
	if p.Shortest != nil && len(p.Shortest.Moves) > 0 {
		s.WriteString(fmt.Sprintf(", generation %d moves %v", p.Shortest.Generation, p.Shortest.Moves))
	}
	if m := p.Plan.Migration(); m != nil {
		s.WriteString(fmt.Sprintf(", migration %d mark %d", m.ID, m.Mark))
	}
	return s.String()
}

// control sends a frame of the loop.
func (t *Team) control(s spread.Send) {
	m := t.members[s.Member]
	if m == nil {
		t.w.Tell("%s: a frame by member %d, which does not exist", t.Name, s.Member)
		return
	}
	p := newPacket(append([]byte(nil), s.Frame...))
	switch {
	case isAsk(p):
		if neighbourhood(&p.h) {
			t.Asks++
		}
	case !answersAsk(p):
		t.steers(p)
	}
	if p.h.EtherType != frame.TypeProbe {
		t.w.Tell("%s: by %s: %s", t.Name, m.nic.Name, packetWords{p})
	}
	if isPDU(p) {
		m.paced.note(t.w.now)
	}
	if !t.own(p.h.Src) || t.behind(p.h.Src) {
		t.recentLocal[p.h.Station(p.h.Src, p.b)] = t.w.now
	}
	m.nic.send(p)
	m.unsent = m.nic.busy
}

type packetWords struct{ *Packet }

func (p packetWords) String() string { return describe(p.Packet) }

// tell sends announcements, count times.
func (t *Team) tell(out team.Output, order uint64, count int) {
	if order != t.announcements || count == 0 {
		return
	}
	v6 := t.Stack.IP6
	what := team.Announcement{Groups: []team.GroupReport{{Source: v6, Groups: []netip.Addr{solicitedNode(v6)}}}}
	for _, a := range t.addresses() {
		what.Addresses = append(what.Addresses, team.Address{IP: a.IP})
	}
	t.w.After(t.w.between(0, controlDelay), func() {
		if order != t.announcements {
			return
		}
		for _, s := range out.AnnouncementFrames(what) {
			t.control(s)
		}
		if out.Tell&modes.TellAddresses != 0 {
			t.w.After(t.w.between(0, controlDelay), func() { t.handle(team.Announced{}) })
		}
		if out.Tell&modes.TellAsk != 0 {
			out.Tell &^= modes.TellAsk // once
			t.Stack.AskAgain()
		}
		t.w.After(t.config.AnnounceInterval, func() { t.tell(out, order, count-1) })
	})
}

// Add makes a NIC a member. Weight 0 is 1.
func (t *Team) Add(n *NIC, weight float64) {
	if t.dead {
		t.w.After(time.Millisecond, func() { t.Add(n, weight) })
		return
	}
	l := team.Link{Name: n.Name, Index: n.Index, MAC: n.MAC}
	out := t.handle(team.Reserve{Link: l})
	if out.Err != nil {
		t.w.breach("%s: %v", t.Name, out.Err)
		return
	}
	id := out.ID
	m := &member{t: t, id: id, nic: n, link: l, bound: 256 << 10, weight: weight, spoken: spoken{denied: never}}
	t.members[id] = m
	t.ids = append(t.ids, id)
	n.filter, n.watched, n.promisc, n.groups = t.plan.Filter[id], t.plan.Watched[id], t.plan.Promiscuous, groupFilter{}
	n.up, n.watch = m.receive, func() { m.read(carrierDelay) }
	t.handle(team.Joined{ID: id, Link: l, Weight: weight,
		Info: team.MemberInfo{Driver: "sim", MTU: 1500, OwnMAC: n.OwnMAC && !n.Hidden}})
	m.read(readDelay)
}

// read reads a member's carrier within limit.
func (m *member) read(limit time.Duration) {
	if m.reading && limit >= carrierDelay {
		return
	}
	m.reading = true
	m.t.w.After(m.t.w.between(limit/100, limit), m.report)
}

// report reports the carrier to the loop.
func (m *member) report() {
	m.reading = false
	t := m.t
	up := m.nic.Up()
	m.confirm(up)
	if t.members[m.id] != m || t.dead || m.told && m.toldUp == up {
		return
	}
	t.handle(m.linkChanged(up))
}

// linkChanged notes that the carrier is reported, and returns the report.
func (m *member) linkChanged(up bool) team.LinkChanged {
	m.told, m.toldUp = true, up
	s := monitor.LinkState{Index: m.link.Index, Watch: "carrier", Up: up, At: m.t.w.time(),
		Link: monitor.Link{Exists: true, AdminUp: true, Carrier: up, SpeedBps: m.nic.Speed, Duplex: m.nic.duplex()}}
	if !up {
		s.Reason, s.Link.SpeedBps = monitor.ReasonCarrier, 0
	}
	return team.LinkChanged{LinkState: s}
}

// Set changes the configuration of the running team.
func (t *Team) Set(change func(*settings.Config)) error {
	t.awaitProcess()
	c := t.loop.Config()
	change(&c)
	out := t.handle(team.Change{Config: c})
	var p *api.Problem
	if errors.As(out.Err, &p) {
		return p
	}
	return nil
}

// Remove drains and removes a member, as team.Team does, and then calls then.
func (t *Team) Remove(n *NIC, then func()) {
	t.awaitProcess()
	out := t.handle(team.Drain{Name: n.Name})
	if out.Err != nil {
		t.w.Tell("%s: %v", t.Name, out.Err)
		return
	}
	m := t.members[out.ID]
	m.draining = true
	m.lastArrived = t.w.now
	begin := t.w.now
	life, replaced := t.life, t.replaced
	var look func()
	look = func() {
		if t.life != life {
			return
		}
		if t.dead || t.replaced != replaced { // the request has ended with its process, and the drain with it
			m.draining = false
			return
		}
		quiet := t.w.now-m.lastArrived >= 100*time.Millisecond && m.nic.waiting() == 0
		if !quiet && t.w.now-begin < time.Second {
			t.w.After(5*time.Millisecond, look)
			return
		}
		t.leave(m)
		if then != nil {
			then()
		}
	}
	t.w.After(5*time.Millisecond, look)
}

func (t *Team) leave(m *member) {
	if out := t.handle(team.Leave{Name: m.nic.Name}); out.Err != nil {
		t.handle(team.Undrain{Name: m.nic.Name})
		m.draining = false
		return
	}
	t.left = t.w.now
	m.nic.up, m.nic.watch, m.nic.filter, m.nic.promisc = nil, nil, nil, false
	t.members[m.id] = nil
	for i, id := range t.ids {
		if id == m.id {
			t.ids = append(t.ids[:i:i], t.ids[i+1:]...)
			break
		}
	}
	t.handle(team.Released{ID: m.id})
}

// Status returns the loop's status.
func (t *Team) Status() *api.Status { return t.loop.Status() }

// Usable returns the number of members that can carry frames.
func (t *Team) Usable() (n int) {
	for _, id := range t.ids {
		if m := t.members[id]; m.nic.Up() && !m.draining {
			n++
		}
	}
	return n
}

// peers returns the peers that the mode steers.
func (t *Team) peers() []steer.Peer { return t.handle(team.ListPeers{}).Peers }
