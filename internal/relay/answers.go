// SPDX-License-Identifier: MIT

package relay

import (
	"encoding/binary"
	"time"

	"nicteam/internal/frame"
	"nicteam/internal/limit"
	"nicteam/team"
)

// What the link watches ask for comes in by members that do not collect, and to a member's own address while the wire
// knows only the adapter's. So the control loop gets a copy of each answer whatever the Plan says of the member, and
// the frame goes its way as any other. Probe frames are for the watches alone.

// answerSources is by how many hashes of their source the answers that a member receives are bounded: a host that
// floods displaces those of few others.
const answerSources = 8

// answerRate bounds the answers of a source. A member is asked 3 times in 16 ms for each target, and hears 100 probe
// frames a second.
var answerRate = limit.Rate{Every: 2 * time.Millisecond, Burst: 32}

// answerLimits bound the answers that a member passes to the control loop. They belong to its goroutine.
type answerLimits [answerSources]limit.Bucket

func (l *answerLimits) take(now int64, src frame.MAC) bool {
	return l[uint64(src)*0x9e3779b97f4a7c15>>61].Take(time.Unix(0, now), answerRate)
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

// isOurProbe reports whether a frame is a probe frame for this host: to an address of the team, or to all.
func (u *ActivePlan) isOurProbe(h *frame.Headers, b []byte) bool {
	return h.EtherType == frame.TypeProbe && (h.Dst.Multicast() || u.IsOwn(h.Dst)) && frame.IsProbe(h, b)
}

// passAnswer passes a copy of the frame in b ([virtio header][frame]) to the link watches, within the limit.
func (m *member) passAnswer(h *frame.Headers, b []byte) {
	if m.answers.take(m.r.clock.now(), h.Src) {
		m.r.control.passAnswer(m.id, b)
	}
}

// passProbe passes a probe frame to the link watches and counts it. Its source is not checked: one of ours shows that
// members hear each other.
func (m *member) passProbe(h *frame.Headers, b []byte) {
	if !m.answers.take(m.r.clock.now(), h.Src) || !m.r.control.passAnswer(m.id, b) {
		m.tally.drops[team.DropSocket]++
		return
	}
	c := &m.tally.moved[h.Protocol]
	c.Frames++
	c.Bytes += uint64(len(b) - frame.VnetLen)
}
