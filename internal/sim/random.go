// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/spread"
)

// life is a random world: everything in it is drawn from its seed.
type life struct {
	*World
	lag      bool // the switch knows each team as one static group
	floods   bool
	wifi     bool // some NICs accept frames for their own MAC only, which only elb can use
	switches []*Switch
	teams    []*lived
	peers    []*Stack
	peerNICs []*NIC
	udp, tcp []*Flow
	loaded   bool // by flows that use all bandwidth
	lacp     bool // all teams are in 802.3ad
	killed   bool // processes die at any moment
}

// lived is a team of a life, with all its NICs, whether or not they are members.
type lived struct {
	*Team
	nics  []*NIC
	wires []*Wire

	gateways []*Stack
}

// Run runs a random world for some seconds and returns the invariant that it violated, nil for none.
//
// Each phase breaks or changes something. If a path is left, traffic must resume soon. The phase then undoes it; when
// the network has settled, no frame may be lost, duplicated or reordered.
func Run(seed uint64) error {
	l := build(seed)
	if err := l.World.Run(400 * time.Millisecond); err != nil {
		return err
	}
	l.traffic()
	if err := l.settle(); err != nil {
		return err
	}
	for range 2 + l.rng.IntN(4) {
		if err := l.phase(); err != nil {
			return err
		}
	}
	return l.end()
}

// pick draws an element.
func pick[T any](w *World, from ...T) T { return from[w.rng.IntN(len(from))] }

// chance returns true once in n draws.
func (w *World) chance(n int) bool { return w.rng.IntN(n) == 0 }

func build(seed uint64) *life {
	w := New(seed)
	l := &life{World: w, lag: w.chance(3), loaded: w.chance(6)}
	if l.loaded {
		// elb keeps order on full NICs only if it knows their queues, and not if a NIC reports a wrong speed.
		w.jam, w.order = 500*time.Millisecond, w.chance(2)
	}
	l.wifi = !l.lag && w.chance(5)
	l.switches = []*Switch{w.Switch("sw1")}
	if !l.lag && w.chance(4) {
		l.switches = append(l.switches, w.Switch("sw2"))
		a, b := l.switches[0].Port(), l.switches[1].Port()
		w.Cable(a.End, b.End, Line{Rate: 40e9, Queue: 4 << 20})
	}
	l.floods = w.chance(3)
	for _, s := range l.switches {
		s.Floods, s.Flush = l.floods, !w.chance(4)
		w.Tell("%s floods %v, flushes %v, group %v", s.Name, s.Floods, s.Flush, l.lag)
	}
	n := 1
	if w.chance(3) {
		n = 2
	}
	for i := range n {
		l.team(i)
	}
	for i := range 1 + w.rng.IntN(6) {
		nic := w.NIC(fmt.Sprintf("peer%d", i))
		_, port := pick(w, l.switches...).Plug(nic.End, Line{Rate: 10e9, Queue: 4 << 20})
		w.Tell("%s is at %v on %s", nic.Name, nic.MAC, port.sw.Name)
		l.peers, l.peerNICs = append(l.peers, w.PeerOn(nic)), append(l.peerNICs, nic)
	}
	for _, t := range l.teams {
		l.gateways(t)
	}
	return l
}

// kinds returns the modes that suit the switches.
func (l *life) kinds() []modes.Kind {
	if l.lacp {
		return []modes.Kind{modes.LACP}
	}
	if l.lag {
		return []modes.Kind{modes.XOR, modes.RoundRobin, modes.Broadcast}
	}
	if l.wifi {
		return []modes.Kind{modes.ELB}
	}
	return []modes.Kind{modes.ELB, modes.ActiveBackup}
}

func (l *life) team(i int) {
	w := l.World
	c := settings.DefaultConfig()
	c.Mode = pick(w, l.kinds()...)
	l.settings(&c)
	t := &lived{}
	rates := []uint64{100e6, 200e6, 1e9, 10e9}
	if l.loaded {
		rates = []uint64{5e6, 20e6} // low, because each frame that fills them costs an event
	}
	rate := pick(w, rates...)
	mixed := w.chance(3)
	for k := range 1 + w.rng.IntN(pick(w, 3, 8)) {
		n := w.NIC(fmt.Sprintf("t%deth%d", i, k))
		if mixed {
			rate = pick(w, rates...)
		}
		n.Speed = pick(w, rate, rate, 0, 10e6, 10e9)
		if l.loaded && w.order {
			n.Speed = rate
		}
		n.Refuse = w.chance(2)
		n.OwnMAC = l.wifi && w.chance(2)
		n.Hidden = n.OwnMAC && w.chance(2)
		sw := pick(w, l.switches...)
		w.Tell("%s is at %v on %s, %d Mbit/s, tells %d, own MAC only %v", n.Name, n.MAC, sw.Name, rate/1e6, n.Speed/1e6,
			n.OwnMAC)
		wire, port := sw.Plug(n.End, Line{Rate: rate, Delay: w.between(time.Microsecond, 50*time.Microsecond)})
		if l.lag {
			port.Group = i + 1
		}
		t.nics, t.wires = append(t.nics, n), append(t.wires, wire)
	}
	mac := t.nics[0].MAC
	if w.chance(3) {
		mac = 0
	}
	t.Team = w.Team(fmt.Sprintf("team%d", i), c, mac)
	t.Sees = (w.Seed+uint64(i))%2 == 0
	w.Tell("%s: %v, %d NICs, sees losses %v", t.Name, c.Mode, len(t.nics), t.Sees)
	for _, n := range t.nics {
		t.Add(n, pick(w, 0, 0, 0, 1, 2.5))
	}
	if !l.wifi && w.chance(4) {
		for g := range 1 + w.rng.IntN(3) {
			t.Guest(fmt.Sprintf("t%dguest%d", i, g))
		}
	}
	l.teams = append(l.teams, t)
}

