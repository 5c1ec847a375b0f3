// SPDX-License-Identifier: MIT

package sim

import (
	"time"

	"nicteam/internal/frame"
)

// headerRoom is enough for Ethernet, IPv6 and TCP.
const headerRoom = 74

// Packet is an Ethernet frame; a frame of data consists of its headers only. Receivers must not change it: others may
// share it.
type Packet struct {
	b    []byte
	h    frame.Headers // of b
	size int           // on the wire, without FCS
	room [headerRoom]byte

	id   uint64        // the same for all copies; 0 unless a stack sent it
	from *Stack        // nil: of a control loop or a forger
	sent time.Duration // by the stack

	copied  bool // its sender sent it by several members
	flooded bool // a switch sent it by several ports
	forged  bool // by Forge or forgePDU

	flow  *Flow            // nil: no data
	mark  uint64           // number within the flow
	seq   uint32           // TCP: number of the segment
	back  bool             // TCP: an acknowledgement
	acks  [ackEvery]uint64 // of an acknowledgement: marks that have arrived since the last one
	nAcks int
	upTo  uint32 // of an acknowledgement: all segments before this one have arrived
}

// newPacket returns a frame with the bytes b.
func newPacket(b []byte) *Packet {
	p := &Packet{b: b, size: max(len(b), 60)}
	frame.Parse(b, &p.h)
	return p
}

// clone returns a copy that the caller may change.
func (p *Packet) clone() *Packet {
	c := *p
	if len(p.b) <= headerRoom {
		c.b = c.room[:copy(c.room[:], p.b)]
	} else {
		c.b = append([]byte(nil), p.b...)
	}
	return &c
}

// address sets the MACs of a frame that the caller owns; zero keeps the old one.
func (p *Packet) address(dst, src frame.MAC) {
	if dst != 0 {
		dst.Put(p.b, 0)
		p.h.Dst = dst
	}
	if src != 0 {
		src.Put(p.b, 6)
		p.h.Src = src
	}
}
