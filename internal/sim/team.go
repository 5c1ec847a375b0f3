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

// Team is a host with a team: the real control loop, and in virtual time what is around it.
//
//	NIC.watch ──carrierLate──→ LinkChanged ┐
//	data path ──newsLate─────→ FromDatapath┼→ Loop.Handle → execute: Plan, Send, Poke, carrier, announcements
//	timers ──────────────────→ Tick, …     ┘
type Team struct {
	Name  string
	Stack *Stack // of the host, on the adapter
	Drops drops  // frames to be sent that nobody took, by reason

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
	Plans   int // how many there were

	deadline *timer
	news     int                             // on the way to the loop
	newsLast time.Duration                   // when the last of them arrives
	met      map[frame.Station]bool          // told of since the Plan in force came
	guests   map[frame.Station]time.Duration // when they last sent

	tells     uint64 // announcements that were begun
	moved     uint64 // frames, in both directions
	seen      uint64 // of moved, by measure
	seenRest  uint64 // of moved, by watchFlooding
	quiet     int
	heard     spread.RxBytes
	pacing    *timer
	measuring *timer
	flooding  *timer

	left       time.Duration // when a member last left
	overlap    time.Duration // until then two members may take in the same
	steered    time.Duration // peers were last told another way
	forcedSeen uint64
	forcedAt   time.Duration
	Steers     int // ARP and ND frames that the loop has sent

	aggregation
}

// member is a NIC in a team.
type member struct {
	t    *Team
	id   int
	nic  *NIC
	link team.Link

	told, toldUp bool // the loop has been told of its carrier
	reading      bool // it is going to be
	suspected    time.Duration
	given        uint64 // bytes since it was last measured
	pace         spread.Capacity
	bound        int // bytes that may wait
	flooded      uint64
	arrived      uint64 // frames taken in
	lastArrived  time.Duration
	Out, In      uint64 // bytes
	draining     bool
	weight       float64
	spoken
}

const (
	carrierLate = 10 * time.Millisecond // the carrier is read so often
	pokeLate    = time.Millisecond
	newsLate    = 200 * time.Microsecond // the control goroutine wakes
	newsMost    = 128
)

// Team adds a host with a team without members. mac is the adapter's, 0 for one of its own.
func (w *World) Team(name string, c settings.Config, mac frame.MAC) *Team {
	if mac == 0 {
		mac = w.number(0x2)
	}
	c.Team = name
	t := &Team{Name: name, w: w, config: c, plan: &spread.Plan{Active: -1, Next: -1}, met: map[frame.Station]bool{},
		guests: map[frame.Station]time.Duration{}, steered: -time.Hour, forcedAt: -time.Hour, left: -time.Hour}
	t.mac, t.salt = mac, w.rng.Uint64()
	t.newLoop(nil)
	t.picker.Seed = w.rng.Uint64()
	t.deadline = newTimer(&w.clock, func() { t.handle(team.Tick{}) })
	t.pacing = newTimer(&w.clock, t.pace)
	t.measuring = newTimer(&w.clock, t.measure)
	t.flooding = newTimer(&w.clock, t.watchFlooding)
	t.Stack = t.stack(name, mac)
	t.tellRxMode()
	w.teams = append(w.teams, t)
	return t
}

func (t *Team) stack(name string, mac frame.MAC) *Stack {
	s := t.w.stack(name, mac)
	s.team, s.out = t, t.transmit
	t.local = append(t.local, s)
	return s
}

// Guest adds a host behind the adapter, as a bridge on it has.
func (t *Team) Guest(name string) *Stack {
	s := t.stack(name, t.w.number(0x3))
	t.tellRxMode()
	return s
}

// handle gives the loop an input and does what it wants.
func (t *Team) handle(in team.Input) team.Output {
	out := t.loop.Handle(t.w.time(), in)
	t.config = t.loop.Config()
	t.execute(&out)
	if d := t.loop.Deadline(); d.IsZero() {
		t.deadline.stop()
	} else {
		t.deadline.set(d.Sub(origin) + t.w.between(0, 50*time.Microsecond))
	}
	t.agrees()
	return out
}

// execute does what the loop wants, in the order of team.Team.
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
			t.members[id].read(pokeLate)
		}
	}
	t.carrier = out.Carrier
	if out.Memory != nil {
		t.memory = out.Memory
	}
	if out.Tell != 0 {
		t.tells++
		t.tell(*out, t.tells, t.config.AnnounceCount)
	}
	for _, e := range out.Events {
		t.w.Tell("%s: %s %s %s", t.Name, e.Event, e.Member, e.Reason)
	}
}

// apply puts a Plan in force.
func (t *Team) apply(pl *spread.Plan) {
	t.Plans++
	t.w.Tell("%s: plan: %s", t.Name, planWords{pl})
	t.planned(pl)
	t.overlaps()
	old := t.plan
	t.plan = pl
	clear(t.met)
	for _, id := range t.ids {
		n := t.members[id].nic
		if old.Collecting.Has(id) && !pl.Collecting.Has(id) {
			t.members[id].closed = t.w.now
		}
		n.filter, n.watched, n.promisc = pl.Filter[id], pl.Watched[id], pl.Promiscuous
	}
	t.setGroups()
}

