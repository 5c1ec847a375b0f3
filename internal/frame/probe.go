// SPDX-License-Identifier: MIT

package frame

import "encoding/binary"

// TypeProbe is the EtherType of probes: the first of the two for local experiments (IEEE Std 802-2014 clause 9.2.4).
const TypeProbe = 0x88b5

// ProbeOp is the kind of a Probe.
type ProbeOp uint8

// The kinds of probes.
const (
	ProbeHello  ProbeOp = 1 + iota // from one member of a team to another one
	ProbeAsk                       // to other teams on the LAN, or to one of them
	ProbeAnswer                    // to the member that asked
)

// probeMagic and probeVersion begin the payload.
const (
	probeMagic   = 0x6e63746d // "nctm"
	probeVersion = 1
	probeLen     = 32
)

// Probe is the content of a probe frame. Nothing authenticates it. Multi-octet fields are big-endian:
//
//	0        4         5    6   8      16     18   20    24
//	magic    version   op   0   team   from   to   seq   sent
//	4        1         1    2   8      2      2    4     8 octets
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
	binary.BigEndian.PutUint32(m, probeMagic)
	m[4], m[5] = probeVersion, byte(p.Op)
	binary.BigEndian.PutUint64(m[8:], p.Team)
	binary.BigEndian.PutUint16(m[16:], p.From)
	binary.BigEndian.PutUint16(m[18:], p.To)
	binary.BigEndian.PutUint32(m[20:], p.Seq)
	binary.BigEndian.PutUint64(m[24:], uint64(p.Sent))
	return b
}

// IsProbe reports whether b is a probe frame of any version: one that no host wants to see.
func IsProbe(b []byte) bool {
	_, ok := probeAt(b)
	return ok
}

// probeAt returns the offset of the payload of a probe. Priority tags are accepted, VLANs are not.
func probeAt(b []byte) (at int, ok bool) {
	at = EtherLen
	for len(b) >= at && binary.BigEndian.Uint16(b[at-2:]) == TypeVLAN {
		if len(b) < at+TagLen || binary.BigEndian.Uint16(b[at:])&0xfff != 0 {
			return 0, false
		}
		at += TagLen
	}
	return at, len(b) >= at+4 && binary.BigEndian.Uint16(b[at-2:]) == TypeProbe &&
		binary.BigEndian.Uint32(b[at:]) == probeMagic
}

// ParseProbe reads the frame b into p and overwrites all of it. It returns false unless b is a probe of this version.
func ParseProbe(b []byte, p *Probe) bool {
	*p = Probe{}
	at, ok := probeAt(b)
	if !ok || len(b) < at+probeLen {
		return false
	}
	m := b[at:]
	if m[4] != probeVersion || m[5] < byte(ProbeHello) || m[5] > byte(ProbeAnswer) {
		return false
	}
	*p = Probe{Op: ProbeOp(m[5]), Dst: MACAt(b, 0), Src: MACAt(b, 6), Team: binary.BigEndian.Uint64(m[8:]),
		From: binary.BigEndian.Uint16(m[16:]), To: binary.BigEndian.Uint16(m[18:]),
		Seq: binary.BigEndian.Uint32(m[20:]), Sent: int64(binary.BigEndian.Uint64(m[24:]))}
	return true
}
