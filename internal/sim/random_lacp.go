// SPDX-License-Identifier: MIT

package sim

import (
	"fmt"
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// RunAggregated is Run for a world of teams in 802.3ad.
func RunAggregated(seed uint64) error {
	l := buildAggregated(seed)
	if err := l.agree(); err != nil {
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

func buildAggregated(seed uint64) *life {
	w := New(seed)
	l := &life{World: w, lacp: true}
	if w.chance(5) {
		l.backToBack()
		return l
	}
	l.switches = []*Switch{w.Switch("sw1")}
	if w.chance(3) {
		l.switches = append(l.switches, w.Switch("sw2"))
		a, b := l.switches[0].Port(), l.switches[1].Port()
		w.Cable(a.End, b.End, Line{Rate: 40e9, Queue: 4 << 20})
	}
	for _, s := range l.switches {
		s.Flush = !w.chance(4)
	}
	n := 1
	if w.chance(3) {
		n = 2
	}
	for i := range n {
		l.bond(i)
	}
	for i := range 1 + w.rng.IntN(4) {
		nic := w.NIC(fmt.Sprintf("peer%d", i))
		pick(w, l.switches...).Plug(nic.End, Line{Rate: 10e9, Queue: 4 << 20})
		l.peers, l.peerNICs = append(l.peers, w.PeerOn(nic)), append(l.peerNICs, nic)
	}
	return l
}

// aggregating draws a team's configuration.
func (l *life) aggregating() settings.Config {
	c := settings.DefaultConfig()
	c.Mode = modes.LACP
	l.settings(&c)
	return c
}

// habits draws how a partner behaves.
func (l *life) habits(passive bool) Habits {
	w := l.World
	return Habits{Coupled: w.chance(3), Passive: passive, Fast: !w.chance(3), Key: pick(w, uint16(0), 0, 7)}
}

// bond adds a team with its partners.
func (l *life) bond(i int) {
	w := l.World
	c := l.aggregating()
	var partners []*Partner
	for _, s := range l.switches {
		passive := c.LACP.Active && w.chance(4)
		partners = append(partners, s.Partner(l.habits(passive)))
		w.Tell("%s is %v", partners[len(partners)-1].Name, partners[len(partners)-1].Habits)
	}
	t := &lived{}
	rates := []uint64{100e6, 1e9, 10e9}
	rate := pick(w, rates...)
	mixed := w.chance(5)
	for k := range 1 + w.rng.IntN(pick(w, 3, 8)) {
		if mixed {
			rate = pick(w, rates...)
		}
		n := w.NIC(fmt.Sprintf("t%deth%d", i, k))
		n.Speed = pick(w, rate, rate, rate, rate, rate, 0)
		n.Half = w.chance(20) && k > 0
		n.Refuse = w.chance(2)
		p := pick(w, partners...)
		wire, port := p.sw.Plug(n.End, Line{Rate: rate, Delay: w.between(time.Microsecond, 50*time.Microsecond)})
		p.Join(port)
		w.Tell("%s is at %v on %s, %d Mbit/s, tells %d, half duplex %v", n.Name, n.MAC, p.Name, rate/1e6, n.Speed/1e6,
			n.Half)
		t.nics, t.wires = append(t.nics, n), append(t.wires, wire)
	}
	l.team8023ad(i, t, c)
	if w.chance(8) {
		l.loopBack(i, t)
	}
}

// team8023ad makes a team of NICs.
func (l *life) team8023ad(i int, t *lived, c settings.Config) {
	w := l.World
	mac := t.nics[0].MAC
	if w.chance(3) {
		mac = 0
	}
	t.Team = w.Team(fmt.Sprintf("team%d", i), c, mac)
	t.Sees = (w.Seed+uint64(i))%2 == 0
	w.Tell("%s: %d NICs, LACP %+v, balance %v", t.Name, len(t.nics), c.LACP, c.Balance)
	for _, n := range t.nics {
		t.Add(n, pick(w, 0, 0, 0, 1, 2.5))
	}
	if w.chance(4) {
		t.Guest(fmt.Sprintf("t%dguest", i))
	}
	l.teams = append(l.teams, t)
}

// loopBack connects two further NICs of a team to each other; they stay members.
func (l *life) loopBack(i int, t *lived) {
	a, b := l.NIC(fmt.Sprintf("t%dloop0", i)), l.NIC(fmt.Sprintf("t%dloop1", i))
	l.Cable(a.End, b.End, Line{})
	t.Add(a, 0)
	t.Add(b, 0)
}

// backToBack makes a world of two teams that are wired to each other.
func (l *life) backToBack() {
	w := l.World
	var ts [2]*lived
	var configs [2]settings.Config
	for i := range ts {
		ts[i], configs[i] = &lived{}, l.aggregating()
	}
	configs[1].LACP.Active = configs[1].LACP.Active || !configs[0].LACP.Active
	configs[0].Balance, configs[1].Balance = true, true
	rate := pick(w, uint64(100e6), 1e9, 10e9)
	for k := range 2 + w.rng.IntN(7) {
		var nics [2]*NIC
		for i, t := range ts {
			nics[i] = w.NIC(fmt.Sprintf("t%deth%d", i, k))
			nics[i].Speed = rate
			t.nics = append(t.nics, nics[i])
		}
		wire := w.Cable(nics[0].End, nics[1].End, Line{Rate: rate})
		ts[0].wires, ts[1].wires = append(ts[0].wires, wire), append(ts[1].wires, wire)
	}
	for i, t := range ts {
		l.team8023ad(i, t, configs[i])
	}
}

// aggregate draws the settings of 802.3ad.
func (l *life) aggregate(c *settings.Config) {
	w := l.World
	c.LACP.Fast, c.LACP.Fallback = !w.chance(3), w.chance(2)
	c.LACP.Active = !w.chance(5)
	for _, p := range l.partners {
		c.LACP.Active = c.LACP.Active || p.Habits.Passive
	}
	for _, t := range l.teams {
		c.LACP.Active = c.LACP.Active || len(l.switches) == 0 && !t.config.LACP.Active
	}
	c.LACP.Select = pick(w, lacp.Selects()...)
	c.LACP.Key = pick(w, uint16(0), 0, 5)
	c.LACP.SystemPriority = pick(w, uint16(65535), 1)
	if len(l.switches) == 0 {
		c.Balance = true
	}
}

// agreeMost bounds the time until teams and partners agree without disturbance: three long timeouts in a row.
const agreeMost = 280 * time.Second

// agree waits until teams and partners use the same ports, and all ports that could be used.
func (l *life) agree() error {
	for _, f := range l.udp {
		f.pause(true)
	}
	whole := func() bool {
		for _, t := range l.teams {
			if !l.agreed(t) {
				return false
			}
		}
		return true
	}
	_, err := l.Until("all teams have agreed with their partners", agreeMost, whole)
	if err == nil {
		// The agreement stays.
		_, err = l.Until("some time has passed", time.Hour, func() func() bool {
			end := l.now + 2500*time.Millisecond
			return func() bool { return l.now >= end || !whole() }
		}())
		if err == nil && !whole() {
			return l.agree()
		}
	}
	for _, f := range l.udp {
		f.pause(false)
	}
	return err
}

// agreed reports whether a team and its partner use all ports that one of its aggregators can have.
func (l *life) agreed(t *lived) bool {
	var uses spread.MemberSet
	type aggregator struct {
		partner *Partner
		told    uint64
		rate    uint64
	}
	could := map[aggregator]spread.MemberSet{}
	for _, id := range t.ids {
		m := t.members[id]
		port := l.port(m.nic.far)
		if m.draining || m.nic.Half || !m.nic.Up() || port == nil && l.member(m.nic.far) == nil {
			continue
		}
		a := aggregator{told: m.nic.Speed}
		if port != nil {
			if a.partner = port.partner; !a.partner.Habits.Coupled {
				a.rate = port.Rate
			}
			if t.plan.Distributing.Has(id) != port.distributes {
				return false
			}
		} else if o := l.member(m.nic.far); o.t == t.Team {
			continue
		} else if t.plan.Distributing.Has(id) != o.t.plan.Distributing.Has(o.id) {
			return false
		}
		could[a] = could[a].With(id)
		if t.plan.Distributing.Has(id) {
			uses = uses.With(id)
		}
	}
	if len(could) == 0 {
		return true
	}
	if !t.config.Balance {
		return uses.Len() == 1 && t.plan.Distributing == uses
	}
	for _, set := range could {
		if t.plan.Distributing == set && uses == set {
			return true
		}
	}
	return false
}

// member returns the member of an end, nil for none.
func (w *World) member(e *End) *member {
	for _, t := range w.teams {
		for _, id := range t.ids {
			if m := t.members[id]; m.nic.End == e {
				return m
			}
		}
	}
	return nil
}