// refused tells the loop which NICs did not take the addresses that a Plan gives them.
func (t *Team) refused(pl *spread.Plan) {
	for _, id := range slices.Clone(t.ids) {
		if n := t.members[id].nic; n.Hidden && n.OwnMAC && len(pl.Filter[id]) > 0 {
			n.Hidden = false
			t.handle(team.FromDatapath{Control: team.Control{Kind: team.ControlRefused, Member: id,
				Err: errors.New("operation not supported")}})
		}
	}
}

// planWords says what matters of a Plan, when it is told.
type planWords struct{ *spread.Plan }

func (p planWords) String() string {
	var s strings.Builder
	s.WriteString(fmt.Sprintf("spread %d, distributing %b, collecting %b, multicast %b", p.Rule, p.Distributing, p.Collecting,
		p.Multicast))
	for id, f := range p.Filter {
		if len(f) > 0 {
			s.WriteString(fmt.Sprintf(", %d takes in %v", id, f))
		}
	}
	if p.Shortest != nil && len(p.Shortest.Moves) > 0 {
		s.WriteString(fmt.Sprintf(", generation %d moves %v", p.Shortest.Generation, p.Shortest.Moves))
	}
	if m := p.Plan.Migration(); m != nil {
		s.WriteString(fmt.Sprintf(", migration %d mark %d", m.ID, m.Mark))
	}
	return s.String()
}

// control sends a frame of the loop's.
func (t *Team) control(s spread.Send) {
	m := t.members[s.Member]
	if m == nil {
		t.w.Tell("%s: member %d, which is not there, was to send a frame", t.Name, s.Member)
		return
	}
	p := newPacket(append([]byte(nil), s.Frame...))
	t.w.Tell("%s: by %s: %s", t.Name, m.nic.Name, packetWords{p})
	t.steers(&p.h)
	if isPDU(p) {
		m.paced.note(t.w.now)
	}
	if !t.own(p.h.Src) || t.behind(p.h.Src) {
		t.guests[p.h.Station(p.h.Src, p.b)] = t.w.now
	}
	m.nic.send(p)
}

type packetWords struct{ *Packet }

func (p packetWords) String() string { return describe(p.Packet) }

// tell announces, count times.
func (t *Team) tell(out team.Output, order uint64, count int) {
	if order != t.tells || count == 0 {
		return
	}
	v6 := t.Stack.IP6
	what := team.Announcement{
		Addresses: []team.Address{{IP: t.Stack.IP4}, {IP: v6}},
		Groups:    []team.GroupReport{{Source: v6, Groups: []netip.Addr{solicitedNode(v6)}}},
	}
	t.w.After(t.w.between(0, newsLate), func() {
		if order != t.tells {
			return
		}
		for _, s := range out.AnnouncementFrames(what) {
			t.control(s)
		}
		if out.Tell&modes.TellAddresses != 0 {
			t.w.After(t.w.between(0, newsLate), func() { t.handle(team.Announced{}) })
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
	n.up, n.watch = m.receive, func() { m.read(carrierLate) }
	t.handle(team.Joined{ID: id, Link: l, Weight: weight,
		Info: team.MemberInfo{Driver: "sim", MTU: 1500, OwnMAC: n.OwnMAC && !n.Hidden}})
	m.read(pokeLate)
}

// read has the watch see a member's carrier, late by limit at most.
func (m *member) read(limit time.Duration) {
	if m.reading && limit >= carrierLate {
		return
	}
	m.reading = true
	m.t.w.After(m.t.w.between(limit/100, limit), m.report)
}

// report tells the loop the carrier as it is.
func (m *member) report() {
	m.reading = false
	t := m.t
	up := m.nic.Up()
	if t.members[m.id] != m || m.told && m.toldUp == up {
		return
	}
	m.told, m.toldUp = true, up
	s := monitor.LinkState{Index: m.link.Index, Watch: "carrier", Up: up, At: t.w.time(),
		Link: monitor.Link{Exists: true, AdminUp: true, Carrier: up, SpeedBps: m.nic.Speed, Duplex: m.nic.duplex()}}
	if !up {
		s.Reason, s.Link.SpeedBps = monitor.ReasonCarrier, 0
	}
	t.handle(team.LinkChanged{LinkState: s})
}

// Set changes the configuration of the running team.
func (t *Team) Set(change func(*settings.Config)) error {
	c := t.loop.Config()
	change(&c)
	out := t.handle(team.Change{Config: c})
	var p *api.Problem
	if errors.As(out.Err, &p) {
		return p
	}
	return nil
}

// Remove drains a member and takes it out, as team.Team does. then runs when it has left.
func (t *Team) Remove(n *NIC, then func()) {
	out := t.handle(team.Drain{Name: n.Name})
	if out.Err != nil {
		t.w.Tell("%s: %v", t.Name, out.Err)
		return
	}
	m := t.members[out.ID]
	m.draining = true
	m.lastArrived = t.w.now
	begin := t.w.now
	life := t.life
	var look func()
	look = func() {
		if t.life != life {
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

// Status is the loop's.
func (t *Team) Status() *api.Status { return t.loop.Status() }

// Usable is how many members could carry frames just now.
func (t *Team) Usable() (n int) {
	for _, id := range t.ids {
		if m := t.members[id]; m.nic.Up() && !m.draining {
			n++
		}
	}
	return n
}

// peers are those that the mode steers.
func (t *Team) peers() []steer.Peer { return t.handle(team.ListPeers{}).Peers }