// settings draws live settings.
func (l *life) settings(c *settings.Config) {
	w := l.World
	c.Hash = pick(w, spread.HashPolicies()...)
	c.UpDelay = pick(w, 0, 0, 50*time.Millisecond, 300*time.Millisecond)
	c.DownDelay = pick(w, 0, 0, 0, 20*time.Millisecond)
	c.PacketsPerMember = pick(w, 1, 1, 0, 4)
	c.PrimaryReselect = pick(w, modes.ReselectAlways, modes.ReselectBetter, modes.ReselectFailure)
	c.AnnounceCount = pick(w, 1, 1, 3)
	c.Rebalance = pick(w, time.Second, time.Second, 200*time.Millisecond, 0)
	c.ReceiveBalance = c.Mode == modes.ELB && !w.chance(4)
	if !l.lag && !l.wifi {
		c.Balance = !w.chance(6)
	}
	c.Damping = !w.chance(3)
	c.ProbeInterval = pick(w, time.Second, time.Second, 200*time.Millisecond)
	if l.lacp {
		l.aggregate(c)
	}
}

// traffic starts flows between all teams and peers, and among teams and guests.
func (l *life) traffic() {
	w := l.World
	port := uint16(1000)
	for _, t := range l.teams {
		far := append([]*Stack{}, l.peers...)
		for _, o := range l.teams {
			if o != t {
				far = append(far, o.local...)
			}
		}
		for _, s := range t.local {
			for range 1 + w.rng.IntN(3) {
				port += uint16(1 + w.rng.IntN(3))
				a, b := s, pick(w, far...)
				if w.chance(2) {
					a, b = b, a
				}
				k := FlowKey{V6: w.chance(3), Sport: port, Dport: pick(w, uint16(80), 443, port)}
				l.udp = append(l.udp, w.UDP(a, b, k, 60+w.rng.IntN(540),
					w.between(2*time.Millisecond, 20*time.Millisecond)))
				k.V6 = !k.V6
				l.udp = append(l.udp, w.UDP(b, a, k, 60+w.rng.IntN(540),
					w.between(2*time.Millisecond, 20*time.Millisecond)))
				switch {
				case l.loaded && w.chance(2):
					l.tcp = append(l.tcp, w.TCP(a, b, k, 0))
				case w.chance(3):
					l.tcp = append(l.tcp, w.TCP(a, b, k, 20+w.rng.IntN(200)))
				}
			}
		}
	}
}

// settleTime bounds the time to settle after all faults are undone: a drain, an up-delay, repeated notifications of
// peers, migrations of flow slots.
const settleTime = 2500 * time.Millisecond

// settle waits until the network must have settled, and checks that.
func (l *life) settle() error {
	if l.lacp {
		if err := l.agree(); err != nil {
			return err
		}
	}
	if err := l.World.Run(settleTime); err != nil {
		return err
	}
	flows := l.udp
	if l.loaded {
		flows = nil // some are dropped where queues are full
	}
	if err := l.Calmly(l.between(50*time.Millisecond, 300*time.Millisecond), 100*time.Millisecond,
		flows...); err != nil {
		return err
	}
	return l.judged()
}

// progress checks that traffic of a team has resumed.
func (l *life) progress(what string) {
	if l.killed {
		return // it takes until the next process
	}
	for _, f := range l.udp {
		for _, s := range []*Stack{f.from, f.to} {
			if t := s.team; t != nil && (!t.carrier || t.config.MinMembers > t.Usable()) {
				return
			}
		}
		if quiet := l.now - f.Last; quiet > 2*f.interval+60*time.Millisecond && !l.loaded {
			l.breach("%s: nothing has arrived for %v though %s leaves a way", f.Name, quiet, what)
		}
	}
}

// end stops all flows and checks that they were delivered.
func (l *life) end() error {
	for _, f := range l.udp {
		f.Stop()
	}
	if err := l.World.Run(4*time.Second + 8*l.jam); err != nil {
		return err
	}
	if l.loaded && l.floods {
		return nil // other flows may fill a slow NIC
	}
	for _, f := range l.tcp {
		if f.tcp.limit > 0 && !f.Done() && !l.loaded {
			l.breach("%s has brought %d of %d segments", f.Name, f.tcp.upTo, f.tcp.limit)
		}
		if f.tcp.limit == 0 && l.now-f.Last > 4*time.Second+8*l.jam {
			l.breach("%s has stood still for %v", f.Name, l.now-f.Last)
		}
	}
	if l.fail != nil {
		return l.fail
	}
	return nil
}
