// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/modes"
	"nicteam/monitor"
)

// gateways draws the adapter's default gateways: none, one, or two of the peers.
func (l *life) gateways(t *lived) {
	w := l.World
	t.gateways = nil
	t.NoHosts = w.chance(4)
	for range pick(w, 0, 1, 1, 2) {
		t.gateways = append(t.gateways, pick(w, l.peers...))
	}
	t.Gateway(w.chance(3), t.gateways...)
	w.Tell("%s: %d gateways, hosts are told %v", t.Name, len(t.Gateways), !t.NoHosts)
}

// fallsSilent makes one end of a cable lose all its frames while the carrier stays, for so long that the member must be
// out of use, and traffic goes on by the others.
func (l *life) fallsSilent(t *lived) error {
	i := l.rng.IntN(len(t.wires))
	e := t.wires[i].Ends[l.rng.IntN(2)]
	// The switch of a static group may return all that is asked by other cables.
	proven := e == t.nics[i].End || !l.lag && !l.floods
	// A NIC that takes in its own MAC only cannot ask once that one is another's; damping alone keeps it away.
	proven = proven && !t.nics[i].OwnMAC
	other := l.witness(t, t.nics[i])
	e.Break(1)
	if err := l.World.Run(idleMost + t.config.DownDelay); err != nil {
		return err
	}
	if other && proven && !l.loaded && !l.killed && l.witness(t, t.nics[i]) {
		if t.Uses(t.nics[i]) {
			verdict, reason := t.watchOf(t.nics[i])
			l.breach("%s: %s is still used, %v after it fell silent: %s %s", t.Name, t.nics[i].Name, idleMost, verdict,
				reason)
		}
		if !l.lag { // the switch of a static group goes on to use the cable
			l.progress("a cable that is silent")
		}
	}
	e.Mend()
	return nil
}

// witness reports whether another member than n is answered by a gateway that is alive.
func (l *life) witness(t *lived, n *NIC) bool {
	if len(t.gateways) == 0 || t.config.Mode == modes.LACP {
		return false
	}
	for _, g := range t.gateways {
		if g.Mute {
			return false
		}
	}
	for _, id := range t.ids {
		m := t.members[id]
		if m.nic == n || m.draining || !m.works(0) {
			continue
		}
		if verdict, _ := t.watchOf(m.nic); verdict == monitor.Up.String() {
			return true
		}
	}
	return false
}

// standsStill lets the process of a team stand still again and again.
func (l *life) standsStill(t *lived) error {
	for range 1 + l.rng.IntN(4) {
		t.Stall(l.between(time.Millisecond, pick(l.World, 30*time.Millisecond, 300*time.Millisecond, 2*time.Second)))
		if err := l.World.Run(l.between(0, 700*time.Millisecond)); err != nil {
			return err
		}
	}
	t.awaitProcess()
	return nil
}

// targetDies lets a host restart that link watches ask.
func (l *life) targetDies(t *lived) error {
	s := pick(l.World, l.peers...)
	if len(t.gateways) > 0 {
		s = pick(l.World, t.gateways...)
	}
	s.Mute = true
	l.Tell("%s is gone", s.Name)
	err := l.World.Run(l.between(100*time.Millisecond, 4*time.Second))
	s.Mute = false
	l.Tell("%s is back", s.Name)
	return err
}
