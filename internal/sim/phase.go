// SPDX-License-Identifier: MIT

package sim

import (
	"net/netip"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/settings"
	"nicteam/modes"
)

// phase breaks or changes something, undoes it, and waits until the network has settled.
func (l *life) phase() error {
	t := pick(l.World, l.teams...)
	phases := []func(*lived) error{
		l.cutOne, l.cutOne, l.cutAll, l.flap, l.silence, l.loss, l.leaves, l.reconfigure, l.reconfigure, l.forgetful,
		l.moves, l.forges, l.probes, l.fallsSilent, l.fallsSilent, l.standsStill, l.targetDies,
	}
	if l.lacp {
		phases = l.aggregated()
	}
	if err := pick(l.World, phases...)(t); err != nil {
		return err
	}
	return l.settle()
}

// cutOne cuts one cable; traffic continues by another one, if there is one.
func (l *life) cutOne(t *lived) error {
	w := pick(l.World, t.wires...)
	w.Set(false)
	if err := l.World.Run(150*time.Millisecond + t.config.DownDelay + l.between(0, 300*time.Millisecond)); err != nil {
		return err
	}
	if t.Usable() > 0 {
		l.progress("a cable that is cut")
	}
	w.Set(true)
	return nil
}

// cutAll cuts the cables one after the other, until none or one is left.
func (l *life) cutAll(t *lived) error {
	left := l.rng.IntN(2)
	for _, i := range l.rng.Perm(len(t.wires))[left:] {
		t.wires[i].Set(false)
		if err := l.World.Run(l.between(0, 200*time.Millisecond)); err != nil {
			return err
		}
	}
	if err := l.World.Run(150*time.Millisecond + t.config.DownDelay); err != nil {
		return err
	}
	if t.Usable() > 0 {
		l.progress("cables that are cut")
	}
	for _, i := range l.rng.Perm(len(t.wires)) {
		t.wires[i].Set(true)
		if err := l.World.Run(l.between(0, 100*time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

func (l *life) flap(t *lived) error {
	return l.World.Run(pick(l.World, t.wires...).Flap(1+l.rng.IntN(6), time.Millisecond, 60*time.Millisecond))
}

// silence makes one end of a cable lose all its frames while the carrier stays, which no carrier watch detects.
func (l *life) silence(t *lived) error {
	e := pick(l.World, t.wires...).Ends[l.rng.IntN(2)]
	e.Break(1)
	err := l.World.Run(l.between(50*time.Millisecond, 500*time.Millisecond))
	e.Mend()
	return err
}

func (l *life) loss(t *lived) error {
	e := pick(l.World, t.wires...).Ends[l.rng.IntN(2)]
	e.Break(0.01 + 0.3*l.rng.Float64())
	err := l.World.Run(l.between(50*time.Millisecond, 300*time.Millisecond))
	e.Mend()
	return err
}

// leaves removes a member under traffic and adds it again.
func (l *life) leaves(t *lived) error {
	n := pick(l.World, t.nics...)
	t.Remove(n, func() {
		l.After(l.between(0, 300*time.Millisecond), func() { t.Add(n, 0) })
	})
	return l.World.Run(1500 * time.Millisecond)
}

// reconfigure changes settings of the running team, the mode among them.
func (l *life) reconfigure(t *lived) error {
	err := t.Set(func(c *settings.Config) {
		if l.chance(2) {
			c.Mode = pick(l.World, l.kinds()...)
		}
		l.settings(c)
		c.Primary, c.Active = "", ""
		if single := c.Mode == modes.ActiveBackup || !c.Balance; single && l.chance(2) {
			c.Primary = pick(l.World, t.nics...).Name
		}
	})
	if err != nil {
		l.breach("%s: settings refused: %v", t.Name, err)
	}
	return nil
}

// forgetful clears the tables of switches and peers.
func (l *life) forgetful(*lived) error {
	for _, s := range l.switches {
		s.Forget()
	}
	if l.chance(2) {
		pick(l.World, l.stacks...).ForgetNeighbours()
	}
	return nil
}

func (l *life) moves(*lived) error {
	pick(l.World, l.peerNICs...).Move(pick(l.World, l.switches...))
	return nil
}

// forges makes a peer claim unused addresses.
func (l *life) forges(t *lived) error {
	n := pick(l.World, l.peerNICs...)
	l.Tell("%s forges", n.Name)
	for i := range 50 {
		ip := netip.AddrFrom4([4]byte{10, 9, 1, byte(i)})
		if i%2 == 1 {
			ip = netip.AddrFrom16([16]byte{0xfd, 9, 15: byte(i), 13: 1})
		}
		l.Forge(n, ip, frame.MAC(0x02_00_00_ff_00_00|l.rng.Uint64N(1000)), t.Stack)
		if err := l.World.Run(l.between(0, time.Millisecond)); err != nil {
			return err
		}
	}
	return nil
}

// probes makes every host on a team run duplicate address detection.
func (l *life) probes(t *lived) error {
	for _, s := range t.local {
		s.ProbeAddress()
	}
	return l.World.Run(1100 * time.Millisecond)
}
