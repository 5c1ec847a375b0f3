// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/internal/settings"
	"nicteam/modes"
	"nicteam/modes/lacp"
	"nicteam/modes/spread"
)

// aggregated are the phases of worlds in which teams are in 802.3ad.
func (l *life) aggregated() []func(*lived) error {
	return []func(*lived) error{
		l.cutPort, l.cutPort, l.cutPorts, l.flap, l.silence, l.longSilence, l.loss, l.leaves, l.reconfigure,
		l.reconfigure,
		l.forgetful, l.probes, l.partnerRestarts, l.partnerRestarts, l.partnerChanges, l.replaced, l.replaced,
		l.otherMode,
	}
}

// cutPort cuts one cable. Traffic continues by other ports of the aggregator, if there are any.
func (l *life) cutPort(t *lived) error {
	i := l.rng.IntN(len(t.wires))
	rest := spread.MemberSet(0)
	for _, id := range t.ids {
		if m := t.members[id]; m.nic != t.nics[i] && t.plan.Distributing.Has(id) {
			rest = rest.With(id)
		}
	}
	t.wires[i].Set(false)
	if err := l.World.Run(150*time.Millisecond + t.config.DownDelay + l.between(0, 300*time.Millisecond)); err != nil {
		return err
	}
	if rest != 0 {
		if t.config.LACP.Select == lacp.Stable && rest&^t.plan.Distributing != 0 {
			l.breach("%s: distributes by %b, by %b of that no more since another cable was cut",
				t.Name, t.plan.Distributing, rest)
		}
		l.progress("a cable that is cut")
	}
	t.wires[i].Set(true)
	return nil
}

// cutPorts cuts cables one after the other.
func (l *life) cutPorts(t *lived) error {
	for _, i := range l.rng.Perm(len(t.wires))[l.rng.IntN(2):] {
		t.wires[i].Set(false)
		if err := l.World.Run(l.between(0, 200*time.Millisecond)); err != nil {
			return err
		}
	}
	if err := l.World.Run(l.between(0, 500*time.Millisecond)); err != nil {
		return err
	}
	for _, i := range l.rng.Perm(len(t.wires)) {
		t.wires[i].Set(true)
		if err := l.World.Run(l.between(0, 2*time.Second)); err != nil {
			return err
		}
	}
	return nil
}

// longSilence is a silence that LACP detects at the fast rate.
func (l *life) longSilence(t *lived) error {
	e := pick(l.World, t.wires...).Ends[l.rng.IntN(2)]
	e.Break(1)
	err := l.World.Run(l.between(time.Second, 9*time.Second))
	e.Mend()
	return err
}

func (l *life) partnerRestarts(*lived) error {
	if len(l.partners) == 0 {
		return nil
	}
	p := pick(l.World, l.partners...)
	away := l.between(time.Millisecond, pick(l.World, 100*time.Millisecond, 5*time.Second))
	p.Restart(away)
	return l.World.Run(away + l.between(0, 3*time.Second))
}

// partnerChanges changes a partner's habits.
func (l *life) partnerChanges(*lived) error {
	if len(l.partners) == 0 {
		return nil
	}
	p := pick(l.World, l.partners...)
	h := l.habits(p.Habits.Passive)
	h.Coupled = p.Habits.Coupled
	p.Set(h)
	return l.World.Run(l.between(0, 3*time.Second))
}

// replaced restarts a team's process.
func (l *life) replaced(t *lived) error {
	remembers := l.chance(2)
	before := t.plan.Distributing.Len()
	life := t.life
	t.Restart(l.between(time.Millisecond, time.Second), remembers)
	if _, err := l.Until("the next process has begun", 2*time.Second, func() bool {
		return t.life == life+2
	}); err != nil {
		return err
	}
	if err := l.World.Run(50 * time.Millisecond); err != nil {
		return err
	}
	if now := t.plan.Distributing.Len(); remembers && now < before && t.config.UpDelay == 0 {
		l.breach("%s: distributed by %d, and by %d after its process was replaced", t.Name, before, now)
	}
	return nil
}

// otherMode leaves 802.3ad for a moment.
func (l *life) otherMode(t *lived) error {
	set := func(k modes.Kind) {
		if err := t.Set(func(c *settings.Config) { c.Mode = k }); err != nil {
			l.breach("%s: %v", t.Name, err)
		}
	}
	set(modes.XOR)
	err := l.World.Run(l.between(0, 500*time.Millisecond))
	set(modes.LACP)
	return err
}
