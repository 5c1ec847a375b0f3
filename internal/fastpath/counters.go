// SPDX-License-Identifier: MIT

package fastpath

import (
	"sync/atomic"

	"nicteam/internal/frame"
	"nicteam/modes/spread"
	"nicteam/team"
)

// counts are the counters of programs: of each member, and drops before a member was picked.
type counts struct {
	members  [spread.MaxMembers]team.MemberCounters
	noMember [team.Drops]uint64
}

// read adds the programs' counters of these members. It reads no others: there may be many processors, and a failover
// waits.
func (c *counts) read(k *kernel, of spread.MemberSet) {
	for left := of; left != 0; left = left.Without(left.First()) {
		k.addCounted(&c.members[left.First()], left.First())
	}
	k.addNoMember(&c.noMember)
}

// addCounted adds what the programs have counted of a member.
func (k *kernel) addCounted(to *team.MemberCounters, id int) {
	for i := range k.cpus {
		from := &k.cpus[i].Members[id]
		for p := range from.Rx {
			addCount(&to.RX[p], &from.Rx[p].Bytes, &from.Rx[p].Frames)
			addCount(&to.TX[p], &from.Tx[p].Bytes, &from.Tx[p].Frames)
		}
		for d := range from.RxDrop {
			to.RXDrop[d] += atomic.LoadUint64(&from.RxDrop[d])
			to.TXDrop[d] += atomic.LoadUint64(&from.TxDrop[d])
		}
		to.Flooded += atomic.LoadUint64(&from.Flooded)
	}
}

// addNoMember adds what the programs have dropped before a member was picked.
func (k *kernel) addNoMember(to *[team.Drops]uint64) {
	for i := range k.cpus {
		from := &k.cpus[i].NoMember
		for d := range from {
			to[d] += atomic.LoadUint64(&from[d])
		}
	}
}

func addCount(to *frame.Count, bytes, frames *uint64) {
	to.Bytes += atomic.LoadUint64(bytes)
	to.Frames += atomic.LoadUint64(frames)
}

// addSince adds what was counted of a member since base.
func addSince(to, now, base *team.MemberCounters) {
	for p := range to.RX {
		to.RX[p].Add(frame.Count{Bytes: now.RX[p].Bytes - base.RX[p].Bytes,
			Frames: now.RX[p].Frames - base.RX[p].Frames})
		to.TX[p].Add(frame.Count{Bytes: now.TX[p].Bytes - base.TX[p].Bytes,
			Frames: now.TX[p].Frames - base.TX[p].Frames})
	}
	for d := range to.RXDrop {
		to.RXDrop[d] += now.RXDrop[d] - base.RXDrop[d]
		to.TXDrop[d] += now.TXDrop[d] - base.TXDrop[d]
	}
	to.Flooded += now.Flooded - base.Flooded
}

// Moved fills m with the totals of unicast frames of relay and programs.
func (p *Path) Moved(m *team.Moved) {
	p.relay.Moved(m)
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range m {
		m[id].TX += p.pastMoved[id].TX
		m[id].RX += p.pastMoved[id].RX
	}
	if p.kernel != nil {
		p.kernel.addMoved(m, p.everJoined)
	}
}

// addMoved adds what the programs have counted of these members.
func (k *kernel) addMoved(m *team.Moved, of spread.MemberSet) {
	for i := range k.cpus {
		cpu := &k.cpus[i]
		for left := of; left != 0; left = left.Without(left.First()) {
			id := left.First()
			m[id].TX += atomic.LoadUint64(&cpu.Members[id].TxUnicast)
			m[id].RX += atomic.LoadUint64(&cpu.Members[id].RxUnicast)
		}
	}
}

// RxBytes fills h with the totals of what was received.
func (p *Path) RxBytes(h *spread.RxBytes) {
	p.relay.RxBytes(h)
	p.mu.Lock()
	defer p.mu.Unlock()
	addRxBytes(h, &p.pastRxBytes)
	if p.kernel != nil {
		addRxBytes(h, p.kernel.rxBytes)
	}
}

// keepRxBytes keeps what programs that go have counted. The caller holds mu.
func (p *Path) keepRxBytes(k *kernel) { addRxBytes(&p.pastRxBytes, k.rxBytes) }

func addRxBytes(to, from *spread.RxBytes) {
	for slot := range from {
		to[slot] += atomic.LoadUint64(&from[slot])
	}
}
