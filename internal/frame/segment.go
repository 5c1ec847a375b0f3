// SPDX-License-Identifier: MIT

package frame

import (
	"encoding/binary"
	"errors"
	"sync"
)

// ErrSegment says that a frame cannot be segmented: its virtio header does not match its contents, or has a GSO type
// that NICs do not support.
var ErrSegment = errors.New("frame cannot be segmented")

// TCP flags that only one segment may have.
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// segmentBuffers are buffers for one segment. A NIC that refuses one super-frame refuses each, so they are reused.
var segmentBuffers = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}

// Segment turns the super-frame b into the frames that a NIC with TSO or USO would transmit, and calls emit with each,
// in order, with finished checksums. emit returns false to stop, which is no error; it may use seg until it returns. b
// does not change. A frame that is not a super-frame is emitted once, with its checksum finished.
//
// It does what tcp_gso_segment and __udp_gso_segment do: sequence numbers and IPv4 ids ascend, FIN and PSH are on the
// last segment only, CWR on the first only. If v has NeedsCsum, the checksum is derived from the pseudo-header's sum in
// the frame, so that source-routed packets are right too. In a tunnel it does the same, and each segment gets the
// tunnel's headers: see Tunnelled.
func Segment(v Vnet, b []byte, emit func(seg []byte) bool) error {
	buf := segmentBuffers.Get().(*[]byte)
	defer segmentBuffers.Put(buf)

	var h Headers
	if !Parse(b, &h) {
		return ErrSegment
	}
	if v.GSO() == GSONone {
		*buf = append((*buf)[:0], b...)
		if err := FinishChecksum(v, *buf); err != nil {
			return err
		}
		emit(*buf)
		return nil
	}
	s := segmenter{v: v, h: &h, b: b}
	var inner Headers
	if v.Tunnelled(&h) {
		if !parseInner(v, b, &h, &inner) {
			return ErrSegment
		}
		s.h, s.tunnel = &inner, true
		s.outer.start(b, &h)
	}
	if err := segmentable(v, s.h); err != nil {
		return err
	}
	s.start()
	size, payload := int(v.GSOSize), s.h.Payload
	for at, i := payload, 0; ; i++ {
		end := min(at+size, len(b))
		seg := append((*buf)[:0], b[:payload]...)
		seg = append(seg, b[at:end]...)
		*buf = seg
		s.finishSegment(seg, i, at-payload, end == len(b))
		if !emit(seg) || end == len(b) {
			return nil
		}
		at = end
	}
}

// segmentable checks that the virtio header and the frame agree.
func segmentable(v Vnet, h *Headers) error {
	ok := v.GSOSize > 0 && h.L4 != 0 && h.Payload != 0 && !h.Fragment
	switch v.GSO() {
	case GSOTCPv4:
		ok = ok && h.EtherType == TypeIPv4 && h.IPProto == ProtoTCP
	case GSOTCPv6:
		ok = ok && h.EtherType == TypeIPv6 && h.IPProto == ProtoTCP
	case GSOUDPL4:
		ok = ok && h.IPProto == ProtoUDP
	default:
		ok = false
	}
	// Segment cannot derive checksums from a partial checksum elsewhere.
	if ok && v.Flags&NeedsCsum != 0 {
		offset := 16
		if h.IPProto == ProtoUDP {
			offset = 6
		}
		ok = int(v.CsumStart) == h.L4 && int(v.CsumOffset) == offset
	}
	if !ok {
		return ErrSegment
	}
	return nil
}

// segmenter is what the segments of a super-frame have in common.
type segmenter struct {
	v Vnet
	h *Headers // in a tunnel the inner ones
	b []byte

	tunnel bool
	outer  outerHeaders

	csumAt int    // offset of the transport checksum
	pseudo uint64 // sum of the pseudo-header without the length
	noCsum bool   // UDP over IPv4 without a checksum stays so
	id     uint16 // of the first IPv4 packet
	seq    uint32 // of the first TCP segment
}

func (s *segmenter) start() {
	h, b := s.h, s.b
	s.csumAt = h.L4 + 16
	if h.IPProto == ProtoUDP {
		s.csumAt = h.L4 + 6
	} else {
		s.seq = binary.BigEndian.Uint32(b[h.L4+4:])
	}
	if h.EtherType == TypeIPv4 {
		s.id = binary.BigEndian.Uint16(b[h.L3+4:])
	}
	sum := binary.BigEndian.Uint16(b[s.csumAt:])
	if s.v.Flags&NeedsCsum != 0 {
		// Subtract the length: in one's complement, add its complement.
		s.pseudo = addSum(uint64(sum), uint64(^Fold(uint64(len(b)-h.L4))))
		return
	}
	s.noCsum = h.IPProto == ProtoUDP && h.EtherType == TypeIPv4 && sum == 0
	s.pseudo = PseudoSum(b, h.L3, h.IPProto, 0)
}

// finishSegment makes seg, which has the super-frame's headers and the payload from done on, its i-th segment.
func (s *segmenter) finishSegment(seg []byte, i, done int, last bool) {
	h := s.h
	l4 := len(seg) - h.L4
	putLength(seg, h, s.id+uint16(i))
	if h.IPProto == ProtoTCP {
		binary.BigEndian.PutUint32(seg[h.L4+4:], s.seq+uint32(done))
		if !last {
			seg[h.L4+13] &^= tcpFIN | tcpPSH
		}
		if i > 0 {
			seg[h.L4+13] &^= tcpCWR
		}
	} else {
		binary.BigEndian.PutUint16(seg[h.L4+4:], uint16(l4))
	}
	if s.noCsum {
		return
	}
	seg[s.csumAt], seg[s.csumAt+1] = 0, 0
	pseudo := addSum(s.pseudo, uint64(l4))
	binary.BigEndian.PutUint16(seg[s.csumAt:], mangle(^Fold(Sum(pseudo, seg[h.L4:]))))
	if s.tunnel {
		// A message with its checksum sums to the complement of its pseudo-header's sum.
		s.outer.finishSegment(seg, i, h.L4, ^Fold(pseudo))
	}
}

// putLength sets the length of h's IP header to end with the frame b, and for IPv4 its id and checksum.
func putLength(b []byte, h *Headers, id uint16) {
	if h.EtherType == TypeIPv6 {
		binary.BigEndian.PutUint16(b[h.L3+4:], uint16(len(b)-h.L3-40))
		return
	}
	ip := b[h.L3:]
	ip = ip[:int(ip[0]&0xf)*4]
	binary.BigEndian.PutUint16(ip[2:], uint16(len(b)-h.L3))
	binary.BigEndian.PutUint16(ip[4:], id)
	ip[10], ip[11] = 0, 0
	binary.BigEndian.PutUint16(ip[10:], Checksum(ip))
}
