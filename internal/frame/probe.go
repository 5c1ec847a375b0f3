// SPDX-License-Identifier: MIT

package frame

import "encoding/binary"

// ProbeOp is the kind of a Probe.
type ProbeOp uint8

// The kinds of probes.
const (
	ProbeHello  ProbeOp = 1 + iota // from one member of a team to another one
	ProbeAsk                       // to other teams on the LAN, or to one of them
	ProbeAnswer                    // to the member that asked
)

// probeVersion follows ProbeMagic, and probeLen is the length of all.
const (
	probeVersion = 1
	probeLen     = 33
)

// Probe is the content of a probe frame. Nothing authenticates it. Multi-octet fields are big-endian:
//
//	0        7         8      16     18   20    24     32
//	magic    version   team   from   to   seq   sent   op
//	7        1         8      2      2    4     8      1 octet
//
// Receivers ignore a version that they do not know, and what follows the last field.
type Probe struct {
	Op       ProbeOp
	Dst, Src MAC // of the frame

	// Team is the asking team. An answer repeats all of the question: Team, From, Seq and Sent.
	Team     uint64
	From, To uint16 // member ids of Team; To only in ProbeHello
	Seq      uint32
	Sent     int64 // when, by a clock that only the sender knows
}

// Frame returns p as a frame.
func (p *Probe) Frame() []byte {
	b, at := newFrame(p.Dst, p.Src, 0, TypeProbe, probeLen)
	m := b[at:]
	copy(m, ProbeMagic)
	m[len(ProbeMagic)] = probeVersion
	binary.BigEndian.PutUint64(m[8:], p.Team)
	binary.BigEndian.PutUint16(m[16:], p.From)
	binary.BigEndian.PutUint16(m[18:], p.To)
	binary.BigEndian.PutUint32(m[20:], p.Seq)
	binary.BigEndian.PutUint64(m[24:], uint64(p.Sent))
	m[32] = byte(p.Op)
	return b
}

// ParseProbe reads the frame b into p and overwrites all of it. It returns false unless b is a probe of this version,
// in no VLAN.
func ParseProbe(b []byte, p *Probe) bool {
	*p = Probe{}
	var h Headers
	if !Parse(b, &h) || !IsProbe(&h, b) || h.VLANs > 1 || h.VLAN() != 0 {
		return false
	}
	m := b[EtherLen+int(h.VLANs)*TagLen:]
	if len(m) < probeLen || m[len(ProbeMagic)] != probeVersion {
		return false
	}
	op := ProbeOp(m[32])
	if op < ProbeHello || op > ProbeAnswer {
		return false
	}
	*p = Probe{Op: op, Dst: MACAt(b, 0), Src: MACAt(b, 6), Team: binary.BigEndian.Uint64(m[8:]),
		From: binary.BigEndian.Uint16(m[16:]), To: binary.BigEndian.Uint16(m[18:]),
		Seq: binary.BigEndian.Uint32(m[20:]), Sent: int64(binary.BigEndian.Uint64(m[24:]))}
	return true
}
