// SPDX-License-Identifier: MIT

package fastpath

import (
	"fmt"
	"sync/atomic"

	"nicteam/internal/descriptors"
	"nicteam/internal/relay"
	"nicteam/team"
)

// leaveSocket makes the program on a member, which moves what that receives, pass frames for the relay by a ring: the
// member's socket costs nothing then. Where there is no memory for a ring the socket stays.
func (p *Path) leaveSocket(k *kernel, id int, l *team.Link) error {
	if p.rings[id] == nil {
		r, err := newRing()
		if err != nil {
			p.log.Warn("the member's socket goes on listening, which costs time for each frame", "member", l.Name,
				"err", err)
			return nil
		}
		p.rings[id] = r
	}
	if err := p.giveRing(k, id, l); err != nil {
		return err
	}
	if err := p.relay.LeaveSocket(id, &k.control.ReceiveGate[id], p.rings[id]); err != nil && !relay.IsGone(err) {
		return err
	}
	return nil
}

// giveRing gives a member's program its ring, and keeps that for the next process.
func (p *Path) giveRing(k *kernel, id int, l *team.Link) error {
	if err := k.Rings.Put(uint32(id), p.rings[id].m); err != nil {
		return fmt.Errorf("give ring to program: %w", err)
	}
	_ = p.o.Store.Put(descriptors.Of(descriptors.Ring, l.Index), p.rings[id].FD())
	return nil
}

// dropRing ends a member's ring. Its program is detached. The map of rings keeps the memory until another ring takes
// its place, or the map ends: to remove it there takes as long as all programs on all processors.
func (p *Path) dropRing(id int, l *team.Link) error {
	r := p.rings[id]
	if r == nil {
		return nil
	}
	p.rings[id] = nil
	p.relay.DropRing(id)
	_ = p.o.Store.Remove(descriptors.Of(descriptors.Ring, l.Index))
	return r.close()
}

// adoptRing makes a member that has joined go on with the ring that the process before left, if its gate, of that
// process, says so. Without the ring, frames in it are lost. k is nil if the programs are another build's.
func (p *Path) adoptRing(k *kernel, id int, l *team.Link, gate uint32) error {
	fd, ok := p.o.Store.Take(descriptors.Of(descriptors.Ring, l.Index))
	if ok {
		r, err := adoptRing(fd)
		if err == nil {
			p.rings[id] = r
			return p.relay.ListenByRing(id, gate, r)
		}
		p.log.Warn("frames in the ring of the process before are lost", "member", l.Name, "err", err)
	}
	if k == nil || !relay.ByRing(gate) {
		return nil
	}
	r, err := newRing()
	if err != nil {
		return err
	}
	p.rings[id] = r
	if err := p.giveRing(k, id, l); err != nil {
		return err
	}
	return p.relay.ListenByRing(id, gate, r)
}

// listens reports whether a member's gate wants its socket to listen.
func listens(gate *uint32) bool { return atomic.LoadUint32(gate) != relay.GateAlone }
