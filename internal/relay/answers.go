// SPDX-License-Identifier: MIT

package relay

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/limit"
	"nicteam/team"
)

// What the link watches ask for comes in by members that do not collect, and to a member's own address while the wire
// knows only the adapter's. So the control loop gets each answer whatever the Plan says of the member. Advertisements
// go their way besides, as any other frame. Probe frames and answers to ARP probes are for the watches alone: the
// host's stack would believe an answer that came by a NIC which is on another network. Only where the host itself has
// asked by an ARP probe whether an address is in use it gets the answer too.

// answerBuckets is by how many hashes of source and destination the answers that a member receives are bounded: a host
// that floods displaces those of few others. Each member asks by a MAC of its own, and the switch of a static LAG may
// return by one of them what several have asked for: each has its part.
const answerBuckets = 32

// answerRate bounds the answers of a source to a MAC. A member asks 3 times in 16 ms for each target, and hears 100
// probe frames a second; of a static LAG it asks 12 times, and a host may be two targets by its addresses.
var answerRate = limit.Rate{Every: 2 * time.Millisecond, Burst: 64}

// answerLimits bound the answers that a member passes to the control loop. They belong to its goroutine.
type answerLimits [answerBuckets]limit.Bucket

func (l *answerLimits) take(now int64, h *frame.Headers) bool {
	hash := (uint64(h.Src) ^ bits.RotateLeft64(uint64(h.Dst), 24)) * 0x9e3779b97f4a7c15
	return l[hash>>59].Take(time.Unix(0, now), answerRate)
}

// isAnswer reports whether a frame may answer a link watch. An ARP probe has no sender address (RFC 5227 clause 2.1.1),
// so that the target address of the reply is 0 too. A neighbour advertisement is valid with hop limit 255 only (RFC
// 4861 clause 7.1.2).
func (u *ActivePlan) isAnswer(h *frame.Headers, b []byte) bool {
	if h.Dst.Multicast() || !isARPorND(h) || h.L3 == 0 || !u.IsOwn(h.Dst) {
		return false
	}
	const (
		arpReply, arpTarget  = 2, 24
		advertisement, limit = 136, 7
	)
	if h.Protocol == frame.ARP {
		p := b[h.L3:]
		return binary.BigEndian.Uint16(p[6:]) == arpReply && binary.BigEndian.Uint32(p[arpTarget:]) == 0
	}
	return h.L4 != 0 && b[h.L4] == advertisement && b[h.L3+limit] == 255
}

// isARPAnswer reports whether an answer is one to an ARP probe that the host has not sent.
func (m *member) isARPAnswer(h *frame.Headers, b []byte) bool {
	return h.Protocol == frame.ARP && !m.r.arpProbes.has(m.r.clock.now(), binary.BigEndian.Uint32(b[h.L3+14:]))
}

// arpProbeTime is how long after an ARP probe of the host its answer goes to the host. It waits for 2 s at most (RFC
// 5227 clause 1.1).
const arpProbeTime = 3 * time.Second

// arpProbes are the addresses for which the host sent ARP probes lately, by hash: address, and time in units of 2^28
// ns.
type arpProbes [16]atomic.Uint64

func (p *arpProbes) at(ip uint32) *atomic.Uint64 { return &p[ip*0x9e3779b1>>28] }

// note notes an ARP probe among the frames that the adapter sends: a request without a sender's address.
func (p *arpProbes) note(now int64, h *frame.Headers, b []byte) {
	if h.L3 == 0 || binary.BigEndian.Uint16(b[h.L3+6:]) != 1 || binary.BigEndian.Uint32(b[h.L3+14:]) != 0 {
		return
	}
	ip := binary.BigEndian.Uint32(b[h.L3+24:])
	p.at(ip).Store(uint64(ip)<<32 | uint64(uint32(now>>28)))
}

func (p *arpProbes) has(now int64, ip uint32) bool {
	e := p.at(ip).Load()
	return e != 0 && uint32(e>>32) == ip && uint32(now>>28)-uint32(e) <= uint32(arpProbeTime>>28)
}

// asksAll reports whether a frame is an ARP request to all hosts, of an address that the link watches ask for: it shows
// by which members that host speaks.
func (u *ActivePlan) asksAll(h *frame.Headers, b []byte) bool {
	const arpRequest, arpSender = 1, 14
	return h.Protocol == frame.ARP && h.L3 != 0 && h.Dst.Multicast() &&
		binary.BigEndian.Uint16(b[h.L3+6:]) == arpRequest &&
		slices.Contains(u.Asked, netip.AddrFrom4([4]byte(b[h.L3+arpSender:])))
}

// isOurProbe reports whether a frame is a probe frame for this host: to an address of the team, or to all.
func (u *ActivePlan) isOurProbe(h *frame.Headers, b []byte) bool {
	return h.EtherType == frame.TypeProbe && (h.Dst.Multicast() || u.IsOwn(h.Dst)) && frame.IsProbe(h, b)
}

// passAnswer passes a copy of the frame in b ([virtio header][frame]) to the link watches, within the limit.
func (m *member) passAnswer(h *frame.Headers, b []byte) {
	if m.answers.take(m.r.clock.now(), h) {
		m.r.control.passAnswer(m.id, b)
	}
}

// passOnly passes a frame that is for the link watches alone, and counts it.
func (m *member) passOnly(h *frame.Headers, b []byte) {
	if !m.answers.take(m.r.clock.now(), h) || !m.r.control.passAnswer(m.id, b) {
		m.tally.drops[team.DropSocket]++
		return
	}
	c := &m.tally.moved[h.Protocol]
	c.Frames++
	c.Bytes += uint64(len(b) - frame.VnetLen)
}
